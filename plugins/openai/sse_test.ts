import { Deferred, Effect, Scope } from "effect";
import { HttpServerRequest } from "effect/http/HttpServerRequest";
import assert from "node:assert/strict";
import { ServerParts } from "./parts.ts";
import { makeParts } from "./server.ts";
import { sseEvent, sseResponse } from "./sse.ts";

/** The body of a streamed answer as text, read piece by piece. */
async function streamed(
  feed: (push: (event: string) => void) => Effect.Effect<void>,
  keepAliveMs: number,
): Promise<ReadableStreamDefaultReader<string>> {
  const response = await Effect.runPromise(
    Effect.gen(function* () {
      // The response closes it, as it does with a request's.
      const scope = yield* Scope.make();
      return yield* Effect.provideService(
        sseResponse(feed, (event) => sseEvent(event)),
        Scope.Scope,
        scope,
      );
    }).pipe(
      Effect.provideService(
        HttpServerRequest,
        { source: new Request("http://test/") } as never,
      ),
      Effect.provideService(
        ServerParts,
        makeParts({ limits: { keepAliveMs } }),
      ),
    ),
  );
  const { body } = response.body as unknown as {
    readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
  };
  return body.pipeThrough(new TextDecoderStream()).getReader();
}

Deno.test("a stream that is silent says so in comments, before its first event and after it", async () => {
  const first = Deferred.makeUnsafe<void>();
  const second = Deferred.makeUnsafe<void>();
  const reader = await streamed((push) =>
    Effect.gen(function* () {
      yield* Deferred.await(first);
      push("one");
      yield* Deferred.await(second);
      push("two");
    }), 5);
  let text = "";
  const until = async (part: string) => {
    while (!text.includes(part)) text += (await reader.read()).value;
  };
  await until(": keep-alive\n\n: keep-alive\n\n");
  Deferred.doneUnsafe(first, Effect.void);
  await until('data: "one"\n\n: keep-alive\n\n');
  Deferred.doneUnsafe(second, Effect.void);
  await until("data: [DONE]\n\n");
  assert.ok((await reader.read()).done);
  assert.deepEqual(
    text.split("\n\n").filter((line) => line !== ": keep-alive"),
    ['data: "one"', 'data: "two"', "data: [DONE]", ""],
  );
});

Deno.test("a stream that speaks has no comments", async () => {
  const reader = await streamed((push) =>
    Effect.sync(() => {
      for (let i = 0; i < 3; i++) push(String(i));
    }), 60_000);
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    text += value;
  }
  assert.equal(
    text,
    'data: "0"\n\ndata: "1"\n\ndata: "2"\n\ndata: [DONE]\n\n',
  );
});
