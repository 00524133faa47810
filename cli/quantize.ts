/**
 * `tessera quantize`: a checkpoint folder in, a smaller one out.
 * @module
 */
import * as Effect from "effect/Effect";
import * as Option from "effect/Option";
import * as Command from "effect/cli/Command";
import * as Flag from "effect/cli/Flag";
import type {
  QuantizedRole,
  QuantizeProgress,
  QuantizeResult,
  Role,
  Scheme,
} from "../mod.ts";
import { type Fault, UsageError } from "./faults.ts";
import * as flags from "./flags.ts";
import { barLine, makePainter } from "./progress.ts";
import { Shell } from "./shell.ts";
import {
  bytes,
  clock,
  count,
  duration,
  jsonText,
  oneLine,
  padEnd,
  padStart,
} from "./text.ts";

const config = {
  model: flags.path("model").pipe(
    Flag.withAlias("m"),
    Flag.withMetavar("DIR"),
    Flag.withDescription("Checkpoint folder to quantize (required)"),
  ),
  out: flags.path("out").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription("New or empty folder to write into (required)"),
  ),
  weights: Flag.Literals("weights", ["int4", "int8", "w8a8"]).pipe(
    Flag.withDescription(
      "The decoder's weights (required): int4 is the smallest and generates fastest, int8 loses next to " +
        "nothing, w8a8 is as large and reads long prompts fastest",
    ),
  ),
  block: Flag.Literals("block", ["32", "64", "128"]).pipe(
    Flag.withDescription(
      "Numbers that share a scale; default: 64 for int4, 128 for int8",
    ),
    Flag.optional,
  ),
  symmetric: Flag.Boolean("symmetric").pipe(
    Flag.withoutNegation,
    Flag.withDescription("Blocks without a zero point; the default"),
    Flag.withDefault(false),
  ),
  asymmetric: Flag.Boolean("asymmetric").pipe(
    Flag.withoutNegation,
    Flag.withDescription("A zero point for each block: a little less is lost"),
    Flag.withDefault(false),
  ),
  prefill: Flag.Literals("prefill", ["w8a8"]).pipe(
    Flag.withDescription(
      "A second set of the decoder's weights, to read prompts with as fast as w8a8 and still generate as " +
        "fast as int4 or int8, in the memory of both; default: none",
    ),
    Flag.optional,
  ),
  vision: Flag.Literals("vision", ["w8a8", "int8", "int4", "float"]).pipe(
    Flag.withDescription("Vision tower and projector; default w8a8, of"),
    Flag.optional,
  ),
  head: Flag.Literals("head", ["int4", "int8", "float"]).pipe(
    Flag.withDescription("Output head; default: int4 with int4, else int8"),
    Flag.optional,
  ),
  embedding: Flag.Literals("embedding", ["int4", "int8", "float"]).pipe(
    Flag.withDescription("Embedding table; default: int8"),
    Flag.optional,
  ),
  resume: Flag.Boolean("resume").pipe(
    Flag.withoutNegation,
    Flag.withDescription("Go on where an earlier start was stopped"),
    Flag.withDefault(false),
  ),
  force: Flag.Boolean("force").pipe(
    Flag.withoutNegation,
    Flag.withDescription(
      "Replace what an earlier quantization has left in --out",
    ),
    Flag.withDefault(false),
  ),
  threads: flags.modelFlags.threads.pipe(
    Flag.withDescription("Workers; default: the cores"),
  ),
  json: flags.json,
};

/** What the flags of `quantize` parse to. */
export type QuantizeFlags = Command.Command.Config.Infer<typeof config>;

const blockSizes = {
  "32": 32,
  "64": 64,
  "128": 128,
  default: undefined,
} as const;

/** How often a pipe is told how far it has come. */
const plainInterval = 10_000;

/** The line of a quantization at work: a bar, bytes, the rate, the time left. */
export function quantizeLine(
  progress: QuantizeProgress,
  elapsedMs: number,
  columns: number,
): string {
  const { done, total, resumed } = progress;
  const perMs = (done - resumed) / Math.max(1, elapsedMs);
  return barLine(
    "quantize",
    total === 0 ? 1 : done / total,
    [
      `${bytes(done)}/${bytes(total)}`,
      ...(perMs > 0 ? [`${bytes(Math.round(perMs * 1000))}/s`] : []),
      ...(perMs > 0 && done < total
        ? [`${clock((total - done) / perMs)} left`]
        : []),
    ].join("  "),
    columns,
  );
}

