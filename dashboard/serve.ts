/**
 * The server's socket.
 * @module
 */
import { Effect, type Scope } from "effect";
import type { Host } from "./host/app.ts";

/** Why a server could not begin. */
export class ListenError extends Error {
  /** The discriminator. */
  readonly _tag = "ListenError" as const;
}

/** Where to listen and what with. */
export interface ServeOptions<E, R> {
  /** Address. */
  readonly host: string;
  /** Port; 0 takes a free one. */
  readonly port: number;
  /** Makes what answers, once the port is known. */
  readonly make: (port: number) => Effect.Effect<Host, E, R>;
}

/** A server at work. */
export interface Serving {
  /** Its port. */
  readonly port: number;
  /** Settles when the signal ends it. */
  readonly finished: (signal: AbortSignal) => Promise<void>;
}

/** Serves until the surrounding scope closes. */
export function serve<E, R>(
  { host, port, make }: ServeOptions<E, R>,
): Effect.Effect<Serving, E | ListenError, R | Scope.Scope> {
  return Effect.gen(function* () {
    let answer: Host = () => new Response("Starting\n", { status: 503 });
    const closing = new AbortController();
    const server = yield* Effect.acquireRelease(
      Effect.try({
        try: () =>
          Deno.serve({
            hostname: host,
            port,
            signal: closing.signal,
            onListen: () => {},
          }, (req) => answer(req)),
        catch: (cause) =>
          new ListenError(
            `cannot listen on ${host} port ${port}: ${reason(cause)}`,
            { cause },
          ),
      }),
      (server) =>
        Effect.promise(async () => {
          closing.abort();
          await server.finished;
        }),
    );
    const bound = (server.addr as Deno.NetAddr).port;
    answer = yield* make(bound);
    // Before what answers is gone, nobody is let in any more: a page that comes back would be told of a
    // failure. Open streams would hold a graceful end up for ever.
    yield* Effect.addFinalizer(() => Effect.sync(() => closing.abort()));
    return {
      port: bound,
      finished: (signal) =>
        Promise.race([
          server.finished,
          new Promise<void>((resolve) =>
            signal.addEventListener("abort", () => resolve(), { once: true })
          ),
        ]),
    };
  });
}

function reason(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return "it is taken; choose another with --port, or 0 for a free one";
  }
  if (error instanceof Deno.errors.PermissionDenied) return "permission denied";
  return error instanceof Error
    ? error.message.replace(/ \(os error \d+\).*$/s, "").split("\n")[0]!
    : String(error);
}
