/**
 * From a picture file to normalised tiles and thumbnail: ours against Pillow and torchvision, picture
 * by picture in turns, one core each.
 *
 * Processor time counts, all threads of the process together: it is what a picture costs, however
 * many cores there are, and what other work on the machine disturbs least. The tensors of both sides
 * are compared in the first round.
 *
 * ```sh
 * deno run --allow-read --allow-write --allow-env --allow-ffi --allow-run bench/preprocess.ts [--json]
 * ```
 *
 * Python is `python3`, or what `TESSERA_PYTHON` names; without Pillow and torch only our side runs.
 * @module
 */
import process from "node:process";
import { Effect } from "effect";
import sharp from "sharp";
import { ImageProcessor } from "../nodes/services.ts";
import type { Tiles } from "../nodes/values.ts";
import { imageProcessorWith } from "../plugins/media/mod.ts";
import { median, pairedRatio, show } from "./stats.ts";
import { table } from "./table.ts";

/** Milliseconds of one picture. */
interface Cost {
  /** On the clock. */
  readonly wall: number;
  /** Of all processors together. */
  readonly cpu: number;
}

/** What was measured with one kind of picture. */
export interface PictureBench {
  /** Such as `4032x3024 JPEG`. */
  readonly name: string;
  /** Bytes of the file. */
  readonly bytes: number;
  /** Tiles, the thumbnail included. */
  readonly tiles: number;
  /** Our milliseconds: medians. */
  readonly ours: Cost;
  /** The reference's milliseconds: medians; absent without Python. */
  readonly reference?: Cost;
  /** How many times as many pictures a core does; the median of paired ratios. */
  readonly ratioPerCore?: number;
  /** The same of each side's least disturbed round, for machines that are busy with other things. */
  readonly bestRatioPerCore?: number;
  /** The ratio on the clock, each side with one picture at a time. */
  readonly ratioWall?: number;
  /** Whether both tensors are the same bytes. */
  readonly identical?: boolean;
  /** Pictures per second with all cores at work. */
  readonly throughput: number;
}

/** What {@link benchPreprocess} finds. */
export interface PreprocessBench {
  /** Versions of the other side; `undefined` when it could not be started. */
  readonly reference: string | undefined;
  /** Rounds measured. */
  readonly rounds: number;
  /** Per picture. */
  readonly pictures: readonly PictureBench[];
}

const OPTIONS = { tileSize: 448, minTiles: 1, maxTiles: 12 };

/** Measures `rounds` rounds of every picture. */
export async function benchPreprocess(
  rounds: number,
): Promise<PreprocessBench> {
  const folder = await Deno.makeTempDir();
  const python = await startPython();
  try {
    const pictures = await writePictures(folder);
    const measured: PictureBench[] = [];
    for (const [name, path] of pictures) {
      measured.push(await measure(name, path, rounds, python));
    }
    return { reference: python?.versions, rounds, pictures: measured };
  } finally {
    await python?.close();
    await Deno.remove(folder, { recursive: true });
  }
}

async function measure(
  name: string,
  path: string,
  rounds: number,
  python: Python | undefined,
): Promise<PictureBench> {
  const once = Effect.gen(function* () {
    const processor = yield* ImageProcessor;
    const image = yield* processor.decode(path);
    // Together, as the nodes of a graph ask for them.
    return yield* Effect.all([
      processor.tile(image, OPTIONS),
      processor.thumbnail(image, OPTIONS.tileSize),
    ], { concurrency: 2 });
  });
  const single = Effect.gen(function* () {
    const first = yield* once;
    const grid = first[0].grid.join(" ");
    const theirs: Cost[] = [], ours: Cost[] = [];
    let identical: boolean | undefined;
    if (python !== undefined) {
      const digest = yield* Effect.promise(() => digestOf(first));
      const line = `${path}\t${grid}\tdigest`;
      const answer = yield* Effect.promise(() => python.ask(line));
      identical = answer.sha256 === digest;
    }
    for (let round = -6; round < rounds; round++) {
      const wall = performance.now(), cpu = cpuMilliseconds();
      yield* once;
      const cost = {
        wall: performance.now() - wall,
        cpu: cpuMilliseconds() - cpu,
      };
      const other = python === undefined
        ? undefined
        : yield* Effect.promise(() => python.ask(`${path}\t${grid}`));
      if (round < 0) continue; // both sides, and their allocators, warm up
      ours.push(cost);
      if (other !== undefined) theirs.push(other);
    }
    return { tiles: tileCount(first), ours, theirs, identical };
  });
  const { tiles, ours, theirs, identical } = await Effect.runPromise(
    Effect.provide(single, imageProcessorWith({ workers: 1 })),
  );
  const many = Math.max(8, 2 * navigator.hardwareConcurrency);
  const throughput = await Effect.runPromise(
    Effect.gen(function* () {
      const all = (count: number) =>
        Effect.forEach(Array.from({ length: count }), () => once, {
          concurrency: navigator.hardwareConcurrency,
          discard: true,
        });
      yield* all(navigator.hardwareConcurrency);
      const start = performance.now();
      yield* all(many);
      return many * 1000 / (performance.now() - start);
    }).pipe(Effect.provide(imageProcessorWith())),
  );
  const base = {
    name,
    bytes: (await Deno.stat(path)).size,
    tiles,
    ours: middle(ours),
    throughput,
  };
  if (theirs.length === 0) return base;
  const ratio = (part: keyof Cost) =>
    pairedRatio(theirs.map((c) => c[part]), ours.map((c) => c[part]));
  return {
    ...base,
    reference: middle(theirs),
    ratioPerCore: ratio("cpu"),
    bestRatioPerCore: least(theirs) / least(ours),
    ratioWall: ratio("wall"),
    identical,
  };
}

