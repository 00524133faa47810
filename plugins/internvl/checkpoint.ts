/**
 * A checkpoint folder in the Hugging Face layout: `config.json` and the weights' headers, read and
 * checked. The numbers stay where they lie.
 * @module
 */
import { createHash } from "node:crypto";
import { Effect } from "effect";
import { CheckpointError } from "../../nodes/errors.ts";
import {
  elementCount,
  type HostTensor,
  hostTensor,
} from "../../nodes/tensor.ts";
import {
  decodeConfig,
  type InternVLConfig,
  isTransformersConfig,
  withHead,
} from "./config.ts";
import {
  fileFacts,
  folderProblem,
  isRecord,
  joinPath,
  quoted,
  readJsonObject,
  resolveInside,
  tokenizerFilesText,
} from "./files.ts";
import { familyOf } from "./families.ts";
import { layoutName, layoutOf, layoutWith } from "./layouts.ts";
import { readPreprocessor } from "./preprocessor.ts";
import {
  journalFile,
  storedNames,
  type StoredTensor,
} from "./quantize/scheme.ts";
import {
  floatDTypes,
  readSafetensorsHeader,
  readTensorBytes,
  type SafetensorsHeader,
  type TensorEntry,
  type WeightDType,
} from "./safetensors.ts";

/** A checkpoint on disk, its headers read and checked. */
export interface Checkpoint {
  /** The folder. */
  readonly dir: string;
  /** The decoded `config.json`. */
  readonly config: InternVLConfig;
  /** All tensors by the name that their layout has for them, which is their own but for a few prefixes. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** The weight files, relative to the folder, in the order of their names. */
  readonly files: readonly string[];
  /** Bytes of all tensors together. */
  readonly totalBytes: number;
  /** Elements of all tensors together. */
  readonly parameters: number;
  /**
   * Identity of the content at little cost: SHA-256 in hex over the config, what a preprocessor's file says
   * of pictures where it counts, the index, and the header, size and time of change of each weight file, and
   * the size and time of each tokenizer and prompt file.
   */
  readonly digest: string;
  /** Reads one tensor's numbers; float16 and bfloat16 as raw 16-bit words. */
  readonly readTensor: (
    name: string,
  ) => Effect.Effect<HostTensor<WeightDType>, CheckpointError>;
}

/** A tensor that a graph needs. */
export type ExpectedTensor = StoredTensor;

/** The weights' single file. */
const singleFile = "model.safetensors";
/** The weights' index, when they are in shards. */
const indexFile = "model.safetensors.index.json";
const configLimit = 16 << 20;
const indexLimit = 64 << 20;
const maxShards = 4096;
/** Files that decide how a conversation becomes ids. */
export const promptFiles = [
  "conversation.py",
  "chat_template.jinja",
  "chat_template.json",
  "tokenizer.model",
  "tokenizer.json",
  "vocab.json",
  "merges.txt",
  "tokenizer_config.json",
  "added_tokens.json",
  "special_tokens_map.json",
] as const;

/**
 * Opens a checkpoint folder. Reads `config.json`, the index if there is one, and the header of every
 * weight file, nothing else. Fails with {@link CheckpointError} naming the file and the tensor.
 *
 * ```ts
 * import { openCheckpoint } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const checkpoint = await Effect.runPromise(openCheckpoint("models/nano"));
 * assert.equal(checkpoint.config.language.architecture, "InternLM2ForCausalLM");
 * assert.ok(checkpoint.tensors.has("language_model.output.weight"));
 * ```
 */
