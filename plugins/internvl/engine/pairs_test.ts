/**
 * Rows that are left over are computed in another way: behind pairs where weights are in blocks, behind blocks
 * of queries in the attention. No bit of an answer may tell how its prompt was cut, what of it was kept, or how
 * many others there were.
 */
import assert from "node:assert/strict";
import { Effect } from "effect";
import type { Completion } from "../../../nodes/values.ts";
import { type Kind, plain, request, text, withSession } from "./engine_kit.ts";

const stored: readonly Kind[] = [
  plain,
  ...(["int8", "int4", "w8a8"] as const).map((weights): Kind => ({
    name: weights,
    kvCache: "float32",
    quantized: { weights },
  })),
];

/** Greedy ids hide small differences; these are the bits. */
const bitsOf = ({ ids, logprobs, firstLogits }: Completion) => ({
  ids: [...ids],
  logprobs: logprobs!.map(({ logprob }) => logprob),
  firstLogits: [...firstLogits.data],
});

for (const kind of stored) {
  withSession(
    "no bit depends on company, cuts, or what was kept",
    (open) =>
      Effect.gen(function* () {
        const beginning = text(1, 33);
        const requests = [
          beginning,
          [...beginning, ...text(2, 4)],
          [...beginning, ...text(3, 7)],
          text(4, 2),
          text(4, 1),
          [...beginning, ...text(3, 8)],
          text(5, 90),
          [...beginning.slice(0, 21), ...text(6, 12)],
          // Heads have 16 numbers, and blocks of queries 32.
          text(7, 65),
          text(8, 66),
          [...text(7, 65), ...text(9, 33)],
        ].map((ids, i) => {
          const { settings, ...rest } = request(ids, 4 + 3 * (i % 3));
          return { ...rest, settings: { ...settings, logprobs: 0 } };
        });
        const expected = yield* Effect.forEach(
          requests,
          (request) =>
            Effect.scoped(
              Effect.flatMap(open(), (model) => model.generate(request)),
            ),
        );
        for (
          const settings of [
            {},
            { slots: 3, chunk: 5 },
            { slots: 1, chunk: 16 },
            { slots: 5, chunk: 7, kvCacheBytes: 192 << 10 },
          ]
        ) {
          const model = yield* open(settings);
          for (const concurrency of ["unbounded", 1] as const) {
            const answers = yield* Effect.forEach(
              requests,
              (request) => model.generate(request),
              { concurrency },
            );
            assert.deepEqual(answers.map(bitsOf), expected.map(bitsOf));
          }
          assert.ok((yield* model.stats).prefix.hits > 0);
        }
      }),
    kind,
  );
}
