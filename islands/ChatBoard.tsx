import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import {
  type Attachment,
  type ChatSettings,
  type ChatView,
  isBusy,
  mostUpload,
  type RoundView,
  tooLarge,
} from "../components/chat.ts";
import { ChatFields } from "../components/ChatFields.tsx";
import { Graph } from "../components/Graph.tsx";
import { Attached, Round } from "../components/Round.tsx";
import { StateBadge } from "../components/StateBadge.tsx";
import { useRounds } from "../dashboard/client/rounds.ts";
import { type Refusal, send } from "../dashboard/client/send.ts";

const examples = [
  "What is in the picture?",
  "How many shapes are there?",
  "What does the text say?",
];

const hasFiles = ({ dataTransfer }: DragEvent): boolean =>
  dataTransfer?.types.includes("Files") === true;

/** Why a file cannot be sent, if so; a folder that is dropped looks like a file until it is read. */
const unreadable = (file: File): Promise<string | undefined> =>
  file.slice(0, 1).arrayBuffer().then(
    () => undefined,
    () => "it cannot be read; a folder cannot be sent, only files",
  );

/** What the page has to say. */
interface Notice {
  readonly words: readonly string[];
  readonly reload: boolean;
}

/** A conversation: its rounds, the graph of the latest, and the form for the next. */
export function ChatBoard(
  { chat, csrf }: { readonly chat: ChatView; readonly csrf: string },
): JSX.Element {
  const { rounds, away, adopt, add } = useRounds(chat);
  const [live, setLive] = useState(false);
  const [pending, setPending] = useState<readonly Attachment[]>([]);
  const [uploading, setUploading] = useState(0);
  const [notice, setNotice] = useState<Notice>();
  const [over, setOver] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const asking = useRef(false);
  const base = `/chat/${chat.id}`;
  const latest = rounds.at(-1);
  const busy = isBusy(latest);

  const typed = () => form.current!.querySelector("textarea")!;

  useEffect(() => {
    setLive(true);
    // What was typed before the page had to be loaded again.
    const kept = sessionStorage.getItem(base);
    if (kept !== null) typed().value = kept;
    sessionStorage.removeItem(base);
  }, []);
  useEffect(() => {
    // The form may lie on the round: all of it stands above the form at the end of the talk.
    if (live) form.current!.parentElement!.scrollIntoView({ block: "end" });
  }, [rounds.length, latest?.status === "lost"]);

  const reload = () => {
    sessionStorage.setItem(base, typed().value);
    location.reload();
  };

  const say = (words: string, reload = false) =>
    setNotice((known) => ({
      words: [...known?.words ?? [], words],
      reload: reload || known?.reload === true,
    }));
  const refuse = ({ words, reload }: Refusal) => say(words, reload);

  const bring = async (files: Iterable<File>) => {
    setNotice(undefined);
    for (const file of files) {
      // Said before all of it is sent in vain.
      const fault = file.size > mostUpload ? tooLarge : await unreadable(file);
      if (fault !== undefined) {
        say(`${file.name}: ${fault}`);
        continue;
      }
      setUploading((n) => n + 1);
      const sent = await send<Attachment>(
        `/chat/uploads?name=${encodeURIComponent(file.name)}`,
        file,
      );
      setUploading((n) => n - 1);
      if ("answer" in sent) setPending((known) => [...known, sent.answer]);
      else {
        const { words, reload } = sent.refusal;
        say(`${file.name}: ${words}`, reload);
      }
    }
  };

  const ask = async () => {
    const fields = new FormData(form.current!);
    const question = String(fields.get("question") ?? "").trim();
    // What is asked twice in a moment was meant once.
    if (question === "" || asking.current) return;
    setNotice(undefined);
    if (busy || uploading > 0) {
      return say(
        busy
          ? "The question before is still being answered."
          : "The files are still being sent.",
      );
    }
    const settings: Record<string, unknown> = {};
    for (const [name, value] of fields) {
      if (name !== "question" && name !== "files") settings[name] = value;
    }
    asking.current = true;
    const body = JSON.stringify({
      question,
      uploads: pending.map(({ digest }) => digest),
      settings,
      seen: latest?.id ?? "",
    });
    const sent = await send<{ readonly round: RoundView }>(
      `${base}/ask`,
      new Blob([body], { type: "application/json" }),
    );
    asking.current = false;
    if ("refusal" in sent) {
      // The question stays in its field: it may be another one after what is seen now.
      const { chat } = sent.refusal.body as { readonly chat?: ChatView };
      if (chat !== undefined) adopt(chat.rounds);
      return refuse(sent.refusal);
    }
    setPending([]);
    typed().value = "";
    add(sent.answer.round);
  };

  const stop = async () => {
    setNotice(undefined);
    const sent = await send(`${base}/stop`);
    if ("refusal" in sent) refuse(sent.refusal);
  };

  return (
    <div
      class={`chat${over ? " over" : ""}`}
      data-hydrated={live}
      onDragOver={(event) => {
        // Text that is dragged into the question is its field's affair.
        if (!hasFiles(event)) return;
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        setOver(false);
        bring(event.dataTransfer?.files ?? []);
      }}
    >
      <div class="talk">
        <div role="log" aria-label="Conversation" class="rounds">
          {rounds.length === 0 && (
            <div class="empty">
              <p>Drop a picture or a video, or paste one, and ask about it.</p>
              {live && (
                <p class="row examples">
                  {examples.map((text) => (
                    <button
                      key={text}
                      type="button"
                      onClick={() => {
                        typed().value = text;
                        typed().focus();
                      }}
                    >
                      {text}
                    </button>
                  ))}
                </p>
              )}
            </div>
          )}
          {rounds.map((round) => (
            <Round
              key={round.id}
              round={round}
              last={round === latest}
            />
          ))}
        </div>
        <form
          id="ask"
          ref={form}
          class="panel ask"
          method="post"
          action={`${base}/ask?csrf=${encodeURIComponent(csrf)}`}
          encType="multipart/form-data"
          onSubmit={(event) => {
            event.preventDefault();
            ask();
          }}
        >
          {away && (
            <p class="notice" role="status">
              The connection is lost; reconnecting …
            </p>
          )}
          {notice !== undefined && (
            <div class="notice bad" role="alert">
              {notice.words.map((words, index) => <p key={index}>{words}</p>)}
              {notice.reload && (
                <button
                  type="button"
                  onClick={reload}
                >
                  Load the page again
                </button>
              )}
            </div>
          )}
          {(pending.length > 0 || uploading > 0) && (
            <ul class="row attachments">
              {pending.map((one, index) => (
                <li key={`${one.digest} ${index}`}>
                  <Attached attachment={one} />
                  <button
                    type="button"
                    class="plain"
                    aria-label={`Leave out ${one.kind} ${index + 1}`}
                    onClick={() =>
                      setPending((known) =>
                        known.filter((_, i) => i !== index)
                      )}
                  >
                    ×
                  </button>
                </li>
              ))}
              {uploading > 0 && <li class="muted">sending …</li>}
            </ul>
          )}
          <label class="visually-hidden" for="question">Question</label>
          <textarea
            id="question"
            name="question"
            rows={3}
            required
            placeholder="Ask about the pictures …"
            onPaste={(event) => {
              const files = event.clipboardData?.files ?? [];
              if (files.length > 0) {
                event.preventDefault();
                bring(files);
              }
            }}
            onKeyDown={(event) => {
              if (
                event.key === "Enter" && !event.shiftKey && !event.isComposing
              ) {
                event.preventDefault();
                ask();
              }
            }}
          />
          <div class="row">
            <label class="button file">
              <span>Pictures or video</span>
              <input
                class="visually-hidden"
                type="file"
                name="files"
                multiple
                accept="image/*,video/*"
                onChange={(event) => {
                  const field = event.currentTarget;
                  bring([...field.files ?? []]).then(() => field.value = "");
                }}
              />
            </label>
            <span class="muted small hint">
              Enter sends, Shift+Enter begins a line
            </span>
            {busy && live
              ? (
                <button type="button" class="danger end" onClick={stop}>
                  Stop
                </button>
              )
              : (
                <button
                  type="submit"
                  class="primary end"
                  disabled={live && uploading > 0}
                >
                  Ask
                </button>
              )}
          </div>
          <ChatFields settings={chat.settings as ChatSettings} />
        </form>
        {busy && (
          <noscript>
            <form method="post" action={`${base}/stop`}>
              <input type="hidden" name="csrf" value={csrf} />
              <button type="submit" class="danger">Stop</button>
            </form>
          </noscript>
        )}
      </div>
      <aside class="panel watch" aria-label="The run of the last question">
        <header>
          <h2>Run</h2>
          {latest !== undefined && latest.status !== "loading" && (
            <StateBadge state={latest.status} />
          )}
          {latest?.runId !== undefined && (
            <a class="end" href={`/runs/${latest.runId}`}>Open</a>
          )}
        </header>
        <div class="body scroll">
          {latest?.graph === undefined
            ? <p class="muted">Its graph lights up here.</p>
            : <Graph graph={latest.graph} states={latest.states} name="chat" />}
        </div>
      </aside>
    </div>
  );
}
