import type { JSX } from "preact";
import { type Attachment, isBusy, type RoundView } from "./chat.ts";

/** A question and its answer. */
export function Round(
  { round, last }: { readonly round: RoundView; readonly last: boolean },
): JSX.Element {
  const { status, answer, error, figures, runId } = round;
  const working = isBusy(round);
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

/** A picture or video that was brought along. */
export function Attached(
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
