/**
 * `tessera inspect`: what a checkpoint folder holds, what it needs, and what is wrong with it.
 * @module
 */
import * as Effect from "effect/Effect";
import * as Exit from "effect/Exit";
import * as Cause from "effect/Cause";
import * as Option from "effect/Option";
import * as Argument from "effect/cli/Argument";
import * as Command from "effect/cli/Command";
import { describe, type Fault, Reported } from "./faults.ts";
import * as flags from "./flags.ts";
import { embeddedModel } from "./models.ts";
import { Shell } from "./shell.ts";
import type { RopeScaling } from "../plugins/internvl/mod.ts";
import {
  bytes,
  count,
  jsonText,
  oneLine,
  padEnd,
  padStart,
  wrap,
} from "./text.ts";

const config = {
  json: flags.json,
  dir: flags.named("dir").pipe(
    Argument.withMetavar("DIR"),
    Argument.withDescription("Checkpoint folder; default: the embedded nano"),
    Argument.optional,
  ),
};

/** What the flags of `inspect` parse to. */
export type InspectFlags = Command.Command.Config.Infer<typeof config>;

/** What is known about a part of a model. */
export interface PartReport {
  /** Elements of its tensors. */
  readonly parameters: number;
  /** Bytes in the files. */
  readonly bytes: number;
  /** Elements by stored type. */
  readonly dtypes: Readonly<Record<string, number>>;
}

/** Memory for one type of computation, in bytes. */
export interface MemoryReport {
  /** Devices that compute in it. */
  readonly devices: readonly string[];
  /** The type. */
  readonly dtype: string;
  /** Type of keys and values. */
  readonly cache_dtype: string;
  /** Weights, the embedding table with them. */
  readonly weights: number;
  /** Key-value cache of one token. */
  readonly cache_per_token: number;
  /** Key-value cache at the longest context. */
  readonly cache: number;
  /** Scratch memory. */
  readonly activations: number;
  /** All of them. */
  readonly total: number;
}

/** What `inspect` finds, as `--json` prints it. */
export interface Inspection {
  /** The folder. */
  readonly dir: string;
  /** The architecture's class name, and those of its parts. */
  readonly architecture: string;
  /** The vision tower's facts. */
  readonly vision: Readonly<Record<string, string | number | boolean>>;
  /** The language model's facts. */
  readonly language: Readonly<Record<string, string | number | boolean>>;
  /** Edge of a tile in pixels. */
  readonly tile_size: number;
  /** Visual tokens of a tile. */
  readonly tokens_per_tile: number;
  /** Fewest and most tiles of a picture. */
  readonly tiles: readonly [number, number];
  /** Whether a thumbnail follows more than one tile. */
  readonly thumbnail: boolean;
  /** Longest sequence. */
  readonly context_length: number;
  /** Name of the prompt template, or the file that the chat template is in; nothing where there is none. */
  readonly template: string | null;
  /** System message, when the template is known. */
  readonly system_message: string | null;
  /** Ids of the special tokens by their text. */
  readonly special_tokens: Readonly<Record<string, number>>;
  /** Ids of the tokenizer. */
  readonly vocabulary: number | null;
  /** How each group of weights is stored; nothing where they are as they were trained. */
  readonly quantization: Readonly<Record<string, string>> | null;
  /** Weight files. */
  readonly files: readonly string[];
  /** Identity of the content. */
  readonly digest: string;
  /** Sizes by part. */
  readonly parts: Readonly<Record<string, PartReport>>;
  /** Memory by type of computation. */
  readonly memory: readonly MemoryReport[];
  /** What is wrong; nothing when the checkpoint can be loaded. */
  readonly problems: readonly string[];
  /** What is odd but does no harm. */
  readonly notes: readonly string[];
}

