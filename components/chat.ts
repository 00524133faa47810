/**
 * What a conversation looks like from outside: plain data, for the server's pages and for the island.
 * @module
 */
import type { DrawnGraph } from "./Graph.tsx";
import type { NodeStates } from "./graph_state.ts";

/** Most bytes of a file that comes with a question. */
export const mostUpload: number = 128 * 2 ** 20;

/** Most files that come with a question. */
export const mostFiles = 16;

/** What is said of a file that is too large. */
export const tooLarge = `the file is larger than ${mostUpload / 2 ** 20} MiB`;

/** A picture or video of a round. */
export interface Attachment {
  /** By what it is known. */
  readonly digest: string;
  /** What it is. */
  readonly kind: "image" | "video";
  /** Media type. */
  readonly type: string;
}

/** How a round stands; `lost` is one whose answer the page waits for in vain. */
export type RoundStatus =
  | "loading"
  | "running"
  | "succeeded"
  | "failed"
  | "interrupted"
  | "lost";

/** A question and its answer. */
export interface RoundView {
  /** By what it is known, also from a server that began anew. */
  readonly id: string;
  /** The question, as it was typed. */
  readonly question: string;
  /** What came with it. */
  readonly attachments: readonly Attachment[];
  /** How it stands; `loading` while the model is. */
  readonly status: RoundStatus;
  /** The answer as far as it is there. */
  readonly answer: string;
  /** What went wrong. */
  readonly error?: string;
  /** The run, once it has begun. */
  readonly runId?: string;
  /** Its graph. */
  readonly graph?: DrawnGraph;
  /** How its nodes stand. */
  readonly states: NodeStates;
  /** Figures, once it has ended. */
  readonly figures?: string;
  /** Changes so far; a stream goes on after it. */
  readonly seq: number;
}

/** Settings of a conversation, as its form has them: texts, empty for the default. */
export interface ChatSettings {
  readonly maxNewTokens: string;
  readonly maxTiles: string;
  readonly doSample: boolean;
  readonly temperature: string;
  readonly topP: string;
  readonly topK: string;
  readonly repetitionPenalty: string;
  readonly seed: string;
  readonly systemMessage: string;
}

/** Nothing set. */
export const noSettings: ChatSettings = {
  maxNewTokens: "",
  maxTiles: "",
  doSample: false,
  temperature: "",
  topP: "",
  topK: "",
  repetitionPenalty: "",
  seed: "",
  systemMessage: "",
};

/** A conversation. */
export interface ChatView {
  /** Its id. */
  readonly id: string;
  /** Its rounds. */
  readonly rounds: readonly RoundView[];
  /** Its settings. */
  readonly settings: ChatSettings;
  /** Name of the model, once it is loaded. */
  readonly model?: string;
}

/** A change of a round, as the stream tells it. */
export type RoundChange =
  | {
    readonly type: "started";
    readonly runId: string;
    readonly graph?: DrawnGraph;
  }
  | { readonly type: "states"; readonly states: NodeStates }
  | { readonly type: "text"; readonly text: string }
  | {
    readonly type: "ended";
    readonly status: RoundStatus;
    readonly answer: string;
    readonly error?: string;
    readonly figures?: string;
  };

/** Whether a round's answer is still to come. */
export const isBusy = (round: RoundView | undefined): boolean =>
  round?.status === "loading" || round?.status === "running";

/** Rounds whose last one, where it was still busy, is known to be lost. */
export function withLost(rounds: readonly RoundView[]): readonly RoundView[] {
  const last = rounds.at(-1);
  if (last === undefined || !isBusy(last)) return rounds;
  // Of what was at work nobody knows any more.
  const known = Object.entries(last.states)
    .filter(([, { status }]) => status !== "running");
  return [
    ...rounds.slice(0, -1),
    changed({ ...last, states: Object.fromEntries(known) }, {
      type: "ended",
      status: "lost",
      answer: last.answer,
      error:
        "The rest of this answer is lost: the server was started anew, or does not answer this page.",
    }),
  ];
}

/** A round after a change. */
export function changed(round: RoundView, change: RoundChange): RoundView {
  const seq = round.seq + 1;
  switch (change.type) {
    case "started":
      return {
        ...round,
        seq,
        status: "running",
        runId: change.runId,
        ...(change.graph === undefined ? {} : { graph: change.graph }),
      };
    case "states":
      return { ...round, seq, states: { ...round.states, ...change.states } };
    case "text":
      return { ...round, seq, answer: round.answer + change.text };
    case "ended":
      return {
        ...round,
        seq,
        status: change.status,
        answer: change.answer,
        ...(change.error === undefined ? {} : { error: change.error }),
        ...(change.figures === undefined ? {} : { figures: change.figures }),
      };
  }
}
