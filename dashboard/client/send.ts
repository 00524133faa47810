/**
 * Changes that pages ask for, and what to say when the server does not make them.
 * @module
 */
import { change } from "./live.ts";

/** Why something was not done. */
export interface Refusal {
  /** In words. */
  readonly words: string;
  /** Whether another page would help: the person may have to sign in, or the server began anew. */
  readonly reload: boolean;
  /** The server's answer, where it is JSON. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** The server said nothing. */
const unreachable: Refusal = {
  words: "The server could not be reached.",
  reload: false,
  body: {},
};

/** What was asked for, and not the page, is to blame. */
const own = [400, 409, 413, 415];

/** Asks for a change: what came of it, or why nothing did. */
export async function send<A>(
  path: string,
  body?: BodyInit,
): Promise<{ readonly answer: A } | { readonly refusal: Refusal }> {
  try {
    const response = await change(path, body);
    return response.ok
      ? { answer: await response.json() }
      : { refusal: await refusalOf(response) };
  } catch {
    return { refusal: unreachable };
  }
}

async function refusalOf(response: Response): Promise<Refusal> {
  const type = response.headers.get("content-type") ?? "";
  const text = await response.text();
  const json = type.startsWith("application/json");
  const body = json ? JSON.parse(text) : {};
  return {
    words: typeof body.error === "string"
      ? body.error
      : type.startsWith("text/plain")
      ? text.trim()
      : `The server failed (${response.status}).`,
    reload: !own.includes(response.status),
    body,
  };
}