/** Looks a checkpoint over. Fails only when there is nothing to look at. */
export const inspectCheckpoint: (
  dir: string,
) => Effect.Effect<Inspection, Fault> = Effect.fn("cli.inspectCheckpoint")(
  function* (dir: string) {
    const plugin = yield* Effect.promise(() =>
      import("../plugins/internvl/mod.ts")
    );
    const checkpoint = yield* plugin.openCheckpoint(dir);
    const { config, tensors } = checkpoint;
    const problems: string[] = [];
    const notes: string[] = [];

    const unsupported = plugin.unsupported(config);
    if (unsupported !== undefined) problems.push(`config.json: ${unsupported}`);
    const expected = plugin.allExpectedTensors(config);
    const wanted = new Map(expected.map((tensor) => [tensor.name, tensor]));
    for (const [name, { shape, dtypes = plugin.floatDTypes }] of wanted) {
      const entry = tensors.get(name);
      if (entry === undefined) problems.push(`${name} is missing`);
      else if (entry.shape.join() !== shape.join()) {
        problems.push(
          `${name} (${entry.file}) has shape [${
            entry.shape.join(", ")
          }], config.json asks for [${shape.join(", ")}]`,
        );
      } else if (!dtypes.includes(entry.dtype)) {
        problems.push(
          `${name} (${entry.file}) is of type ${entry.dtype}, config.json asks for ${
            dtypes.join(", ")
          }`,
        );
      }
    }
    const ignored = plugin.ignoredTensors(tensors, expected);
    problems.push(...ignored.map(plugin.ignoredText));
    const surplus = [...tensors.values()].filter((entry) =>
      !wanted.has(entry.name) && !ignored.includes(entry)
    ).map(({ name }) => name);
    if (surplus.length > 0) {
      notes.push(
        `${count(surplus.length)} ${
          surplus.length === 1 ? "tensor is" : "tensors are"
        } not used: ${surplus.slice(0, 3).join(", ")}${
          surplus.length > 3 ? ", …" : ""
        }`,
      );
    }

    const template = yield* Effect.exit(plugin.checkpointTemplate(checkpoint));
    if (Exit.isFailure(template)) problems.push(messageOf(template.cause));
    const tokenizer = yield* Effect.exit(plugin.openTokenizer(dir));
    const special: Record<string, number> = {};
    let vocabulary: number | null = null;
    if (Exit.isFailure(tokenizer)) problems.push(messageOf(tokenizer.cause));
    else {
      vocabulary = tokenizer.value.vocabSize;
      for (const text of tokenizer.value.specialTexts) {
        const id = tokenizer.value.idOf(text);
        if (id !== undefined) special[text] = id;
      }
      if (vocabulary > config.language.vocabSize) {
        problems.push(
          `the tokenizer has ids up to ${
            vocabulary - 1
          }, the embedding has ${config.language.vocabSize} rows`,
        );
      }
      const other = plugin.imageTokenFault(config, tokenizer.value);
      if (other !== undefined) problems.push(other);
      if (Exit.isSuccess(template)) {
        const end = template.value.separator.trim();
        if (tokenizer.value.idOf(end) === undefined) {
          problems.push(
            `the tokenizer has no token ${end}, at which answers end`,
          );
        }
      }
    }

    const sizes = plugin.partSizes(config, tensors);
    const { vision, language } = config;
    return {
      dir,
      architecture: config.architecture,
      vision: {
        architecture: config.architecture === "InternVLChatModel"
          ? "InternVisionModel"
          : "InternVLVisionModel",
        layers: vision.layers,
        hidden_size: vision.hiddenSize,
        heads: vision.heads,
        intermediate_size: vision.intermediateSize,
        norm: vision.normType,
        qk_normalization: vision.qkNormalization,
        qkv_bias: vision.qkvBias,
        patch_size: vision.patchSize,
      },
      language: {
        architecture: language.architecture,
        layers: language.layers,
        hidden_size: language.hiddenSize,
        heads: language.heads,
        kv_heads: language.kvHeads,
        intermediate_size: language.intermediateSize,
        vocab_size: language.vocabSize,
        rope_theta: language.ropeTheta,
        rope_scaling: ropeText(language.ropeScaling),
      },
      tile_size: plugin.tileSize(config),
      tokens_per_tile: plugin.tokensPerTile(config),
      tiles: config.dynamicImageSize
        ? [config.minDynamicPatch, config.maxDynamicPatch]
        : [1, 1],
      thumbnail: config.dynamicImageSize && config.useThumbnail,
      context_length: language.maxPositionEmbeddings,
      template: config.template ??
        (Exit.isSuccess(template) ? template.value.name : null),
      system_message: Exit.isSuccess(template)
        ? template.value.systemMessage
        : null,
      special_tokens: Object.fromEntries(
        Object.entries(special).sort(([, a], [, b]) => a - b),
      ),
      vocabulary,
      quantization: config.quantization === undefined
        ? null
        : Object.fromEntries(
          Object.entries(config.quantization).map((
            [role, scheme],
          ) => [role, plugin.schemeText(scheme)]),
        ),
      files: checkpoint.files,
      digest: checkpoint.digest,
      parts: Object.fromEntries(
        Object.entries(sizes).map(([part, size]) => [part, {
          parameters: size.parameters,
          bytes: size.bytes,
          dtypes: { ...size.byType },
        }]),
      ),
      memory: (
        [
          ["float32", "float32"],
          ["float32", "float16"],
          ["float32", "int8"],
          ["float16", "float16"],
        ] as const
      ).map(([dtype, kvCache]) => {
        const estimate = plugin.memoryEstimate(config, tensors, {
          dtype,
          kvCache,
        });
        const { weights, cache, activations, total } = estimate;
        return {
          devices: dtype === "float32" ? ["cpu"] : ["cuda", "webgpu"],
          dtype,
          cache_dtype: kvCache,
          weights: weights.vision + weights.projector + weights.language +
            estimate.embeddingTable + estimate.prefill,
          cache_per_token: plugin.cacheBytesPerToken(language, kvCache),
          cache,
          activations,
          total,
        };
      }),
      problems,
      notes,
    };
  },
);