export const openCheckpoint: (
  dir: string,
) => Effect.Effect<Checkpoint, CheckpointError> = Effect.fn(
  "internvl.openCheckpoint",
)(function* (dir: string) {
  const problem = yield* folderProblem(dir);
  if (problem !== undefined) {
    return yield* new CheckpointError({ path: dir, message: problem });
  }
  const configPath = joinPath(dir, "config.json");
  const configFile = yield* readJsonObject(configPath, configLimit);
  if (configFile === undefined) {
    if ((yield* fileFacts(joinPath(dir, journalFile))) !== undefined) {
      return yield* new CheckpointError({
        path: dir,
        message:
          `${dir} holds an unfinished quantization; resume it before it is used`,
      });
    }
    return yield* new CheckpointError({
      path: configPath,
      message:
        `${configPath} is missing; a checkpoint folder has config.json, ${singleFile} or ${indexFile}, and a tokenizer: ${tokenizerFilesText}`,
    });
  }
  const preprocessor = isTransformersConfig(configFile.value)
    ? yield* readPreprocessor(dir)
    : undefined;
  const decoded = yield* decodeConfig(
    configFile.value,
    configPath,
    preprocessor?.pictures,
  );
  const hash = createHash("sha256").update(configFile.text);
  if (preprocessor !== undefined) hash.update(preprocessor.text);

  const index = yield* readIndex(dir);
  if (index !== undefined) hash.update(index.text);
  const files = index === undefined ? [singleFile] : index.files;
  const stored = new Map<string, TensorEntry>();
  let totalBytes = 0;
  let parameters = 0;
  for (const file of files) {
    yield* resolveInside(dir, file);
    const header = yield* readSafetensorsHeader(dir, file);
    hash.update(JSON.stringify([file, header.fileSize, header.mtime]))
      .update(header.bytes);
    yield* merge(dir, file, header, index?.weights, stored);
  }
  for (const entry of stored.values()) {
    totalBytes += entry.length;
    parameters += elementCount(entry.shape);
  }
  for (const [name, file] of index?.weights ?? []) {
    if (!stored.has(name)) {
      return yield* new CheckpointError({
        path: joinPath(dir, file),
        tensor: name,
        message: `${joinPath(dir, indexFile)} places tensor ${
          quoted(name)
        } in ${file}, which does not have it`,
      });
    }
  }
  const tensors = yield* inLayout(dir, decoded, stored);
  const head = `language_model.${
    familyOf(decoded.language.architecture).names.head
  }.weight`;
  const config = withHead(
    decoded,
    tensors.has(head) || tensors.has(storedNames(head).numbers),
  );
  if (typeof config === "string") {
    return yield* new CheckpointError({
      path: configPath,
      message: `${configPath}: ${config}`,
    });
  }
  for (const file of promptFiles) {
    const facts = yield* fileFacts(joinPath(dir, file));
    if (facts !== undefined) {
      hash.update(JSON.stringify([file, facts.size, facts.mtime]));
    }
  }
  return {
    dir,
    config,
    tensors,
    files,
    totalBytes,
    parameters,
    digest: hash.digest("hex"),
    readTensor: (name) => readTensor(dir, tensors, name),
  };
});

/**
 * Fails where the folder is not any more as it was opened. What has been read since then, by a header of
 * before, may be anything: so it is asked once more when the numbers are there.
 */
export const expectUnchanged: (
  checkpoint: Pick<Checkpoint, "dir" | "digest">,
) => Effect.Effect<void, CheckpointError> = Effect.fnUntraced(
  function* ({ dir, digest }) {
    const now = yield* openCheckpoint(dir);
    if (now.digest === digest) return;
    return yield* new CheckpointError({
      path: dir,
      message:
        `${dir} was changed while it was read; begin again when nothing writes to it`,
    });
  },
);

/**
 * Tensors that a graph computes with in part, and would pass over: a bias or zero points of a matrix, layers
 * of the decoder behind the last that is asked for. The configuration is not the one they were made with,
 * and all answers would be wrong. (Layers of the vision tower may be left out: `select_layer`.)
 */
export function ignoredTensors(
  tensors: Checkpoint["tensors"],
  expected: readonly ExpectedTensor[],
): readonly TensorEntry[] {
  const names = new Set(expected.map(({ name }) => name));
  const layers = new Set(expected.map(({ name }) => decoderLayer(name)));
  layers.delete(undefined);
  return [...tensors.values()].filter(({ name }) => {
    const layer = decoderLayer(name);
    if (layers.size > 0 && layer !== undefined && !layers.has(layer)) {
      return true;
    }
    const base = /^(.+)\.(bias|qzeros)$/.exec(name)?.[1];
    return base !== undefined && !names.has(name) &&
      (names.has(`${base}.weight`) || names.has(`${base}.qweight`));
  });
}

