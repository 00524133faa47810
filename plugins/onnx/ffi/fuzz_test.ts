import assert from "node:assert/strict";
import { Effect } from "effect";
import { Backend } from "../backend.ts";
import { liveHandles } from "../handles.ts";
import { accumulator, attention } from "../testing/models.ts";
import { ffiBackend } from "./mod.ts";

/** Marsaglia's xorshift32. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

Deno.test("ffi: damaged models are refused in one line, or load", async () => {
  const next = random(20240607);
  const models = [accumulator(), attention().bytes];
  let refused = 0;
  await Effect.runPromise(
    Effect.gen(function* () {
      const backend = yield* Backend;
      for (let round = 0; round < 600; round++) {
        const bytes = models[round % 2].slice();
        for (let i = next(4); i >= 0; i--) {
          const at = next(bytes.length);
          if (next(3) === 0) bytes.copyWithin(at, next(bytes.length), at + 9);
          else bytes[at] = next(256);
        }
        const result = yield* Effect.result(
          Effect.scoped(backend.load({ bytes }, { threads: 1 })),
        );
        if (result._tag === "Success") continue;
        refused++;
        assert.match(result.failure.message, /^session "model"[^\n]+$/);
      }
    }).pipe(Effect.provide(ffiBackend)),
  );
  assert.ok(refused > 300, `${refused} of 600 were refused`);
  assert.equal(liveHandles().session, 0);
});