const middle = (costs: readonly Cost[]): Cost => ({
  wall: median(costs.map(({ wall }) => wall)),
  cpu: median(costs.map(({ cpu }) => cpu)),
});

const least = (costs: readonly Cost[]): number =>
  Math.min(...costs.map(({ cpu }) => cpu));

const tileCount = (parts: readonly Tiles[]): number =>
  parts.reduce((sum, { pixels }) => sum + pixels.shape[0], 0);

async function digestOf(parts: readonly Tiles[]): Promise<string> {
  const blob = new Blob(parts.map(({ pixels }) => pixels.data));
  const bytes = await blob.arrayBuffer();
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

function cpuMilliseconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The reference in a process of its own. */
interface Python {
  readonly versions: string;
  readonly ask: (line: string) => Promise<Cost & { readonly sha256?: string }>;
  readonly close: () => Promise<void>;
}

/** Starts Python; `undefined` where it, Pillow or torch is missing. */
async function startPython(): Promise<Python | undefined> {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(Deno.env.get("TESSERA_PYTHON") ?? "python3", {
      args: [new URL("./preprocess.py", import.meta.url).pathname],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const writer = child.stdin.getWriter();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const line = async (): Promise<string | undefined> => {
    while (!text.includes("\n")) {
      const { value } = await reader.read();
      if (value === undefined) return undefined;
      text += value;
    }
    const end = text.indexOf("\n");
    const first = text.slice(0, end);
    text = text.slice(end + 1);
    return first;
  };
  const close = async () => {
    await writer.close().catch(() => {});
    await reader.cancel();
    await child.status;
  };
  const hello = await line();
  if (hello === undefined) {
    await close();
    return undefined;
  }
  return {
    versions: JSON.parse(hello).versions,
    ask: async (question) => {
      await writer.write(new TextEncoder().encode(question + "\n"));
      const answer = await line();
      if (answer === undefined) throw new Error("preprocess.py has ended");
      return JSON.parse(answer);
    },
    close,
  };
}

/**
 * Pictures with the spectrum of photographs (each octave half as strong as the one below) and a little
 * of a sensor's noise, so that their files are about as large as a camera's.
 */
async function writePictures(
  folder: string,
): Promise<[name: string, path: string][]> {
  const written: [string, string][] = [];
  for (
    const [width, height, kind] of [
      [4032, 3024, "jpeg"],
      [1920, 1080, "jpeg"],
      [800, 600, "jpeg"],
      [1920, 1080, "png"],
    ] as const
  ) {
    const data = await octaves(width, height);
    const picture = sharp(data, { raw: { width, height, channels: 3 } });
    const path = `${folder}/${width}x${height}.${kind}`;
    await (kind === "jpeg" ? picture.jpeg({ quality: 90 }) : picture.png())
      .toFile(path);
    written.push([`${width}x${height} ${kind.toUpperCase()}`, path]);
  }
  return written;
}

async function octaves(width: number, height: number): Promise<Uint8Array> {
  const sum = new Float32Array(width * height * 3).fill(128);
  let state = 1;
  for (let cells = 2, strength = 64; cells <= width / 2; cells *= 2) {
    const [w, h] = [cells, Math.max(1, Math.round(cells * height / width))];
    const noise = new Uint8Array(w * h * 3);
    for (let i = 0; i < noise.length; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
      noise[i] = state >>> 24;
    }
    const large = await sharp(noise, {
      raw: { width: w, height: h, channels: 3 },
    }).resize(width, height, { fit: "fill", kernel: "linear" }).raw()
      .toBuffer();
    for (let i = 0; i < sum.length; i++) {
      sum[i] += (large[i] - 128) / 128 * strength;
    }
    strength /= 2;
  }
  return Uint8Array.from(sum, (v) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return Math.max(0, Math.min(255, v + (state >>> 29) - 3));
  });
}

/** The figures for people. */
export function preprocessTable(bench: PreprocessBench): string {
  const heading = [
    "picture",
    "KB",
    "tiles",
    "ms",
    "ref. ms",
    "per core",
    "best",
  ];
  const rows = bench.pictures.map((picture) => [
    picture.name,
    show(picture.bytes / 1024),
    String(picture.tiles),
    show(picture.ours.cpu),
    picture.reference === undefined ? "-" : show(picture.reference.cpu),
    picture.ratioPerCore === undefined
      ? "-"
      : `${picture.ratioPerCore.toFixed(2)}x${picture.identical ? "" : " (!)"}`,
    picture.bestRatioPerCore === undefined
      ? "-"
      : `${picture.bestRatioPerCore.toFixed(2)}x`,
  ]);
  const notes = [
    `processor time per picture, medians of ${bench.rounds} rounds in turns, and the ratio of the least disturbed rounds; decoding, tiles and thumbnail`,
    bench.reference === undefined
      ? "no Python with Pillow and torch to compare with"
      : `reference: ${bench.reference}, one thread; tensors ${
        bench.pictures.every(({ identical }) => identical)
          ? "identical byte for byte"
          : "NOT identical where marked"
      }`,
    `all ${navigator.hardwareConcurrency} cores: ${
      bench.pictures.map(({ name, throughput }) =>
        `${show(throughput)}/s ${name}`
      ).join(", ")
    }`,
  ];
  return table([heading, ...rows, ...notes.map((note) => [note])]);
}

if (import.meta.main) {
  const rounds = Number(Deno.args.find((a) => /^\d+$/.test(a)) ?? 12);
  const bench = await benchPreprocess(rounds);
  console.log(
    Deno.args.includes("--json")
      ? JSON.stringify(bench, null, 2)
      : preprocessTable(bench),
  );
}
