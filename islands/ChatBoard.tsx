import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import {
  type Attachment,
  changed,
  type ChatSettings,
  type ChatView,
  type RoundChange,
  type RoundView,
} from "../components/chat.ts";
import { ChatFields } from "../components/ChatFields.tsx";
import { Graph } from "../components/Graph.tsx";
import { StateBadge } from "../components/StateBadge.tsx";

const examples = [
  "What is in the picture?",
  "How many shapes are there?",
  "What does the text say?",
];

/** A conversation: its rounds, the graph of the latest, and the form for the next. */
export function ChatBoard(
  { chat, csrf }: { readonly chat: ChatView; readonly csrf: string },
): JSX.Element {
  const [rounds, setRounds] = useState(chat.rounds);
  const [live, setLive] = useState(false);
  const [pending, setPending] = useState<readonly Attachment[]>([]);
  const [uploading, setUploading] = useState(0);
  const [error, setError] = useState<string>();
  const [over, setOver] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const source = useRef<EventSource>();
  const base = `/chat/${chat.id}`;
  const latest = rounds.at(-1);
  const busy = latest !== undefined &&
    (latest.status === "loading" || latest.status === "running");

  const update = (change: RoundChange) =>
    setRounds((rounds) => [
      ...rounds.slice(0, -1),
      changed(rounds.at(-1)!, change),
    ]);

  const listen = (after: number) => {
    source.current?.close();
    const events = new EventSource(`${base}/events?after=${after}`);
    source.current = events;
    events.addEventListener(
      "change",
      (event) => update(JSON.parse((event as MessageEvent).data)),
    );
    events.addEventListener("end", () => events.close());
  };

  useEffect(() => {
    setLive(true);
    if (busy) listen(latest.seq);
    const leave = () => source.current?.close();
    addEventListener("pagehide", leave);
    return () => {
      removeEventListener("pagehide", leave);
      leave();
    };
  }, []);
  useEffect(() => {
    if (live) {
      document.getElementById("ask")?.scrollIntoView({ block: "nearest" });
    }
  }, [rounds.length, latest?.status]);

  const post = (path: string, body: BodyInit, type: string) =>
    fetch(path, {
      method: "POST",
      headers: { "x-csrf-token": csrf, "content-type": type },
      body,
    });

  const bring = async (files: Iterable<File>) => {
    setError(undefined);
    for (const file of files) {
      setUploading((n) => n + 1);
      try {
        const response = await post(
          "/chat/uploads",
          file,
          "application/octet-stream",
        );
        const answer = await response.json();
        if (response.ok) setPending((known) => [...known, answer]);
        else setError(`${file.name}: ${answer.error}`);
      } catch {
        setError(`${file.name} could not be sent.`);
      } finally {
        setUploading((n) => n - 1);
      }
    }
  };

  const ask = async () => {
    const fields = new FormData(form.current!);
    const question = String(fields.get("question") ?? "").trim();
    if (question === "" || busy || uploading > 0) return;
    setError(undefined);
    const settings: Record<string, unknown> = {};
    for (const [name, value] of fields) {
      if (name !== "question" && name !== "files") settings[name] = value;
    }
    try {
      const response = await post(
        `${base}/ask`,
        JSON.stringify({
          question,
          uploads: pending.map(({ digest }) => digest),
          settings,
        }),
        "application/json",
      );
      if (!response.ok) {
        const text = await response.text();
        setError(text.startsWith("{") ? JSON.parse(text).error : text);
        return;
      }
      setRounds((rounds) => [...rounds, {
        round: rounds.length,
        question,
        attachments: pending,
        status: "loading",
        answer: "",
        states: {},
        seq: 0,
      }]);
      setPending([]);
      form.current!.querySelector("textarea")!.value = "";
      listen(0);
    } catch {
      setError("The server could not be reached.");
    }
  };

  const stop = () => post(`${base}/stop`, "", "text/plain").catch(() => {});

  return (
    <div
      class={`chat${over ? " over" : ""}`}
      data-hydrated={live}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
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
                        const field = form.current!.querySelector("textarea")!;
                        field.value = text;
                        field.focus();
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
            <Round key={round.round} round={round} last={round === latest} />
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
          {error !== undefined && <p class="notice bad" role="alert">{error}
          </p>}
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

function Round(
  { round, last }: { readonly round: RoundView; readonly last: boolean },
): JSX.Element {
  const { status, answer, error, figures, runId } = round;
  const working = status === "loading" || status === "running";
  return (
    <article class="round" id={last ? "last" : undefined} aria-busy={working}>
      <div class="asks">
        {round.attachments.length > 0 && (
          <ul class="row attachments">
            {round.attachments.map((one, index) => (
              <li key={`${one.digest} ${index}`}>
                <Attached attachment={one} />
              </li>
            ))}
          </ul>
        )}
        <p>{round.question}</p>
      </div>
      <div class="answers">
        {answer !== "" && <p class="answer">{answer}</p>}
        {working && (
          <p class="muted">
            {status === "loading"
              ? "Loading the model …"
              : answer === ""
              ? "Reading …"
              : ""}
          </p>
        )}
        {status === "interrupted" && (
          <p class="muted small">Stopped; this round is not remembered.</p>
        )}
        {error !== undefined && <p class="error">{error}</p>}
        {!working && (
          <p class="muted small">
            {figures}
            {runId !== undefined && (
              <>
                {figures === undefined ? "" : " · "}
                <a href={`/runs/${runId}`}>run</a>
              </>
            )}
          </p>
        )}
      </div>
    </article>
  );
}

function Attached(
  { attachment: { digest, kind, type } }: { readonly attachment: Attachment },
): JSX.Element {
  return kind === "video" || type === "image/tiff"
    ? (
      <span class="thumb muted small">
        {kind === "video" ? "video" : "TIFF"}
      </span>
    )
    : <img class="thumb" src={`/chat/uploads/${digest}`} alt="picture" />;
}
