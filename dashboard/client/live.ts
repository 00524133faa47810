/**
 * Event streams in the browser: open while the page is seen, because a browser keeps only six connections
 * to a server, and going on where they stopped.
 * @module
 */

/** Follows a stream. The function it returns ends that. */
export function follow(
  path: string,
  after: number,
  onData: (data: unknown) => boolean | void,
): () => void {
  let source: EventSource | undefined;
  let last = after;
  let done = false;
  const close = (): void => {
    source?.close();
    source = undefined;
  };
  const open = (): void => {
    if (done || source !== undefined || document.hidden) return;
    const more = path.includes("?") ? "&" : "?";
    source = new EventSource(`${path}${more}seen=${last}`);
    source.onmessage = (event) => {
      last = Number(event.lastEventId);
      // Who has seen the end wants no more.
      if (onData(JSON.parse(event.data)) === true) stop();
    };
  };
  const turn = (): void => document.hidden ? close() : open();
  const stop = (): void => {
    done = true;
    close();
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