/** Which layer of the decoder a tensor belongs to, if to one. */
const decoderLayer = (name: string): string | undefined =>
  /^language_model\.model\.layers\.(\d+)\./.exec(name)?.[1];

/** What is wrong with an ignored tensor. */
export function ignoredText({ name, file }: TensorEntry): string {
  return `tensor ${name} is in ${file}, and config.json asks for none: it is not the config.json of these weights`;
}

/**
 * Checks that the checkpoint has the tensors a graph needs, in the right shapes and types, and none that
 * the graph would wrongly do without. A wrong one is named with both; of missing tensors the first few are
 * named and all are counted.
 */
export function expectTensors(
  checkpoint: Pick<Checkpoint, "dir" | "tensors">,
  expected: readonly ExpectedTensor[],
): Effect.Effect<void, CheckpointError> {
  const missing: string[] = [];
  for (const { name, shape, dtypes = floatDTypes } of expected) {
    const entry = checkpoint.tensors.get(name);
    if (entry === undefined) {
      missing.push(name);
    } else if (
      entry.shape.length !== shape.length ||
      entry.shape.some((extent, axis) => extent !== shape[axis])
    ) {
      return Effect.fail(
        new CheckpointError({
          path: joinPath(checkpoint.dir, entry.file),
          tensor: name,
          message: `${
            joinPath(checkpoint.dir, entry.file)
          }: tensor ${name} has shape [${
            entry.shape.join(", ")
          }], config.json asks for [${shape.join(", ")}]`,
        }),
      );
    } else if (!dtypes.includes(entry.dtype)) {
      return Effect.fail(
        new CheckpointError({
          path: joinPath(checkpoint.dir, entry.file),
          tensor: name,
          message: `${
            joinPath(checkpoint.dir, entry.file)
          }: tensor ${name} is of type ${entry.dtype}, config.json asks for ${
            dtypes.join(", ")
          }`,
        }),
      );
    }
  }
  const [ignored] = ignoredTensors(checkpoint.tensors, expected);
  if (missing.length === 0) {
    return ignored === undefined ? Effect.void : Effect.fail(
      new CheckpointError({
        path: joinPath(checkpoint.dir, ignored.file),
        tensor: ignored.name,
        message: `${checkpoint.dir}: ${ignoredText(ignored)}`,
      }),
    );
  }
  const first = missing.slice(0, 3).join(", ");
  const more = missing.length > 3 ? ` and ${missing.length - 3} more` : "";
  return Effect.fail(
    new CheckpointError({
      path: checkpoint.dir,
      tensor: missing[0],
      message: `${checkpoint.dir}: ${missing.length} tensor${
        missing.length === 1 ? " is" : "s are"
      } missing that config.json asks for: ${first}${more}`,
    }),
  );
}

interface Index {
  readonly text: string;
  readonly files: readonly string[];
  readonly weights: ReadonlyMap<string, string>;
}

/** Reads the shards' index; `undefined` when the weights are in one file, which then exists. */
const readIndex = Effect.fnUntraced(
  function* (
    dir: string,
  ): Effect.fn.Return<Index | undefined, CheckpointError> {
    // One file wins over an index, as in the reference loader.
    const single = yield* fileFacts(joinPath(dir, singleFile));
    if (single !== undefined) return undefined;
    const path = joinPath(dir, indexFile);
    const found = yield* readJsonObject(path, indexLimit);
    if (found === undefined) {
      const pickled = yield* fileFacts(joinPath(dir, "pytorch_model.bin"));
      const pickledIndex = yield* fileFacts(
        joinPath(dir, "pytorch_model.bin.index.json"),
      );
      return yield* new CheckpointError({
        path: dir,
        message: pickled === undefined && pickledIndex === undefined
          ? `${dir} has neither ${singleFile} nor ${indexFile}`
          : `${dir} has its weights as PyTorch pickles; convert them to safetensors first`,
      });
    }
    const map = found.value.weight_map;
    if (!isRecord(map)) {
      return yield* new CheckpointError({
        path,
        message:
          `${path}: weight_map must be an object of tensor names to files`,
      });
    }
    const weights = new Map<string, string>();
    for (const [name, file] of Object.entries(map)) {
      if (typeof file !== "string") {
        return yield* new CheckpointError({
          path,
          tensor: name,
          message: `${path}: the file of tensor ${
            quoted(name)
          } must be a string`,
        });
      }
      weights.set(name, file);
    }
    const files = [...new Set(weights.values())].sort();
    if (files.length === 0 || files.length > maxShards) {
      return yield* new CheckpointError({
        path,
        message:
          `${path} names ${files.length} weight files; 1 to ${maxShards} are allowed`,
      });
    }
    return { text: found.text, files, weights };
  },
);

