/**
 * A pipeline as a Mermaid flowchart.
 * @module
 */
import { isPipeline, type Pipeline } from "./handles.ts";
import type { Graph, Source } from "./model.ts";
import type { AnyPort, Ports } from "./port.ts";
import { oneLine } from "./problem.ts";

/**
 * Draws a pipeline as a Mermaid flowchart, from left to right. Inputs and outputs are rounded, constants
 * are slanted, mapped nodes have a double frame and end in `× n`; edges carry the names of the ports they
 * leave and enter; a pipeline inside is a box around its nodes.
 *
 * ```ts
 * import { defineNode, pipeline, Text, toMermaid } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const upper = defineNode({
 *   kind: "upper",
 *   inputs: { text: Text },
 *   outputs: { text: Text },
 *   run: ({ text }) => Effect.succeed({ text: text.toUpperCase() }),
 * });
 * const shout = pipeline("shout", (g) => g.add(upper, { text: g.input("text", Text) }));
 * const drawing = toMermaid(shout);
 * assert.match(drawing, /^flowchart LR/);
 * assert.match(drawing, /n1\["upper"\]/);
 * ```
 */
export function toMermaid<In extends Ports, Out extends Ports, E, R>(
  pipeline: Pipeline<In, Out, E, R>,
): string {
  const drawing = new Drawing();
  const inputs = drawing.inputs(pipeline.graph, "  ");
  const outputs = drawing.graph(pipeline.graph, inputs, "  ");
  for (const [name, from] of outputs) {
    const id = drawing.box(
      `(["${label(name)}: ${label(pipeline.outputs[name]!.name)}"])`,
      "  ",
    );
    for (const [source, port] of from) drawing.edge(source, id, port, "");
  }
  return `flowchart LR\n${[...drawing.boxes, ...drawing.edges].join("\n")}\n`;
}

/** Where a value leaves: a box and the name of the port, empty where the box says it already. */
type Tap = readonly [box: string, port: string];

class Drawing {
  readonly boxes: string[] = [];
  readonly edges: string[] = [];
  private count = 0;

  /** Adds a box of the given shape; returns its id. */
  box(shape: string, indent: string): string {
    const id = `n${this.count++}`;
    this.boxes.push(`${indent}${id}${shape}`);
    return id;
  }

  edge(from: string, to: string, out: string, into: string): void {
    const text = out === into || into === ""
      ? out
      : out === ""
      ? into
      : `${out} → ${into}`;
    this.edges.push(
      text === ""
        ? `  ${from} --> ${to}`
        : `  ${from} -- "${label(text)}" --> ${to}`,
    );
  }

  /** Draws the inputs of a graph. */
  inputs(graph: Graph, indent: string): ReadonlyMap<string, Tap> {
    const taps = new Map<string, Tap>();
    for (const [name, { port }] of Object.entries(graph.inputs)) {
      const box = `(["${label(name)}: ${label(port.name)}"])`;
      taps.set(name, [this.box(box, indent), ""]);
    }
    return taps;
  }

  /** Draws the nodes of a graph; returns where its outputs leave. */
  graph(
    graph: Graph,
    inputs: ReadonlyMap<string, Tap>,
    indent: string,
  ): ReadonlyMap<string, readonly Tap[]> {
    const nodes = new Map<string, (port: string) => readonly Tap[]>();
    const taps = (source: Source): readonly Tap[] => {
      switch (source.type) {
        case "input":
          return [inputs.get(source.name)!];
        case "node":
          return nodes.get(source.node)!(source.port);
        case "list":
          return source.items.flatMap(taps);
        case "constant":
          return [[this.constant(source.port, source.value, indent), ""]];
      }
    };
    for (const node of graph.nodes) {
      const { id, kind, each } = node;
      const name = id === kind.kind ? id : `${id}: ${kind.kind}`;
      const title = `${label(name)}${each ? " × n" : ""}`;
      if (!isPipeline(kind)) {
        const box = this.box(
          each ? `[["${title}"]]` : `["${title}"]`,
          indent,
        );
        nodes.set(id, (port) => [[box, port]]);
        for (const [port, source] of Object.entries(node.inputs)) {
          for (const [from, out] of taps(source)) {
            this.edge(from, box, out, port);
          }
        }
        continue;
      }
      // Constants stand outside, so they are drawn before the box opens.
      const given = Object.entries(node.inputs).map(([port, source]) =>
        [port, taps(source)] as const
      );
      this.boxes.push(`${indent}subgraph s${this.count++}["${title}"]`);
      const inside = this.inputs(kind.graph, `${indent}  `);
      const outputs = this.graph(kind.graph, inside, `${indent}  `);
      this.boxes.push(`${indent}end`);
      for (const [port, sources] of given) {
        const [to] = inside.get(port)!;
        for (const [from, out] of sources) this.edge(from, to, out, "");
      }
      nodes.set(id, (port) => outputs.get(port)!);
    }
    return new Map(
      Object.entries(graph.outputs).map((
        [name, source],
      ) => [name, taps(source)]),
    );
  }

  constant(port: AnyPort, value: unknown, indent: string): string {
    const text = JSON.stringify(port.preview(value)) ?? "";
    const short = text.length > 40 ? `${text.slice(0, 40)}…` : text;
    return this.box(`[/"${label(short)}"/]`, indent);
  }
}

/** Text that Mermaid shows as it is: entities for everything it might read as markup. */
function label(text: string): string {
  return oneLine(text).replace(
    /["#<>&;`\\*_~[\](){}|]/g,
    (character) => `#${character.charCodeAt(0)};`,
  );
}