function messageOf(cause: Cause.Cause<unknown>): string {
  return describe(Cause.squash(cause)).message;
}

/** An inspection for people. */
export function inspectionText(found: Inspection, columns: number): string {
  const width = Math.max(40, Math.min(100, columns));
  const lines: string[] = [];
  const fact = (name: string, value: string) => {
    const [first = "", ...rest] = wrap(oneLine(value), width - 14);
    lines.push(`${padEnd(name, 14)}${first}`);
    for (const line of rest) lines.push(`${" ".repeat(14)}${line}`);
  };
  const table = (rows: readonly (readonly string[])[]) => {
    const widths = rows[0]!.map((_, i) =>
      Math.max(...rows.map((row) => row[i]!.length))
    );
    for (const row of rows) {
      lines.push(
        row.map((cell, i) =>
          i === 0 ? padEnd(cell, widths[i]!) : padStart(cell, widths[i]!)
        ).join("  ").trimEnd(),
      );
    }
  };
  const { vision, language } = found;
  fact("checkpoint", found.dir);
  fact("architecture", found.architecture);
  fact(
    "vision",
    `${vision.architecture}: ${vision.layers} layers, width ${
      count(Number(vision.hidden_size))
    }, ${vision.heads} heads, ${vision.norm}${
      vision.qk_normalization ? ", q/k norm" : ""
    }${
      vision.qkv_bias ? ", qkv bias" : ""
    }, ${vision.patch_size}-pixel patches`,
  );
  fact(
    "language",
    `${language.architecture}: ${language.layers} layers, width ${
      count(Number(language.hidden_size))
    }, ${language.heads} heads, ${language.kv_heads} for keys and values, ${
      count(Number(language.vocab_size))
    } tokens, RoPE scaling ${language.rope_scaling}`,
  );
  fact(
    "pictures",
    `${found.tiles[0]} to ${found.tiles[1]} tiles of ${found.tile_size} pixels${
      found.thumbnail ? " and a thumbnail" : ""
    }, ${count(found.tokens_per_tile)} tokens each`,
  );
  fact("context", `${count(found.context_length)} tokens`);
  if (found.template !== null) fact("template", found.template);
  if (found.system_message !== null) fact("system", found.system_message);
  if (found.quantization !== null) {
    fact(
      "quantized",
      Object.entries(found.quantization).map(([role, scheme]) =>
        `${role} ${scheme}`
      ).join(", "),
    );
  }
  fact(
    "weights",
    `${
      found.files.length === 1 ? found.files[0] : `${found.files.length} files`
    }`,
  );
  fact("digest", found.digest.slice(0, 16));
  lines.push("");
  const all: PartReport = Object.values(found.parts).reduce((sum, part) => ({
    parameters: sum.parameters + part.parameters,
    bytes: sum.bytes + part.bytes,
    dtypes: {},
  }), { parameters: 0, bytes: 0, dtypes: {} });
  table([
    ["part", "parameters", "stored", "types"],
    ...Object.entries(found.parts).map(([name, part]) => [
      name,
      count(part.parameters),
      bytes(part.bytes),
      Object.keys(part.dtypes).join(" "),
    ]),
    ["in all", count(all.parameters), bytes(all.bytes), ""],
  ]);
  lines.push("");
  table([
    ["memory", "weights", "cache/token", "cache", "scratch", "in all"],
    ...found.memory.map((row) => [
      row.cache_dtype === row.dtype
        ? `${row.dtype} (${row.devices.join(" ")})`
        : `--kv-type ${row.cache_dtype}`,
      bytes(row.weights),
      bytes(row.cache_per_token),
      bytes(row.cache),
      bytes(row.activations),
      bytes(row.total),
    ]),
  ].map((row) => width < 76 ? [row[0]!, row[1]!, row[2]!, row[5]!] : row));
  lines.push(
    ...wrap(
      `cache and in all: for the whole context of ${
        count(found.context_length)
      } tokens`,
      width,
    ),
  );
  lines.push("");
  fact(
    "token ids",
    Object.entries(found.special_tokens).map(([text, id]) => `${text} ${id}`)
      .join(", "),
  );
  lines.push("");
  for (const note of found.notes) fact("note", note);
  for (const problem of found.problems.slice(0, 20)) fact("PROBLEM", problem);
  if (found.problems.length > 20) {
    lines.push(`${found.problems.length - 20} more problems`);
  }
  if (found.problems.length === 0) lines.push("Nothing is missing.");
  return `${lines.join("\n")}\n`;
}

