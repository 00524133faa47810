/**
 * Event streams in the browser: open while the page is seen, because a browser keeps only six connections
 * to a server, and going on where they stopped.
 * @module
 */

/** How long a stream may be broken before people are told: it is often whole again after a second. */
const patience = 3000;

/** Pauses before a stream that was refused is opened anew: the first, and the longest, in milliseconds. */
const [firstPause, longestPause] = [1000, 15_000];

/** What is told besides what happened. */
export interface Told {
  /** Whether the stream has been broken for a while, or is whole again. */
  readonly onAway?: (away: boolean) => void;
  /** What the stream says of how its thing stands, beside what happened to it. */
  readonly onSeen?: (data: unknown) => boolean | void;
}

/** Follows a stream. The function it returns ends that. */
export function follow(
  path: string,
  after: number,
  onData: (data: unknown) => boolean | void,
  { onAway = () => {}, onSeen = () => {} }: Told = {},
): () => void {
  let source: EventSource | undefined;
  let last = after;
  let done = false;
  let again: ReturnType<typeof setTimeout> | undefined;
  let missed: ReturnType<typeof setTimeout> | undefined;
  let pause = firstPause;
  const close = (): void => {
    clearTimeout(again);
    clearTimeout(missed);
    missed = undefined;
    source?.close();
    source = undefined;
  };
  const open = (): void => {
    if (done || source !== undefined || document.hidden) return;
    const more = path.includes("?") ? "&" : "?";
    source = new EventSource(`${path}${more}seen=${last}`);
    source.onopen = () => {
      pause = firstPause;
      clearTimeout(missed);
      missed = undefined;
      onAway(false);
    };
    source.onerror = () => {
      missed ??= setTimeout(() => onAway(true), patience);
      // The browser itself tries again after a lost connection, and never after another answer, such as
      // that of a server that is just beginning or of a proxy before it.
      if (source?.readyState !== EventSource.CLOSED) return;
      source = undefined;
      again = setTimeout(open, pause);
      pause = Math.min(2 * pause, longestPause);
    };
    // Who has seen the end wants no more.
    source.onmessage = (event) => {
      last = Number(event.lastEventId);
      if (onData(JSON.parse(event.data)) === true) stop();
    };
    source.addEventListener("seen", (event) => {
      if (onSeen(JSON.parse(event.data)) === true) stop();
    });
  };
  const turn = (): void => document.hidden ? close() : open();
  const stop = (): void => {
    done = true;
    close();
    onAway(false);
    document.removeEventListener("visibilitychange", turn);
  };
  document.addEventListener("visibilitychange", turn);
  open();
  return stop;
}

/** Sends a change, with the page's token. */
export async function change(path: string, body?: BodyInit): Promise<Response> {
  const csrf = document.querySelector("meta[name=csrf]")?.getAttribute(
    "content",
  ) ?? "";
  return await fetch(path, {
    method: "POST",
    headers: { "x-csrf-token": csrf, accept: "application/json" },
    ...(body === undefined ? {} : { body }),
  });
}
