/**
 * Asks a model the tasks' questions and counts what is right.
 * @module
 */
import type { InternVL, Sample } from "../mod.ts";
import type { Font } from "./draw.ts";
import { random } from "./random.ts";
import type { Share } from "./score.ts";
import type { Case, Goal, Task } from "./tasks.ts";

/** A wrong answer, for a closer look. */
export interface Miss {
  /** The kind of question. */
  readonly about: string;
  /** The question. */
  readonly question: string;
  /** What was answered. */
  readonly given: string;
  /** What is right. */
  readonly right: string;
}

/** What came of a task. */
export interface Outcome {
  /** The task's name. */
  readonly task: string;
  /** Right answers by measure. */
  readonly measures: Record<string, [right: number, of: number]>;
  /** Right answers by kind of question: of the first measure that a case counts for. */
  readonly kinds: Record<string, [right: number, of: number]>;
  /** The first wrong answers. */
  readonly misses: Miss[];
  /** Seconds it took. */
  seconds: number;
}

/** How a task is run. */
export interface RunOptions {
  /** The seed; every task and trial has its own stream of it. */
  readonly seed: number;
  /** Trials. */
  readonly count: number;
  /** Fonts for printing. */
  readonly fonts: readonly Font[];
  /** A folder for videos. */
  readonly folder: string;
  /** How many wrong answers to keep. */
  readonly misses?: number;
  /** Stops between batches. */
  readonly signal?: AbortSignal;
  /** Is told after every batch how many trials are done. */
  readonly onProgress?: (done: number) => void;
}

// Trials at once: enough that drawing, seeing and answering overlap, few enough to hold in memory.
const BATCH = 8;

function add(
  to: Record<string, [number, number]>,
  name: string,
  [right, of]: Share,
): void {
  const sum = to[name] ??= [0, 0];
  sum[0] += right;
  sum[1] += of;
}

/** Runs one task. */
export async function runTask(
  model: InternVL,
  task: Task,
  options: RunOptions,
): Promise<Outcome> {
  const { seed, count, fonts, folder, signal } = options;
  const began = performance.now();
  const outcome: Outcome = {
    task: task.name,
    measures: {},
    kinds: {},
    misses: [],
    seconds: 0,
  };
  for (let from = 0; from < count; from += BATCH) {
    signal?.throwIfAborted();
    const trials = Array.from(
      { length: Math.min(BATCH, count - from) },
      (_, i) => task.trial(random(`${seed} ${task.name} ${from + i}`), fonts),
    );
    const asked = (await Promise.all(trials.map(async (trial) => {
      const shown = await trial.show(folder);
      return trial.cases.map((ask) => ({ ask, shown }));
    }))).flat();
    // Cases with the same number of tiles go together.
    for (const maxTiles of new Set(asked.map(({ ask }) => ask.maxTiles))) {
      const part = asked.filter(({ ask }) => ask.maxTiles === maxTiles);
      let answers: readonly { response: string; history: Sample["history"] }[] =
        [];
      const rounds = Math.max(...part.map(({ ask }) => ask.rounds.length));
      for (let round = 0; round < rounds; round++) {
        const before = answers;
        answers = await model.batchChat({
          samples: part.map(({ ask, shown }, i) => ({
            ...shown,
            question: ask.rounds[round]!,
            history: before[i]?.history,
          })),
          ...(maxTiles === undefined ? {} : { maxTiles }),
          generation: { maxNewTokens: 160 },
          signal,
        });
      }
      part.forEach(({ ask }, i) =>
        judge(outcome, ask, answers[i]!.response, options.misses ?? 20)
      );
    }
    for (const { shown: { video } } of asked) {
      if (typeof video === "object" && "source" in video) {
        await Deno.remove(video.source);
      }
    }
    options.onProgress?.(Math.min(count, from + BATCH));
  }
  outcome.seconds = (performance.now() - began) / 1000;
  return outcome;
}

function judge(
  outcome: Outcome,
  ask: Case,
  given: string,
  misses: number,
): void {
  const scores = Object.entries(ask.score(given));
  for (const [measure, share] of scores) add(outcome.measures, measure, share);
  const first = scores.find(([, [, of]]) => of === 1)?.[1];
  if (first === undefined) return;
  add(outcome.kinds, ask.about, first);
  if (first[0] === 0 && outcome.misses.length < misses) {
    outcome.misses.push({
      about: ask.about,
      question: ask.rounds.join(" | "),
      given,
      right: ask.answer,
    });
  }
}

/** A share as a number. */
export const share = ([right, of]: Share): number => right / of;

/** Whether a goal is reached, and what it is in words. */
export function reached(
  { measure, atLeast, below, near }: Goal,
  { measures }: Outcome,
): { ok: boolean; goal: string } {
  const got = share(measures[measure]!);
  const percent = (n: number) => `${Math.round(100 * n)} %`;
  if (atLeast !== undefined) {
    return { ok: got >= atLeast, goal: percent(atLeast) };
  }
  if (below !== undefined) {
    return { ok: got < below, goal: `< ${percent(below)}` };
  }
  const [other, by] = near!;
  return {
    ok: got >= share(measures[other]!) - by,
    goal: `${other} − ${Math.round(100 * by)} points`,
  };
}

/** The table of outcomes, one line a measure. */
export function table(
  tasks: readonly Task[],
  outcomes: readonly Outcome[],
): string {
  const rows = outcomes.flatMap((outcome) => {
    const task = tasks.find(({ name }) => name === outcome.task)!;
    return Object.entries(outcome.measures).map(([measure, [right, of]]) => {
      const goal = task.goals.find((goal) => goal.measure === measure);
      const judged = goal && reached(goal, outcome);
      return [
        outcome.task,
        measure,
        `${(100 * right / of).toFixed(1)} %`,
        `${right} of ${of}`,
        judged?.goal ?? "",
        judged ? (judged.ok ? "yes" : "no") : "",
      ];
    });
  });
  const all = [["task", "measure", "right", "", "goal", "reached"], ...rows];
  const widths = all[0]!.map((_, i) =>
    Math.max(...all.map((row) => row[i]!.length))
  );
  return all.map((row) =>
    row.map((cell, i) =>
      i === 2 || i === 3 ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)
    ).join("  ").trimEnd()
  ).join("\n") + "\n";
}