/** `inspect` with its arguments parsed. */
export const inspectHandler = Effect.fn("cli.inspect")(function* (
  options: InspectFlags,
) {
  const shell = yield* Shell;
  const dir = Option.getOrUndefined(options.dir) ?? embeddedModel() ?? ".";
  const found = yield* inspectCheckpoint(dir);
  yield* shell.write(
    options.json
      ? `${jsonText(found)}\n`
      : inspectionText(found, shell.stdoutIsTerminal ? shell.columns() : 80),
  );
  if (found.problems.length > 0) {
    shell.warn(
      `tessera: ${dir} cannot be loaded: ${oneLine(found.problems[0]!)}${
        found.problems.length > 1
          ? ` (and ${found.problems.length - 1} more)`
          : ""
      }\n`,
    );
    return yield* Effect.fail<Fault>(new Reported());
  }
});

/** The `inspect` command. */
export const inspect = Command.make("inspect", config, inspectHandler).pipe(
  Command.withDescription(
    "Show what a checkpoint folder holds: architecture, parameters and types by part, special tokens, " +
      "template, the memory it needs by type of computation, and anything missing or of the wrong shape. " +
      "The exit code is 1 when something is.",
  ),
  Command.withShortDescription("Show what a checkpoint holds and needs"),
  Command.withExamples([
    { command: "tessera inspect DIR" },
    { command: "tessera inspect DIR --json" },
  ]),
);

/** How angles change, in words. */
function ropeText(scaling: RopeScaling | null): string {
  if (scaling === null) return "none";
  return scaling.type === "longrope"
    ? `longrope, other factors beyond ${scaling.originalLength}`
    : `${scaling.type} ${scaling.factor}`;
}
