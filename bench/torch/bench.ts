/**
 * The vision tower of 300 M parameters, and a whole chat, against PyTorch on the same cores.
 * @module
 */
import { Effect } from "effect";
import { fileURLToPath } from "node:url";
import { InternVL, quantize } from "../../mod.ts";
import { makeVisionEncoder } from "../../plugins/internvl/graphs/encoder.ts";
import type { BlockScheme } from "../../plugins/internvl/quantize/scheme.ts";
import { ffiBackend } from "../../plugins/onnx/mod.ts";
import { anyTile, loadPart, openFixture, timed } from "../fixture.ts";
import { openPeer, type Peer } from "../peer.ts";
import type { Scratch } from "../scratch.ts";
import { median, pairedRatio } from "../stats.ts";

/** One kind of computation: milliseconds, and how many times as fast it is as PyTorch in float32. */
export interface Speed {
  /** Milliseconds: the median. */
  readonly ms: number;
  /** The median of the ratios of measurements in turns; absent without PyTorch. */
  readonly ratio?: number;
}

/** What both comparisons say. */
interface AgainstTorch {
  /** PyTorch's version; absent where it could not be started. */
  readonly torch?: string;
  /** Threads of either side. */
  readonly threads: number;
}

/** What {@link benchTower} finds: milliseconds of a tile. */
export interface TowerBench extends AgainstTorch {
  readonly float32: Speed;
  readonly w8a8: Speed;
  readonly torchFloat32?: Speed;
  /** A single measurement: without native bfloat16 it takes most of a minute. */
  readonly torchBfloat16?: Speed;
}