/** `quantize` with its arguments parsed. */
export const quantizeHandler = Effect.fn("cli.quantize")(function* (
  options: QuantizeFlags,
) {
  const shell = yield* Shell;
  if (options.symmetric && options.asymmetric) {
    return yield* Effect.fail<Fault>(
      new UsageError("--symmetric and --asymmetric are both given"),
    );
  }
  const { quantize, schemeText } = yield* Effect.promise(() =>
    import("../plugins/internvl/mod.ts")
  );
  const painter = makePainter(shell);
  const began = performance.now();
  let spoken = began;
  const optional = <A>(value: Option.Option<A>) => Option.getOrUndefined(value);
  const result = yield* quantize(options.model, options.out, {
    weights: options.weights,
    blockSize: blockSizes[optional(options.block) ?? "default"],
    symmetric: !options.asymmetric,
    prefill: optional(options.prefill),
    vision: optional(options.vision),
    head: optional(options.head),
    embedding: optional(options.embedding),
    resume: options.resume,
    force: options.force,
    threads: optional(options.threads),
    onProgress: (progress) => {
      const elapsed = performance.now() - began;
      if (shell.canRepaint) {
        painter.paint((columns) => quantizeLine(progress, elapsed, columns));
      } else if (performance.now() - spoken >= plainInterval) {
        spoken = performance.now();
        // A line without the room for a bar.
        shell.warn(`tessera: ${quantizeLine(progress, elapsed, 0)}\n`);
      }
    },
  }).pipe(
    Effect.onInterrupt(() =>
      Effect.sync(() => {
        painter.clear();
        shell.warn(
          `tessera: stopped; the same command with --resume goes on\n`,
        );
      })
    ),
    Effect.ensuring(Effect.sync(painter.clear)),
  );
  const ms = performance.now() - began;
  yield* shell.write(
    options.json
      ? `${jsonText(resultJson(result, ms))}\n`
      : resultText(result, ms, schemeText),
  );
});

/** Every group that is there, what became of it, and how it is stored. */
function groups(
  { roles, quantization }: QuantizeResult,
): readonly (readonly [Role, QuantizedRole, Scheme])[] {
  return (Object.keys(roles) as Role[]).map((role) => [
    role,
    roles[role]!,
    quantization[role]!,
  ]);
}

/** A result as `--json` prints it. */
function resultJson(result: QuantizeResult, ms: number) {
  return {
    dir: result.dir,
    files: result.files,
    bytes_before: result.bytesBefore,
    bytes: result.bytes,
    ms: Math.round(ms),
    digest: result.digest,
    parts: Object.fromEntries(
      groups(result).map(([role, part, scheme]) => [role, {
        scheme,
        parameters: part.parameters,
        bytes_before: part.bytesBefore,
        bytes: part.bytes,
        relative_error: part.relativeError ?? null,
      }]),
    ),
  };
}

/** A result for people. */
function resultText(
  result: QuantizeResult,
  ms: number,
  schemeText: (scheme: Scheme) => string,
): string {
  const rows = [
    ["part", "parameters", "before", "after", "error", "stored as"],
    ...groups(result).map(([role, part, scheme]) => [
      role,
      count(part.parameters),
      bytes(part.bytesBefore),
      bytes(part.bytes),
      part.relativeError === undefined
        ? "-"
        : `${(part.relativeError * 100).toFixed(2)} %`,
      schemeText(scheme),
    ]),
  ];
  const widths = rows[0]!.map((_, i) =>
    Math.max(...rows.map((row) => row[i]!.length))
  );
  const lines = rows.map((row) =>
    row.map((cell, i) =>
      i === 0 || i === row.length - 1
        ? padEnd(cell, widths[i]!)
        : padStart(cell, widths[i]!)
    ).join("  ").trimEnd()
  );
  return `${lines.join("\n")}\n\n${oneLine(result.dir)}: ${
    bytes(result.bytesBefore)
  } became ${bytes(result.bytes)} in ${duration(ms)}\n`;
}

/** The `quantize` command. */
export const quantize = Command.make("quantize", config, quantizeHandler).pipe(
  Command.withDescription(
    "Write a smaller copy of a checkpoint: its weights in 4 or 8 bits, its vision tower computing in 8 bits. " +
      "Every command reads the copy as any other checkpoint.\n\n" +
      "Memory does not grow with the model. Stopped by Ctrl-C or a crash, the folder is no checkpoint yet, and " +
      "the same command with --resume goes on; weight files that are whole are checked and kept.\n\n" +
      "error is the norm of what the rounding lost over the norm of the weights.",
  ),
  Command.withShortDescription("Write a smaller copy of a checkpoint"),
  Command.withExamples([
    {
      command: "tessera quantize --model DIR --out DIR-int4 --weights int4",
      description: "A quarter of the memory, and the fastest",
    },
    {
      command:
        "tessera quantize --model DIR --out DIR-both --weights int4 --prefill w8a8",
      description: "Fast with long prompts and long answers, for more memory",
    },
    {
      command: "tessera quantize --model DIR --out DIR-w8a8 --weights w8a8",
      description: "For many pictures and short answers",
    },
    {
      command:
        "tessera quantize --model DIR --out DIR-int8 --weights int8 --vision float",
      description: "Next to nothing lost",
    },
  ]),
);
