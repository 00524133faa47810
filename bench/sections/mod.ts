/**
 * The sections of the benchmark: what each measures, and its table.
 * @module
 */
import { type Figures, goals } from "../goals.ts";
import { show } from "../stats.ts";
import { table } from "../table.ts";
import {
  bindings,
  engine,
  model,
  quality,
  speculate,
  stall,
  step,
} from "./model.ts";
import { chat, llama, prefill, tower } from "./peers.ts";
import { constrain, graph, preprocess } from "./sdk.ts";
import { percent, type Section } from "./section.ts";
import { dashboard, http, served } from "./serving.ts";

/** All sections, in the order in which they run. */
export const sections: readonly Section[] = [
  preprocess,
  graph,
  model,
  step,
  stall,
  bindings,
  dashboard,
  engine,
  speculate,
  constrain,
  http,
  served,
  llama,
  prefill,
  tower,
  chat,
  quality,
];

/** The goals, with what the sections before have found; for people. */
export function goalsTable(figures: Figures): string {
  const found = goals(figures);
  const missing = found.filter(({ measured }) => measured === undefined).length;
  return table([
    ["", "goal", "measured", "reached"],
    ...found.map(({ measure, goal, measured, reached }) => [
      measure,
      goal,
      measured === undefined
        ? "-"
        : goal.endsWith("%")
        ? percent(measured)
        : show(measured),
      reached === undefined ? "-" : reached ? "yes" : "no",
    ]),
    ...(missing === 0 ? [] : [[
      `${missing} not measured in this run: a section left out, or nothing to compare with`,
    ]]),
  ]);
}
