/**
 * Runs a model on a GPU and on the CPU and prints one table: parity, memory, speed.
 *
 * ```sh
 * tools/gpu/smoke --shape nano --shape v1-5 --scratch /data/scratch
 * ```
 * @module
 */
import { Effect, Layer } from "effect";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  mini2bConfig,
  type NoiseOptions,
  syntheticConfig,
  v15Config,
  writeNoise,
} from "../../bench/checkpoint.ts";
import { show } from "../../bench/stats.ts";
import { table } from "../../bench/table.ts";
import {
  type BackendError,
  type CheckpointError,
  type ComputeType,
  type Device,
  ffiBackend,
  type HostTensor,
  hostTensor,
  internvl,
  LanguageModel,
  ModelInfo,
  Projector,
  type Prompt,
  quantize,
  VisionEncoder,
} from "../../mod.ts";
import type { Scheme } from "../../plugins/internvl/quantize/scheme.ts";

const HELP = `Usage: tools/gpu/smoke [options]

  --shape NAME     nano (trained, 4 layers; also compares the answers with the
                   CPU's), synthetic (159 M parameters), mini2b (2 B), v1-5
                   (25.5 B: 51 GB of files, 22 GB in 4 bits). May be given
                   several times; default: nano, synthetic
  --kind NAME      float16, bfloat16, int4. May be given several times;
                   default: all
  --device NAME    cuda (default), webgpu, or cpu to try the script itself
  --device-id N    index of the GPU; two, as 0,1, put the vision half and the
                   language half on a GPU each. Default 0
  --scratch DIR    where random weights are written and deleted; default: the
                   system's folder for temporary files
  --json           print the figures as JSON
  --help           print this
`;

const shapes = {
  nano: undefined,
  synthetic: syntheticConfig,
  mini2b: mini2bConfig,
  "v1-5": v15Config,
} satisfies Record<string, NoiseOptions["config"]>;
type Shape = keyof typeof shapes;
type Kind = "float16" | "bfloat16" | "int4";
const kinds: readonly Kind[] = ["float16", "bfloat16", "int4"];

interface Options {
  readonly shapes: readonly Shape[];
  readonly kinds: readonly Kind[];
  readonly device: Device;
  readonly deviceId: number | { vision: number; language: number };
  readonly scratch: string | undefined;
  readonly json: boolean;
}

/** What one model has come to. */
interface Row {
  readonly shape: Shape;
  readonly kind: Kind | "float32";
  readonly device: Device;
  /** Why there are no figures. */
  readonly failure?: string;
  readonly loadSeconds?: number;
  /** Memory of all GPUs that the loaded model took, in GiB; after the run. */
  readonly gpuGiB?: number;
  readonly tileMs?: number;
  /** Tokens per second. */
  readonly prefill?: number;
  readonly decode256?: number;
  readonly decode2048?: number;
  /** Largest difference of the features from the CPU's in float32, over the CPU's largest. */
  readonly featuresOff?: number;
  /** Greedy tokens that are the CPU's, of all. */
  readonly sameTokens?: number;
}

/** What the CPU computes in float32. */
interface Reference {
  readonly features: Float32Array;
  readonly ids: readonly Int32Array[];
}

const PROMPTS = 4;
const ANSWER = 32;

