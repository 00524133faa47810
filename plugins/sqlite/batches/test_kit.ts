/**
 * Made-up batches, for tests.
 * @module
 */
import { Effect } from "effect";
import type { RunStore, StoreError } from "../../../pipeline/mod.ts";
import { answered } from "../metrics/test_kit.ts";

/** Records a batch of so many questions; the seventh, fourteenth, … fails. */
export function recordBatch(
  store: RunStore,
  id: string,
  length: number,
  more: {
    /** Questions in all; default: as many. */
    readonly total?: number;
    /** Default: `A circle.` */
    readonly answer?: (item: number) => string;
    /** Default: `What is {item}?` */
    readonly question?: (item: number) => string;
    /** When the first one ends. */
    readonly at?: number;
    /** The first one recorded; default 0. */
    readonly from?: number;
  } = {},
): Effect.Effect<void, StoreError> {
  return Effect.suspend(() => {
    for (let i = more.from ?? 0; i < length; i++) {
      const events = answered(`${id}-${i}`, {
        at: (more.at ?? Date.UTC(2026, 0, 15)) + i,
        failed: i % 7 === 6,
        question: more.question?.(i) ?? `What is ${i}?`,
        answer: more.answer?.(i),
        attributes: {
          batch: {
            id,
            name: `${id}.jsonl`,
            item: `q${i}`,
            index: i,
            total: more.total ?? length,
            settings: { maxNewTokens: 8 },
          },
        },
      });
      for (const event of events) store.record(event);
    }
    return store.flush(`${id}-0`);
  });
}
