/**
 * A run of a conversation as its page shows it: what each event changes, and what the answer took.
 * @module
 */
import type { RoundChange } from "../../components/chat.ts";
import { count, duration } from "../../components/format.ts";
import {
  nodeOf,
  type NodeStates,
  withEvent,
} from "../../components/graph_state.ts";
import type { DrawnGraph } from "../../components/Graph.tsx";
import type { GraphDocument, RunEvent } from "../../pipeline/mod.ts";
import type { ChatResult } from "../../sdk/mod.ts";
import { layOut } from "../graph_layout.ts";

/** Turns events of a run into changes of a round. */
export function makeFollower(
  tell: (change: RoundChange) => void,
): (event: RunEvent) => void {
  let states: NodeStates = {};
  return (event) => {
    if (event._tag === "RunStarted") {
      const graph = drawn(event.document);
      tell({
        type: "started",
        runId: event.runId,
        ...(graph === undefined ? {} : { graph }),
      });
      return;
    }
    const next = withEvent(states, event);
    if (next !== states) {
      states = next;
      if (event._tag === "RunFinished") tell({ type: "states", states });
      else {
        const name = nodeOf(event.node);
        tell({ type: "states", states: { [name]: states[name]! } });
      }
    }
    if (
      event._tag === "NodeProgress" && event.port === "text" &&
      typeof event.delta === "string"
    ) tell({ type: "text", text: event.delta });
  };
}

const drawings = new Map<string, DrawnGraph>();

/** The graph of a document, drawn once for all runs of it. */
function drawn(document: unknown): DrawnGraph | undefined {
  if (document === undefined) return undefined;
  const key = JSON.stringify(document);
  let graph = drawings.get(key);
  if (graph === undefined) {
    graph = layOut(document as GraphDocument, {
      direction: "down",
      ends: false,
    });
    if (drawings.size >= 20) drawings.clear();
    drawings.set(key, graph);
  }
  return graph;
}

/** What an answer took, in a line. */
export function figuresOf(
  { usage, timings, finishReason }: ChatResult,
): string {
  const { promptTokens, imageTokens, completionTokens } = usage;
  const decode = timings.decode ?? 0;
  return [
    `${count(promptTokens)} prompt tokens${
      imageTokens > 0 ? ` (${count(imageTokens)} of pictures)` : ""
    }`,
    `${count(completionTokens)} ${completionTokens === 1 ? "token" : "tokens"}${
      completionTokens > 1 && decode > 0
        ? `, ${count((completionTokens - 1) / decode * 1000)} a second`
        : ""
    }`,
    ...("prefill" in timings ? [`prefill ${duration(timings.prefill!)}`] : []),
    ...(finishReason === "length" ? ["cut at the most tokens"] : []),
  ].join(" · ");
}