function readArguments(args: readonly string[]): Options | string {
  const { values } = parseArgs({
    args: [...args],
    options: {
      shape: { type: "string", multiple: true, default: ["nano", "synthetic"] },
      kind: { type: "string", multiple: true, default: [...kinds] },
      device: { type: "string", default: "cuda" },
      "device-id": { type: "string", default: "0" },
      scratch: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return HELP;
  const among = <A extends string>(
    option: string,
    value: string,
    known: readonly A[],
  ): A => {
    if ((known as readonly string[]).includes(value)) return value as A;
    throw new RangeError(
      `--${option} ${value}: not one of ${known.join(", ")}`,
    );
  };
  const ids = values["device-id"].split(",").map(Number);
  if (ids.length > 2 || !ids.every((id) => Number.isInteger(id) && id >= 0)) {
    throw new RangeError(
      `--device-id ${values["device-id"]}: one index of a GPU, or two as 0,1`,
    );
  }
  return {
    shapes: values.shape.map((name) =>
      among("shape", name, Object.keys(shapes) as Shape[])
    ),
    kinds: values.kind.map((name) => among("kind", name, kinds)),
    device: among("device", values.device, ["cuda", "webgpu", "cpu"]),
    deviceId: ids.length === 1 ? ids[0] : { vision: ids[0], language: ids[1] },
    scratch: values.scratch,
    json: values.json,
  };
}

const blocks: Scheme = {
  type: "blocks",
  bits: 4,
  blockSize: 32,
  symmetric: true,
};

/** The folder of a model; written where it is none of ours. */
async function folderOf(
  shape: Shape,
  kind: Kind,
  scratch: string,
): Promise<string> {
  const nano = fileURLToPath(new URL("../../models/nano", import.meta.url));
  const config = shapes[shape];
  const dir = `${scratch}/${shape}-${kind === "int4" ? kind : "float"}`;
  if (config === undefined) {
    if (kind !== "int4") return nano;
    await Effect.runPromise(
      quantize(nano, dir, { weights: "int4", vision: "float" }),
    );
    return dir;
  }
  try {
    await Deno.mkdir(dir);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return dir;
    throw error;
  }
  await writeNoise(dir, nano, {
    config,
    quantization: kind !== "int4" ? undefined : {
      vision: { type: "float" },
      language: blocks,
      head: blocks,
      embedding: blocks,
    },
  });
  return dir;
}

type Services = ModelInfo | VisionEncoder | Projector | LanguageModel;

const model = (
  dir: string,
  options: {
    readonly device: Device;
    readonly deviceId?: Options["deviceId"];
    readonly dtype?: ComputeType;
  },
): Layer.Layer<Services, CheckpointError | BackendError> =>
  internvl(dir, options).pipe(Layer.provide(ffiBackend));

function prompt(length: number, seed: number): Prompt {
  return {
    text: "",
    ids: Int32Array.from(
      { length },
      (_, i) => 3 + ((i + seed * 7919) * 2_654_435_761 >>> 7) % 900,
    ),
    images: [],
    question: "",
  };
}

function anyTile(edge: number): HostTensor<"float32"> {
  return hostTensor(
    "float32",
    [1, 3, edge, edge],
    Float32Array.from(
      { length: 3 * edge * edge },
      (_, i) => (i * 2_654_435_761 >>> 8) / 2 ** 23 - 1,
    ),
  );
}

/** Features of a tile, and greedy answers. */
const compute = Effect.fnUntraced(function* () {
  const { tileSize } = yield* ModelInfo;
  const encoder = yield* VisionEncoder;
  const language = yield* LanguageModel;
  const features = yield* encoder.encode(anyTile(tileSize));
  const ids: Int32Array[] = [];
  for (let i = 0; i < PROMPTS; i++) {
    const completion = yield* language.generate({
      prompt: prompt(64, i),
      visual: [],
      settings: { maxNewTokens: ANSWER },
    });
    ids.push(completion.ids);
  }
  return { features: (yield* features.read) as Float32Array, ids };
});

/** Milliseconds of a tile, tokens per second of prompt and answer. */
const speed = Effect.fnUntraced(function* () {
  const { tileSize, contextLength } = yield* ModelInfo;
  const encoder = yield* VisionEncoder;
  const projector = yield* Projector;
  const language = yield* LanguageModel;
  const tile = anyTile(tileSize);
  const see = Effect.gen(function* () {
    const start = performance.now();
    yield* projector.project(yield* encoder.encode(tile));
    return performance.now() - start;
  });
  const answer = (length: number, tokens: number, seed: number) =>
    Effect.suspend(() => {
      const start = performance.now();
      let first = 0;
      return Effect.map(
        language.generate({
          prompt: prompt(length, seed),
          visual: [],
          settings: { maxNewTokens: tokens, minNewTokens: tokens },
          observer: { onFirstToken: () => first = performance.now() },
        }),
        () => ({ prefill: first - start, decode: performance.now() - first }),
      );
    });
  yield* see;
  yield* answer(512, 8, 100);
  const tileMs = Math.min(yield* see, yield* see);
  const decodeAt = Effect.fnUntraced(function* (context: number) {
    if (context + 40 > contextLength) return undefined;
    const { decode } = yield* answer(context, 33, 200 + context);
    return 32 * 1000 / decode;
  });
  return {
    tileMs,
    prefill: 512 * 1000 / (yield* answer(512, 1, 101)).prefill,
    decode256: yield* decodeAt(256),
    decode2048: yield* decodeAt(2048),
  };
});

/** GiB in use on all GPUs, as the driver tells; `undefined` where it does not. */
async function gpuMemory(): Promise<number | undefined> {
  try {
    const { success, stdout } = await new Deno.Command("nvidia-smi", {
      args: ["--query-gpu=memory.used", "--format=csv,noheader,nounits"],
    }).output();
    if (!success) return undefined;
    const lines = new TextDecoder().decode(stdout).trim().split("\n");
    return lines.reduce((sum, line) => sum + Number(line), 0) / 1024;
  } catch {
    return undefined;
  }
}

function compare(
  reference: Reference,
  found: Reference,
): Pick<Row, "featuresOff" | "sameTokens"> {
  let largest = 0, off = 0;
  reference.features.forEach((value, i) => {
    largest = Math.max(largest, Math.abs(value));
    off = Math.max(off, Math.abs(value - found.features[i]));
  });
  let same = 0, all = 0;
  reference.ids.forEach((ids, i) => {
    all += ids.length;
    // Behind the first other token everything may be another.
    const until = ids.findIndex((id, at) => id !== found.ids[i][at]);
    same += until < 0 ? ids.length : until;
  });
  return { featuresOff: off / largest, sameTokens: same / all };
}

async function measure(
  options: Options,
  shape: Shape,
  kind: Kind,
  scratch: string,
  reference: Reference | undefined,
): Promise<Row> {
  const { device, deviceId } = options;
  // The CPU has kernels for float32 only.
  const dtype: ComputeType = device === "cpu"
    ? "float32"
    : kind === "int4"
    ? "float16"
    : kind;
  const dir = await folderOf(shape, kind, scratch);
  const before = await gpuMemory();
  const start = performance.now();
  const program = Effect.gen(function* () {
    const loadSeconds = (performance.now() - start) / 1000;
    const parity = reference === undefined
      ? {}
      : compare(reference, yield* compute());
    const figures = yield* speed();
    const after = yield* Effect.promise(gpuMemory);
    return {
      loadSeconds,
      ...parity,
      ...figures,
      gpuGiB: before === undefined || after === undefined
        ? undefined
        : after - before,
    };
  });
  const row = { shape, kind, device };
  try {
    const found = await Effect.runPromise(
      Effect.provide(program, model(dir, { device, deviceId, dtype })),
    );
    return { ...row, ...found };
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    return { ...row, failure: failure.split("\n")[0] };
  }
}

async function main(args: readonly string[]): Promise<number> {
  let options: Options | string;
  try {
    options = readArguments(args);
  } catch (error) {
    console.error(`smoke: ${error instanceof Error ? error.message : error}`);
    return 2;
  }
  if (typeof options === "string") {
    console.log(options);
    return 0;
  }
  const scratch = await Deno.makeTempDir({
    dir: options.scratch,
    prefix: "tessera-smoke-",
  });
  const remove = () => Deno.removeSync(scratch, { recursive: true });
  const interrupted = () => {
    remove();
    Deno.exit(130);
  };
  Deno.addSignalListener("SIGINT", interrupted);
  const rows: Row[] = [];
  try {
    for (const shape of options.shapes) {
      // Random weights answer nonsense, where two tokens are often as good as equal: parity is nano's.
      const reference = shape !== "nano" ? undefined : await Effect.runPromise(
        Effect.provide(
          compute(),
          model(await folderOf(shape, "float16", scratch), { device: "cpu" }),
        ),
      );
      for (const kind of options.kinds) {
        console.error(`${shape}, ${kind} …`);
        rows.push(await measure(options, shape, kind, scratch, reference));
      }
    }
  } finally {
    Deno.removeSignalListener("SIGINT", interrupted);
    remove();
  }
  if (options.json) console.log(JSON.stringify(rows, null, 2));
  else console.log(report(rows));
  return rows.some(({ failure }) => failure !== undefined) ? 1 : 0;
}

function report(rows: readonly Row[]): string {
  const cell = (value: number | undefined) =>
    value === undefined ? "-" : show(value);
  return table([
    [
      "",
      "load s",
      "GPU GiB",
      "tile ms",
      "prefill",
      "at 256",
      "at 2,048",
      "off",
      "same",
    ],
    ...rows.map((row) =>
      row.failure === undefined
        ? [
          `${row.shape}, ${row.kind}`,
          cell(row.loadSeconds),
          cell(row.gpuGiB),
          cell(row.tileMs),
          cell(row.prefill),
          cell(row.decode256),
          cell(row.decode2048),
          row.featuresOff === undefined
            ? "-"
            : row.featuresOff.toExponential(1),
          row.sameTokens === undefined
            ? "-"
            : `${(row.sameTokens * 100).toFixed(0)} %`,
        ]
        : [`${row.shape}, ${row.kind}: ${row.failure}`]
    ),
    [
      "prefill: tokens/s of a prompt of 512; at: tokens/s of an answer behind so many tokens; off: largest difference of the features from the CPU's in float32, over their largest; same: greedy tokens up to the first that is not the CPU's",
    ],
  ]);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
