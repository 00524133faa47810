/**
 * Quantizes a checkpoint folder into another one.
 * @module
 */
import { createHash } from "node:crypto";
import { statfs } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { Effect } from "effect";
import { type BackendError, CheckpointError } from "../../../nodes/errors.ts";
import {
  expectTensors,
  expectUnchanged,
  openCheckpoint,
  promptFiles,
} from "../checkpoint.ts";
import {
  fileFacts,
  joinPath,
  readJsonObject,
  readSmallFile,
} from "../files.ts";
import { preprocessorFiles } from "../preprocessor.ts";
import { allExpectedTensors } from "../graphs/tensors.ts";
import { unsupported } from "../graphs/weights.ts";
import { encodeQuantization } from "./config.ts";
import {
  digestFile,
  type FolderOptions,
  indexFile,
  isWhole,
  openOutput,
  type OutputFolder,
  trying,
} from "./folder.ts";
import { type QuantizeOptions, resolveQuantization } from "./options.ts";
import { planShards, type Shard } from "./plan.ts";
import { type QuantizedRole, type QuantizeProgress, Tally } from "./report.ts";
import type { ByRole, Quantization } from "./scheme.ts";
import { startThreads } from "./threads.ts";
import { fillShard } from "./write.ts";

/** What else a quantization is told. */
export interface QuantizeSettings extends QuantizeOptions, FolderOptions {
  /** Workers. Default: the machine's cores. */
  readonly threads?: number;
  /** About how large a weight file becomes, in bytes; also how much a crash costs. Default 1 GiB. */
  readonly shardBytes?: number;
  /** Is told how far it has come. Must not throw. */
  readonly onProgress?: (progress: QuantizeProgress) => void;
}

/** What a quantization has made. */
export interface QuantizeResult {
  /** The new folder. */
  readonly dir: string;
  /** How each group is stored. */
  readonly quantization: Quantization;
  /** Weight files. */
  readonly files: readonly string[];
  /** Bytes of all weights before. */
  readonly bytesBefore: number;
  /** Bytes of all weights after. */
  readonly bytes: number;
  /** What became of each group. */
  readonly roles: ByRole<QuantizedRole>;
  /** Identity of the new checkpoint. */
  readonly digest: string;
}

/** Files of a model besides its weights and `config.json`, taken over as they are, where they are there. */
const companions = [
  ...promptFiles,
  ...preprocessorFiles,
  "generation_config.json",
  "video_preprocessor_config.json",
] as const;
/** Files for people, taken over likewise. */
const papers = [
  "README.md",
  "LICENSE",
  "LICENSE.md",
  "LICENSE.txt",
] as const;
const companionLimit = 256 << 20;
const configLimit = 16 << 20;

/**
 * Quantizes the checkpoint in `dir` into the folder `out`, which every command then reads as any other.
 * Works through the weights slab by slab, so that memory does not grow with the model; interrupted, it
 * leaves a folder that no command takes for a checkpoint and that `resume` goes on with.
 *
 * Fails with {@link CheckpointError}: a checkpoint that is not one, or is quantized already; an `out`
 * that is not empty, or lies inside `dir`; a full disk.
 *
 * ```ts
 * import { openCheckpoint, quantize } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const out = await Deno.makeTempDir();
 * const { bytes, bytesBefore } = await Effect.runPromise(
 *   quantize("models/nano", out, { weights: "int4" }),
 * );
 * assert.ok(bytes < bytesBefore / 2);
 * const { config } = await Effect.runPromise(openCheckpoint(out));
 * assert.equal(config.quantization?.vision.type, "w8a8");
 * await Deno.remove(out, { recursive: true });
 * ```
 */
export const quantize: (
  dir: string,
  out: string,
  settings: QuantizeSettings,
) => Effect.Effect<QuantizeResult, CheckpointError | BackendError> = Effect.fn(
  "internvl.quantize",
)(function* (dir: string, out: string, settings: QuantizeSettings) {
  const checkpoint = yield* openCheckpoint(dir);
  const { config } = checkpoint;
  const refuse = (path: string, message: string) =>
    new CheckpointError({ path, message });
  if (config.quantization !== undefined) {
    return yield* refuse(
      dir,
      `${dir} is quantized already; quantize the original`,
    );
  }
  yield* expectTensors(checkpoint, allExpectedTensors(config));
  const fault = unsupported(config);
  if (fault !== undefined) return yield* refuse(dir, `${dir}: ${fault}`);
  const quantization = resolveQuantization(settings, config);
  if (typeof quantization === "string") {
    return yield* refuse(dir, quantization);
  }
  yield* apart(dir, out);

  const { shardBytes = 1 << 30 } = settings;
  const threads = settings.threads ?? navigator.hardwareConcurrency;
  for (
    const [name, value] of Object.entries({ threads, shardBytes })
  ) {
    if (!Number.isSafeInteger(value) || value < 1) {
      return yield* refuse(
        out,
        `quantize: ${name} is ${value}; it must be a whole number from 1`,
      );
    }
  }
  const shards = planShards(checkpoint, quantization, shardBytes);
  const identity = createHash("sha256").update(checkpoint.digest)
    .update(JSON.stringify(shards.map(({ file, size }) => [file, size])))
    .update(JSON.stringify(encodeQuantization(quantization)))
    .digest("hex");
  const tally = new Tally(shards, quantization, settings.onProgress);
  yield* Effect.scoped(Effect.gen(function* () {
    const folder = yield* openOutput(out, identity, settings);
    yield* writeShards(dir, out, shards, folder, threads, tally);
    yield* expectUnchanged(checkpoint);
    yield* writeRest(dir, out, folder, shards, quantization);
  }));
  const made = yield* openCheckpoint(out);
  yield* expectTensors(made, allExpectedTensors(made.config));
  return {
    dir: out,
    quantization,
    files: made.files,
    bytesBefore: tally.bytesBefore,
    bytes: made.totalBytes,
    roles: tally.report(),
    digest: made.digest,
  };
});

