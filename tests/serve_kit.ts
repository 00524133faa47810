/**
 * A server on nano for tests, with the real client of OpenAI.
 * @module
 */
import { Context, Effect } from "effect";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import { type ServeOptions, type Serving, serving } from "../mod.ts";

/** The embedded model's folder. */
export const nano = fileURLToPath(new URL("../models/nano", import.meta.url));

/** An example picture as a data URL. */
export const shapes = `data:image/png;base64,${
  Deno.readFileSync(new URL("../examples/images/shapes.png", import.meta.url))
    .toBase64()
}`;

/** What a test works with. */
export interface TestServer {
  /** The server. */
  readonly serving: Serving;
  /** Its address without a path. */
  readonly url: string;
  /** The client. */
  readonly client: OpenAI;
  /** Sends JSON (or what is given as it is). */
  readonly post: (
    path: string,
    body: unknown,
    headers?: Record<string, string>,
  ) => Promise<Response>;
}

/** Runs a test against a server of its own; `around` is what surrounds it, such as logits processors. */
export function withServer(
  options: Partial<ServeOptions>,
  test: (server: TestServer) => Promise<void>,
  around: Context.Context<never> = Context.empty(),
): Promise<void> {
  return Effect.runPromise(
    Effect.scoped(Effect.gen(function* () {
      const server = yield* serving({
        models: [{ dir: nano }],
        ...options,
        port: 0,
      });
      const url = `http://127.0.0.1:${server.port}`;
      const client = new OpenAI({
        baseURL: `${url}/v1`,
        apiKey: options.apiKeys?.[0] ?? "none",
        maxRetries: 0,
      });
      yield* Effect.promise(() =>
        test({
          serving: server,
          url,
          client,
          post: (path, body, headers = {}) =>
            fetch(url + path, {
              method: "POST",
              headers: { "content-type": "application/json", ...headers },
              body: typeof body === "string" ? body : JSON.stringify(body),
            }),
        })
      );
    })).pipe(Effect.provideContext(around)),
  );
}

/** Sequences that the first model's engine computes or keeps waiting. */
export const busy = (server: Serving): Promise<number> =>
  Effect.runPromise(Effect.gen(function* () {
    const { LanguageModel } = yield* Effect.promise(() => import("../mod.ts"));
    const { context } = server.models.list()[0]!.loaded!;
    const { stats } = yield* Effect.provideContext(LanguageModel, context);
    const { running, waiting } = yield* stats;
    return running + waiting;
  }));

/** Waits until something holds; fails after ten seconds. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
): Promise<void> {
  const end = performance.now() + 10_000;
  while (!await holds()) {
    if (performance.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
