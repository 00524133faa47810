/**
 * What the SDK does around the model: pictures, the graph, constraints.
 * @module
 */
import { benchConstrain } from "../constrain.ts";
import { benchGraph } from "../graph.ts";
import { benchPreprocess, preprocessTable } from "../preprocess.ts";
import { show } from "../stats.ts";
import { table } from "../table.ts";
import type { Section } from "./section.ts";

export const preprocess: Section = {
  name: "preprocess",
  about: "pictures per second, against Pillow and torch where Python has them",
  title: "Preprocessing: from pixels to normalised tiles",
  measure: async (_place, rounds) => {
    const figures = await benchPreprocess(rounds);
    return { figures: { ...figures }, text: preprocessTable(figures) };
  },
};

export const graph: Section = {
  name: "graph",
  about: "microseconds per node that the graph itself costs",
  title: "Graph: overhead per node, in chains of 1,000 nodes that do nothing",
  measure: async (_place, rounds) => {
    const figures = await benchGraph(1000, Math.max(10, rounds * 4));
    const rows: [string, number][] = [
      ["chain", figures.chain],
      ["chain, without spans", figures.chainUntraced],
      ["chain, in a lane", figures.chainInLane],
      ["chain, with a listener", figures.chainWithEvents],
      ["chain, runs stored in memory", figures.chainWithStore],
      ["chain, memo that knows nothing", figures.chainMemoMiss],
      ["chain, memo that knows all", figures.chainMemoHit],
      ["one node to all others", figures.fanOut],
      ["one mapped node", figures.each],
      ["bare Effect.flatMap, for comparison", figures.bareEffects],
    ];
    return {
      figures: { ...figures },
      text: table([
        ["pipeline", "µs/node"],
        ...rows.map(([name, value]) => [name, show(value)]),
      ]),
    };
  },
};

export const constrain: Section = {
  name: "constrain",
  about: "what a JSON schema costs a token, over 92,553 tokens",
  title: "Constrained output: masks over 92,553 made-up tokens",
  measure: async (_place, rounds) => {
    const figures = await benchConstrain(rounds);
    const { buildMs, buildCpuMs, buildStallMs, applyMs, constraints } = figures;
    return {
      figures: { ...figures },
      text: [
        table([
          ["ms", "wall", "computing"],
          [
            "the vocabulary's tree, once a model",
            show(buildMs),
            show(buildCpuMs),
          ],
          ["  longest stall of the event loop in it", show(buildStallMs), ""],
          ["a mask put on the logits, median", show(applyMs.median), ""],
          ...constraints.map(({ name, firstMs, firstCpuMs }) => [
            `${name}: to the first mask`,
            show(firstMs),
            show(firstCpuMs),
          ]),
        ]),
        table([
          [
            "ms of processor time a token: mask and step",
            "first answers",
            "99 %",
            "later",
          ],
          ...constraints.map(({ name, coldMs, cold99Ms, warmMs }) => [
            name,
            show(coldMs.median),
            show(cold99Ms),
            show(warmMs.median),
          ]),
        ]),
      ].join("\n\n"),
    };
  },
};
