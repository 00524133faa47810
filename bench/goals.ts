/**
 * The goals the figures are held against, all in one table: the last section.
 * @module
 */
import type { EngineBench, RoundsBench } from "./engine.ts";
import type { HttpLoad } from "./http.ts";
import type { LlamaBench, PrefillBench } from "./llama/bench.ts";
import type { StepBench } from "./step.ts";
import type { ChatBench, TowerBench } from "./torch/bench.ts";

/** Figures of a run, by section; a section that was not measured or failed is missing. */
export interface Figures {
  readonly llama?: LlamaBench;
  readonly prefill?: PrefillBench;
  readonly tower?: TowerBench;
  readonly chat?: ChatBench;
  readonly step?: {
    readonly synthetic: StepBench;
    readonly mini2b: StepBench;
  };
  readonly http?: {
    readonly synthetic: readonly HttpLoad[];
    /** With longer answers. */
    readonly long: { readonly synthetic: readonly HttpLoad[] };
  };
  readonly engine?: {
    readonly synthetic: EngineBench;
    readonly chat: RoundsBench;
  };
}

/** A goal and what was measured. */
export interface Goal {
  /** What is measured, against what. */
  readonly measure: string;
  /** The goal, for people. */
  readonly goal: string;
  /** The figure; `undefined` where it was not measured. */
  readonly measured: number | undefined;
  /** Whether the goal is reached; `undefined` where it was not measured. */
  readonly reached: boolean | undefined;
}

const times = (n: number) => `${n} times`;
const percents = (n: number) => `${n * 100} %`;

/** Every goal, measured or not. */
export function goals(figures: Figures): readonly Goal[] {
  const { llama, prefill, tower, chat, step, engine, http } = figures;
  const list: Goal[] = [];
  const least = (measure: string, goal: number, measured?: number) =>
    list.push({
      measure,
      goal: `at least ${times(goal)}`,
      measured,
      reached: measured === undefined ? undefined : measured >= goal,
    });
  const most = (
    measure: string,
    goal: number,
    unit: (n: number) => string,
    measured?: number,
  ) =>
    list.push({
      measure,
      goal: `at most ${unit(goal)}`,
      measured,
      reached: measured === undefined ? undefined : measured <= goal,
    });
  for (const context of [256, 2048, 4096]) {
    const at = llama?.decode.find((d) => d.context === context);
    least(
      `decode in 4 bits at a context of ${context}, against llama.cpp`,
      1,
      at?.ratio,
    );
  }
  const share = llama === undefined
    ? undefined
    : Math.min(...llama.decode.map(({ bandwidthShare }) => bandwidthShare));
  list.push({
    measure:
      "share of the memory's read bandwidth in decode, the least of them",
    goal: "at least 80 %",
    measured: share,
    reached: share === undefined ? undefined : share >= 0.8,
  });
  least(
    "prefill in 4 bits with a second set of weights, against llama.cpp",
    2,
    prefill?.bytes.ratio,
  );
  least(
    "8 requests at once, tokens/s against one request",
    3.5,
    engine?.synthetic.gain,
  );
  most(
    "time to the first token of the second round, against the first",
    0.05,
    percents,
    engine?.chat.ratio,
  );
  least(
    "vision tower in w8a8, against PyTorch float32",
    3,
    tower?.w8a8.ratio,
  );
  least(
    "vision tower in float32, against PyTorch float32",
    1.2,
    tower?.float32.ratio,
  );
  least(
    "chat in int4 with a second set of weights, against the reference in PyTorch",
    5,
    chat?.twoSets.ratio,
  );
  least(
    "chat in float32, against the reference in PyTorch",
    1.3,
    chat?.float32.ratio,
  );
  most(
    "overhead of a token over the bare Run, synthetic model",
    0.01,
    percents,
    step?.synthetic.overhead,
  );
  // One run of it and the next differ by more than this, which would hide it in the whole overhead.
  most(
    "of a token's overhead what lies between two runs, 2 B parameters in 4 bits",
    0.01,
    percents,
    step?.mini2b.betweenShare,
  );
  most(
    "longest gap of the event loop under load, ms",
    10,
    (n) => `${n} ms`,
    engine?.synthetic.gap.ms,
  );
  for (
    const [answers, loads] of [
      ["16 tokens, 1 to 64 at once", http?.synthetic],
      ["128 tokens, 1 to 16 at once", http?.long.synthetic],
    ] as const
  ) {
    const measured = loads === undefined
      ? undefined
      : Math.min(...loads.map(({ ratio }) => ratio));
    list.push({
      measure: `tokens/s over HTTP against the engine, answers of ${answers}`,
      goal: "at least 95 %",
      measured,
      reached: measured === undefined ? undefined : measured >= 0.95,
    });
  }
  return list;
}
