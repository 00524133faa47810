/**
 * Damages documents at random and checks that reading them gives a `GraphError` or a sound pipeline,
 * and nothing else. The ordinary tests do 500; this does 10,000:
 *
 * ```sh
 * deno run pipeline/document_fuzz.ts [count] [seed]
 * ```
 * @module
 */
import assert from "node:assert/strict";
import { Effect, Exit } from "effect";
import { toDocument } from "./document.ts";
import { fromDocument } from "./read_document.ts";
import { GraphError } from "./errors.ts";
import { toMermaid } from "./mermaid.ts";
import type { AnyRegistry } from "./plugin.ts";
import {
  damage,
  random,
  randomPipeline,
  randomRegistry,
} from "./random_kit.ts";

/** Reads a document that may be damaged; throws when the reader does anything it must not. */
export async function checkDamaged(
  document: unknown,
  registry: AnyRegistry,
): Promise<"refused" | "read"> {
  const exit = await Effect.runPromiseExit(fromDocument(document, registry));
  if (Exit.isFailure(exit)) {
    const { reasons } = exit.cause;
    assert.equal(reasons.length, 1);
    const [reason] = reasons;
    assert.ok(
      reason?._tag === "Fail" && reason.error instanceof GraphError,
      String(reason?._tag === "Die" ? reason.defect : reason),
    );
    const { message, problems } = reason.error;
    assert.ok(problems.length > 0);
    for (const text of [message, ...problems.map((p) => p.message)]) {
      assert.ok(!/[\r\n]/.test(text) && text.length < 700, text);
      assert.ok(!text.includes("    at "), text);
    }
    return "refused";
  }
  // Sound: it can be written, and what was written reads back as the same.
  const written = toDocument(exit.value);
  assert.ok(toMermaid(exit.value).startsWith("flowchart LR\n"));
  const again = await Effect.runPromise(
    fromDocument(JSON.parse(JSON.stringify(written)), registry),
  );
  assert.deepEqual(toDocument(again), written);
  return "read";
}

/** Reads `count` damaged documents. */
export async function fuzzDocuments(
  count: number,
  seed: number,
): Promise<{ readonly refused: number; readonly read: number }> {
  const next = random(seed);
  const results = { refused: 0, read: 0 };
  let document: unknown;
  for (let i = 0; i < count; i++) {
    if (i % 10 === 0) document = toDocument(randomPipeline(next));
    const damaged = damage(document, next);
    try {
      results[await checkDamaged(damaged, randomRegistry)]++;
    } catch (error) {
      throw new Error(
        `document ${i} of seed ${seed}: ${
          JSON.stringify(damaged).slice(0, 3000)
        }`,
        { cause: error },
      );
    }
  }
  return results;
}

if (import.meta.main) {
  const [count = "10000", seed = "1"] = Deno.args;
  const results = await fuzzDocuments(Number(count), Number(seed));
  console.log(JSON.stringify({ count: Number(count), ...results }));
}