/** A copy inside the original would be taken for a part of it, and the original must not be touched. */
const apart = Effect.fnUntraced(function* (dir: string, out: string) {
  if (out === "") {
    return yield* new CheckpointError({
      path: out,
      message: "the output folder's path is empty",
    });
  }
  const [model, target] = yield* trying(
    out,
    "cannot be read",
    () => Promise.all([realPath(dir), realPath(out)]),
  );
  if (target === model || target.startsWith(`${model}${sep}`)) {
    return yield* new CheckpointError({
      path: out,
      message: target === model
        ? `${out} is the checkpoint itself; give another folder`
        : `${out} is inside the checkpoint; give a folder outside ${dir}`,
    });
  }
});

/** The real path of a folder that need not be there yet. */
async function realPath(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (cause) {
    const parent = dirname(path);
    if (!(cause instanceof Deno.errors.NotFound) || parent === path) {
      throw cause;
    }
    return join(await realPath(parent), basename(path));
  }
}

const writeShards = Effect.fnUntraced(function* (
  dir: string,
  out: string,
  shards: readonly Shard[],
  folder: OutputFolder,
  threads: number,
  tally: Tally,
) {
  const missing: Shard[] = [];
  for (const shard of shards) {
    const noted = folder.finished.get(shard.file);
    if (noted !== undefined && (yield* isWhole(out, noted))) {
      tally.resumed(shard);
    } else missing.push(shard);
  }
  if (missing.length === 0) return;
  yield* roomFor(out, missing);
  const quantizer = yield* startThreads(threads);
  for (const shard of missing) {
    const target = joinPath(out, shard.file);
    yield* folder.write(shard.file, (file) =>
      // One slab more than there are workers is read ahead.
      fillShard(dir, shard, file, target, quantizer, threads + 1, tally));
    const sha256 = yield* digestFile(target);
    yield* folder.note({ file: shard.file, size: shard.size, sha256 });
    tally.finished();
  }
}, Effect.scoped);

/** Finds out now, and not after an hour, that the disk is too small. */
const roomFor = Effect.fnUntraced(function* (
  out: string,
  shards: readonly Shard[],
) {
  const needed = shards.reduce((sum, { size }) => sum + size, 0);
  const free = yield* Effect.promise(async () => {
    try {
      const { bavail, bsize } = await statfs(out);
      return bavail * bsize;
    } catch {
      return Infinity;
    }
  });
  if (free < needed) {
    const size = (bytes: number) =>
      bytes < 2 ** 30
        ? `${(bytes / 2 ** 20).toFixed(1)} MiB`
        : `${(bytes / 2 ** 30).toFixed(1)} GiB`;
    return yield* new CheckpointError({
      path: out,
      message: `${out} needs ${size(needed)}; its disk has ${
        size(free)
      } free: make room and go on with --resume`,
    });
  }
});

/** Everything but the weights; `config.json` comes last, for it makes the folder a checkpoint. */
const writeRest = Effect.fnUntraced(function* (
  dir: string,
  out: string,
  folder: OutputFolder,
  shards: readonly Shard[],
  quantization: Quantization,
) {
  const put = (name: string, bytes: Uint8Array<ArrayBuffer>) =>
    folder.write(
      name,
      (file) =>
        trying(joinPath(out, name), "cannot be written", async () => {
          for (let at = 0; at < bytes.length;) {
            at += await file.write(bytes.subarray(at));
          }
        }),
    );
  const json = (value: unknown) =>
    new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
  for (const name of [...companions, ...papers]) {
    const bytes = yield* readSmallFile(joinPath(dir, name), companionLimit);
    if (bytes !== undefined) yield* put(name, bytes);
  }
  // Of a model that this one replaces: its tokenizer.json, say, would rule over our tokenizer.model.
  for (const name of companions) {
    const there = yield* fileFacts(joinPath(dir, name));
    if (there === undefined) yield* folder.remove(name);
  }
  const map: Record<string, string> = {};
  let total = 0;
  for (const { file, tasks } of shards) {
    for (const output of tasks.flatMap((task) => task.outputs)) {
      map[output.name] = file;
      total += output.length;
    }
  }
  yield* put(
    indexFile,
    json({ metadata: { total_size: total }, weight_map: map }),
  );
  const path = joinPath(dir, "config.json");
  const config = yield* readJsonObject(path, configLimit);
  yield* put(
    "config.json",
    json({
      ...config?.value,
      quantization_config: encodeQuantization(quantization),
    }),
  );
  yield* folder.finish;
});

export type { QuantizedRole, QuantizeProgress } from "./report.ts";
export type { QuantizeOptions } from "./options.ts";
export type { FolderOptions } from "./folder.ts";
export type {
  BlockScheme,
  ByRole,
  FloatScheme,
  Quantization,
  Role,
  Scheme,
  W8A8Scheme,
} from "./scheme.ts";
