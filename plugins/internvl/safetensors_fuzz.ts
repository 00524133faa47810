/**
 * Fuzzes the safetensors reader. The ordinary tests run some hundred mutations; the long run is
 * `deno run --allow-write --allow-read plugins/internvl/safetensors_fuzz.ts` with 10,000.
 * @module
 */
import assert from "node:assert/strict";
import { Cause, Effect, Exit } from "effect";
import { CheckpointError } from "../../nodes/errors.ts";
import { openCheckpoint } from "./checkpoint.ts";
import { readSafetensorsHeader } from "./safetensors.ts";
import {
  configJson,
  mutate,
  random,
  safetensors,
  withFolder,
} from "./testing.ts";

/** How many mutated files were refused and how many accepted. */
export interface FuzzOutcome {
  /** Refused with a {@link CheckpointError}. */
  refused: number;
  /** Accepted, and every claim about them checked. */
  accepted: number;
}

/**
 * Reads `runs` mutated files. Each is either refused with a {@link CheckpointError} of one line, or what
 * was read is checked against the bytes by means of its own.
 */
export async function fuzzSafetensors(
  runs: number,
  seed: number,
): Promise<FuzzOutcome> {
  const next = random(seed);
  const whole = safetensors({
    "mlp1.0.weight": { dtype: "F32", shape: [2, 3] },
    "mlp1.0.bias": { dtype: "BF16", shape: [5] },
    'ünï "quoted"': { dtype: "F16", shape: [1, 2, 2] },
    scalar: { dtype: "F32", shape: [] },
  });
  const outcome: FuzzOutcome = { refused: 0, accepted: 0 };
  await withFolder(
    { "config.json": JSON.stringify(configJson()) },
    async (dir) => {
      for (let run = 0; run < runs; run++) {
        const bytes = mutate(whole, next);
        await Deno.writeFile(`${dir}/model.safetensors`, bytes);
        const exit = await Effect.runPromiseExit(
          Effect.gen(function* () {
            const header = yield* readSafetensorsHeader(
              dir,
              "model.safetensors",
            );
            const checkpoint = yield* openCheckpoint(dir);
            const tensors = yield* Effect.forEach(
              header.tensors,
              (entry) => checkpoint.readTensor(entry.name),
            );
            return { header, tensors };
          }),
        );
        if (Exit.isFailure(exit)) {
          const error = Cause.squash(exit.cause);
          assert.ok(error instanceof CheckpointError, String(error));
          assert.ok(!error.message.includes("\n"), error.message);
          outcome.refused++;
          continue;
        }
        outcome.accepted++;
        check(bytes, exit.value.header.tensors, exit.value.tensors);
      }
    },
  );
  return outcome;
}

/** Checks what was read against the file, without the reader's own steps. */
function check(
  bytes: Uint8Array,
  entries: readonly {
    readonly name: string;
    readonly offset: number;
    readonly length: number;
    readonly shape: readonly number[];
  }[],
  tensors: readonly { readonly data: ArrayBufferView }[],
): void {
  const headerBytes = Number(
    new DataView(bytes.buffer).getBigUint64(0, true),
  );
  const json = JSON.parse(
    new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes)),
  ) as Record<string, { shape: number[]; data_offsets: [number, number] }>;
  delete json.__metadata__;
  assert.deepEqual(
    entries.map((entry) => entry.name).sort(),
    Object.keys(json).sort(),
  );
  const covered = new Uint8Array(bytes.length);
  covered.fill(1, 0, 8 + headerBytes);
  for (const [i, entry] of entries.entries()) {
    const said = json[entry.name]!;
    assert.deepEqual(entry.shape, said.shape);
    assert.equal(entry.offset, 8 + headerBytes + said.data_offsets[0]);
    const { data } = tensors[i]!;
    assert.deepEqual(
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      bytes.subarray(entry.offset, entry.offset + entry.length),
    );
    for (let at = entry.offset; at < entry.offset + entry.length; at++) {
      covered[at]! += 1;
    }
  }
  assert.ok(covered.every((count) => count === 1), "holes or overlaps");
}

if (import.meta.main) {
  console.log(await fuzzSafetensors(10_000, 2026));
}
