/**
 * What tests of conversations share.
 * @module
 */
import type { RunEvent } from "../../pipeline/mod.ts";
import type { ChatRequest, InternVL } from "../../sdk/mod.ts";

/** A picture to ask about. */
export const picture = "examples/images/shapes.png";
/** A video to ask about. */
export const video = "examples/videos/moving.mp4";

/** A model that says a word at a time until it is stopped, or until it has said so many. */
export function slowModel(words: number, pauseMs: number): InternVL {
  const chat = async (
    { onEvent, signal, question, history = [] }: ChatRequest,
  ) => {
    let seq = 0;
    const base = () => ({ runId: "slow", seq: seq++, at: Date.now() });
    const tell = (event: RunEvent) => onEvent?.(event);
    const node = { node: "decode", kind: "decode", composite: false };
    tell({
      _tag: "RunStarted",
      ...base(),
      pipeline: "chat",
      inputs: {},
      attributes: {},
    });
    tell({ _tag: "NodeStarted", ...base(), ...node, attempt: 1, queuedMs: 0 });
    let response = "";
    for (let i = 0; i < words; i++) {
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      signal?.throwIfAborted();
      const delta = `word${i} `;
      response += delta;
      tell({ _tag: "NodeProgress", ...base(), ...node, port: "text", delta });
    }
    return {
      response,
      history: [...history, [question, response]],
      usage: { promptTokens: 1, imageTokens: 0, completionTokens: words },
      finishReason: "stop",
      timings: {},
      runId: "slow",
    };
  };
  return { info: { name: "slow" }, chat } as unknown as InternVL;
}
