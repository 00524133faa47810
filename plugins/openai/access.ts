/**
 * The access log: one line a request when it is over, with nothing of what was asked or answered in it.
 * @module
 */
import type { Usage } from "../../nodes/mod.ts";

/** A request that is over. */
export interface AccessEntry {
  /** When it came, as ISO 8601 in UTC. */
  readonly time: string;
  /** Its id, which the answer carries as `x-request-id`. */
  readonly request: string;
  /** Who asked: eight digits of a key's digest as `key-…`, or the address where there are no keys. */
  readonly caller: string;
  /** HTTP method. */
  readonly method: string;
  /** Path without the query. */
  readonly path: string;
  /** HTTP status; 499 for a client who left. */
  readonly status: number;
  /** Milliseconds from its arrival to its last byte. */
  readonly ms: number;
  /** The model that answered. */
  readonly model?: string;
  /** Tokens of its prompts, image tokens included. */
  readonly promptTokens?: number;
  /** Tokens of its answers. */
  readonly completionTokens?: number;
}

/** What probes ask every few seconds, which is not worth a word when it goes well. */
const probed: ReadonlySet<string> = new Set(["/health", "/ready", "/metrics"]);

/** Is told of requests that are over; not of `/health`, `/ready` and `/metrics` while they answer 200. */
export type OnAccess = (entry: AccessEntry) => void;

/** Takes down what there is to say about a request while it is answered. */
export class AccessRecord {
  readonly #onAccess: OnAccess;
  readonly #came = Date.now();
  readonly #start = performance.now();
  readonly #facts: Pick<AccessEntry, "request" | "method" | "path">;
  #answer: Pick<
    AccessEntry,
    "model" | "promptTokens" | "completionTokens"
  > = {};
  #status: number | undefined;
  #held = false;
  #left = false;
  /** Who asks, once that is known. */
  caller = "";

  /** A record of a request that has just come. */
  constructor(
    facts: Pick<AccessEntry, "request" | "method" | "path">,
    onAccess: OnAccess,
  ) {
    this.#facts = facts;
    this.#onAccess = onAccess;
  }

  /** An answer was made. */
  answered(model: string, usage: Usage): void {
    const { promptTokens = 0, completionTokens = 0 } = this.#answer;
    this.#answer = {
      model,
      promptTokens: promptTokens + usage.promptTokens,
      completionTokens: completionTokens + usage.completionTokens,
    };
  }

  /** The body is a stream: the request is over when the function returned is called. */
  hold(): (left: boolean) => void {
    this.#held = true;
    return (left) => {
      this.#held = false;
      this.#left = left;
      this.#tell();
    };
  }

  /** The response is on its way. */
  responded(status: number): void {
    this.#status = status;
    this.#tell();
  }

  #tell(): void {
    if (this.#held || this.#status === undefined) return;
    if (this.#status === 200 && probed.has(this.#facts.path)) return;
    this.#onAccess({
      time: new Date(this.#came).toISOString(),
      ...this.#facts,
      caller: this.caller,
      status: this.#left ? 499 : this.#status,
      ms: Math.round((performance.now() - this.#start) * 10) / 10,
      ...this.#answer,
    });
  }
}

/** An entry in words, such as `POST /v1/chat/completions 200, 153 ms, nano, 45 + 16 tokens, 127.0.0.1, req_…`. */
export function accessWords(entry: AccessEntry): string {
  const { method, path, status, ms, model, caller, request } = entry;
  return [
    `${method} ${path} ${status}`,
    `${ms < 10 ? ms : Math.round(ms)} ms`,
    ...(model === undefined ? [] : [
      model,
      `${entry.promptTokens} + ${entry.completionTokens} tokens`,
    ]),
    ...(caller === "" ? [] : [caller]),
    request,
  ].join(", ");
}