/** What {@link benchChat} finds: milliseconds of an answer. */
export interface ChatBench extends AgainstTorch {
  readonly tiles: number;
  readonly promptTokens: number;
  readonly tokens: number;
  readonly float32: Speed;
  readonly quantized: Speed;
  /** The same with a second set of weights for the prompt. */
  readonly twoSets: Speed;
  readonly torchFloat32?: Speed;
  /** Milliseconds of the stages of ours, of the last round: by side, then by stage. */
  readonly stages: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

const TOKENS = 64;

const blocks: BlockScheme = {
  type: "blocks",
  bits: 4,
  blockSize: 64,
  symmetric: true,
};

/** PyTorch on a checkpoint; `undefined` where Python or what it needs is missing. */
function openTorch(dir: string, threads: number): Promise<Peer | undefined> {
  return openPeer(Deno.env.get("TESSERA_PYTHON") ?? "python3", [
    fileURLToPath(new URL("./peer.py", import.meta.url)),
    dir,
    String(threads),
  ]);
}

/** The vision tower of 300 M parameters, on one tile. */
export async function benchTower(
  scratch: Scratch,
  rounds: number,
): Promise<TowerBench> {
  const threads = navigator.hardwareConcurrency;
  const parts = ["vision"] as const;
  const float = await scratch.mini2b({ parts });
  const quantized = await scratch.mini2b({
    parts,
    quantization: {
      vision: { type: "w8a8" },
      language: blocks,
      head: blocks,
      embedding: blocks,
    },
  });
  await using torch = await openTorch(float, threads);
  const program = Effect.gen(function* () {
    const open = Effect.fnUntraced(function* (dir: string) {
      const fixture = yield* openFixture(dir);
      const session = yield* loadPart(fixture, "vision");
      const encoder = makeVisionEncoder(session, fixture.config);
      const tile = anyTile(fixture);
      return Effect.map(timed(encoder.encode(tile)), ([ms]) => ms);
    });
    const sides: [string, Effect.Effect<number, unknown>][] = [
      ["float32", yield* open(float)],
      ["w8a8", yield* open(quantized)],
    ];
    if (torch !== undefined) {
      const ask = (vision: string) =>
        Effect.promise(() => torch.ask<number>({ vision }));
      sides.push(["torchFloat32", ask("float32")]);
    }
    const times = yield* inTurns(sides, rounds, 1);
    if (torch !== undefined) {
      // By itself: PyTorch holds the weights in one type at a time.
      const ask = () => torch.ask<number>({ vision: "bfloat16" });
      times.torchBfloat16 = [yield* Effect.promise(ask)];
    }
    return times;
  });
  const times = await Effect.runPromise(
    Effect.scoped(program).pipe(Effect.provide(ffiBackend)),
  );
  return {
    torch: torch?.about,
    threads,
    float32: speed(times, "float32")!,
    w8a8: speed(times, "w8a8")!,
    torchFloat32: speed(times, "torchFloat32"),
    torchBfloat16: speed(times, "torchBfloat16"),
  };
}

/**
 * A chat about a picture of 12 megapixels with the synthetic checkpoint, reading it included; PyTorch,
 * which is the reference run eagerly, gets its tiles for nothing.
 */
export async function benchChat(
  scratch: Scratch,
  rounds: number,
): Promise<ChatBench> {
  const threads = navigator.hardwareConcurrency;
  const dir = await scratch.synthetic();
  const picture = await scratch.picture();
  const small = scratch.path("synthetic-int4");
  await Effect.runPromise(quantize(dir, small, { weights: "int4" }));
  // Nothing is kept from one chat to the next: no features, and no beginning of a prompt is the same.
  await using float = await InternVL.load(dir, { cacheBytes: 0 });
  await using quantized = await InternVL.load(small, { cacheBytes: 0 });
  await using twoSets = await InternVL.load(await scratch.twoSets(), {
    cacheBytes: 0,
  });
  await using torch = await openTorch(dir, threads);
  let round = 0;
  let usage = { promptTokens: 0, imageTokens: 0 };
  const stages: Record<string, Readonly<Record<string, number>>> = {};
  const ours = (side: string, model: InternVL) =>
    Effect.promise(async () => {
      const start = performance.now();
      const result = await model.chat({
        images: [picture],
        question: "What is in the picture?",
        systemMessage: `Answer number ${round++}.`,
        maxTiles: 6,
        generation: { maxNewTokens: TOKENS, minNewTokens: TOKENS },
      });
      usage = result.usage;
      stages[side] = result.timings;
      return performance.now() - start;
    });
  await Effect.runPromise(ours("quantized", quantized));
  const tiles = Math.round(
    usage.imageTokens / float.info.tokensPerTile,
  );
  const sides: [string, Effect.Effect<number, unknown>][] = [
    ["float32", ours("float32", float)],
    ["quantized", ours("quantized", quantized)],
    ["twoSets", ours("twoSets", twoSets)],
  ];
  if (torch !== undefined) {
    const command = {
      chat: tiles,
      text: usage.promptTokens - usage.imageTokens,
      tokens: TOKENS,
    };
    sides.push([
      "torchFloat32",
      Effect.promise(() => torch.ask<number>(command)),
    ]);
  }
  const times = await Effect.runPromise(inTurns(sides, rounds, 0));
  return {
    torch: torch?.about,
    threads,
    tiles,
    promptTokens: usage.promptTokens,
    tokens: TOKENS,
    float32: speed(times, "float32")!,
    quantized: speed(times, "quantized")!,
    twoSets: speed(times, "twoSets")!,
    torchFloat32: speed(times, "torchFloat32"),
    stages,
  };
}

type Times = Record<string, number[]>;

/** Each side `warm` times for nothing, then `rounds` times in turns. */
const inTurns = Effect.fnUntraced(function* (
  sides: readonly (readonly [string, Effect.Effect<number, unknown>])[],
  rounds: number,
  warm: number,
) {
  const times: Times = {};
  for (let round = -warm; round < rounds; round++) {
    for (const [name, side] of sides) {
      const ms = yield* side;
      if (round >= 0) (times[name] ??= []).push(ms);
    }
  }
  return times;
});

/** What one side's times come to, beside PyTorch's in float32. */
function speed(times: Times, name: string): Speed | undefined {
  const { [name]: list, torchFloat32: torch } = times;
  if (list === undefined) return undefined;
  if (torch === undefined) return { ms: median(list) };
  return {
    ms: median(list),
    ratio: list.length === torch.length
      ? pairedRatio(torch, list)
      : median(torch) / median(list),
  };
}