/** Adds a file's tensors; a shard's tensor must be where the index says. */
function merge(
  dir: string,
  file: string,
  header: SafetensorsHeader,
  weights: ReadonlyMap<string, string> | undefined,
  tensors: Map<string, TensorEntry>,
): Effect.Effect<void, CheckpointError> {
  for (const entry of header.tensors) {
    const other = tensors.get(entry.name);
    if (other !== undefined) {
      return Effect.fail(
        new CheckpointError({
          path: joinPath(dir, file),
          tensor: entry.name,
          message: `${dir}: tensor ${
            quoted(entry.name)
          } is in both ${other.file} and ${file}`,
        }),
      );
    }
    const place = weights === undefined ? file : weights.get(entry.name);
    if (place !== undefined && place !== file) {
      return Effect.fail(
        new CheckpointError({
          path: joinPath(dir, file),
          tensor: entry.name,
          message: `${joinPath(dir, indexFile)} places tensor ${
            quoted(entry.name)
          } in ${place}, but ${file} has it`,
        }),
      );
    }
    tensors.set(entry.name, entry);
  }
  return Effect.void;
}

/** The tensors by their names in the layout of the configuration, which must be theirs. */
function inLayout(
  dir: string,
  { architecture }: InternVLConfig,
  stored: ReadonlyMap<string, TensorEntry>,
): Effect.Effect<ReadonlyMap<string, TensorEntry>, CheckpointError> {
  const layout = layoutOf(architecture);
  const tensors = new Map<string, TensorEntry>();
  for (const entry of stored.values()) {
    const name = layoutName(layout, entry.name);
    const other = tensors.get(name);
    // Of another layout all names are others: that they are missing would not help anybody.
    const place = layoutWith(entry.name);
    const wrong = other !== undefined
      ? `tensors ${other.name} and ${entry.name} are the same one`
      : place !== undefined && place !== layout
      ? `${entry.name} is a tensor of ${place.architecture}, but config.json is of ${architecture}`
      : undefined;
    if (wrong !== undefined) {
      return Effect.fail(
        new CheckpointError({
          path: dir,
          tensor: entry.name,
          message: `${dir}: ${wrong}`,
        }),
      );
    }
    tensors.set(name, entry.name === name ? entry : { ...entry, name });
  }
  return Effect.succeed(tensors);
}

const readTensor = Effect.fnUntraced(function* (
  dir: string,
  tensors: ReadonlyMap<string, TensorEntry>,
  name: string,
): Effect.fn.Return<HostTensor<WeightDType>, CheckpointError> {
  const entry = tensors.get(name);
  if (entry === undefined) {
    return yield* new CheckpointError({
      path: dir,
      tensor: name,
      message: `${dir}: there is no tensor ${quoted(name)}`,
    });
  }
  const { buffer } = yield* readTensorBytes(dir, entry);
  switch (entry.dtype) {
    case "float32":
      return hostTensor("float32", entry.shape, new Float32Array(buffer));
    case "float16":
      return hostTensor("float16", entry.shape, new Uint16Array(buffer));
    case "bfloat16":
      return hostTensor("bfloat16", entry.shape, new Uint16Array(buffer));
    case "uint8":
      return hostTensor("uint8", entry.shape, new Uint8Array(buffer));
    case "int8":
      return hostTensor("int8", entry.shape, new Int8Array(buffer));
  }
});
