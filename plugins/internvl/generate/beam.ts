/**
 * Beam search as Hugging Face's (`GenerationMixin.beam_search` and `BeamSearchScorer` of transformers
 * 4.37, which V1-5 names): the same candidates, the same scores, the same end. It knows no engine: it asks
 * for the logits after some continuations of the prompt, all of one length.
 * @module
 */
import { Effect } from "effect";
import type { TokenLogprob } from "../../../nodes/values.ts";
import type { Draft } from "./draft.ts";
import { logSumExp, tokenLogprob, type TokenNames } from "./logprobs.ts";
import type { ResolvedSettings } from "./settings.ts";

/** A continuation of the prompt whose next token is wanted. */
export interface BeamRow {
  /** Generated tokens. */
  readonly ids: readonly number[];
  /** The row of the last step that this one goes on from: all its tokens but the last. */
  readonly parent: number;
}

/** Logits [vocabulary] of the token after each row; they may be changed. */
export type Advance<E> = (
  rows: readonly BeamRow[],
) => Effect.Effect<readonly Float32Array[], E>;

/** What a search is told. */
export type BeamSettings = Pick<
  ResolvedSettings,
  "numBeams" | "lengthPenalty" | "earlyStopping" | "n" | "logprobs"
>;

/** What a search is made with. */
export interface BeamParts {
  /** The empty draft that all answers begin with. */
  readonly draft: Draft;
  /** Ids that end an answer. */
  readonly endIds: readonly number[];
  /** Most tokens, an end token included. */
  readonly limit: number;
  /** What the ids stand for. */
  readonly names: TokenNames;
  /** Is told how many tokens are done. */
  readonly onStep?: (tokens: number) => void;
}

/** A finished answer. */
export interface BeamAnswer {
  /** Its tokens, the end token included. */
  readonly ids: readonly number[];
  /** Sum of the log-probabilities over length^lengthPenalty. */
  readonly score: number;
  /** Whether it ended by itself, where it may end. */
  readonly ended: boolean;
  /** Probabilities, where they are asked for. */
  readonly logprobs: readonly TokenLogprob[];
}

interface Beam {
  readonly draft: Draft;
  /** Sum of the log-probabilities. */
  readonly score: number;
  readonly logprobs: readonly TokenLogprob[];
}

interface Candidate {
  readonly score: number;
  readonly row: number;
  readonly id: number;
}

/** The best `n` answers, the best first. */
export const beamSearch: <E>(
  settings: BeamSettings,
  parts: BeamParts,
  advance: Advance<E>,
) => Effect.Effect<readonly BeamAnswer[], E> = Effect.fnUntraced(function* <E>(
  settings: BeamSettings,
  parts: BeamParts,
  advance: Advance<E>,
) {
  const { numBeams, n } = settings;
  const { endIds, limit } = parts;
  const found = new Answers(settings, limit);
  let beams: readonly Beam[] = [
    { draft: parts.draft, score: 0, logprobs: [] },
  ];
  let parents: readonly number[] = [0];
  for (let length = 1; length <= limit; length++) {
    const rows = yield* advance(
      beams.map(({ draft: { ids } }, i) => ({ ids, parent: parents[i] })),
    );
    const report = probabilities(settings, parts.names, rows);
    // Enough that an end token of every beam leaves enough others.
    const wanted = Math.max(2, 1 + endIds.length) * numBeams;
    const candidates = best(beams, rows, wanted);
    const next: Beam[] = [];
    const nextParents: number[] = [];
    for (const [rank, { row, id, score }] of candidates.entries()) {
      const isEnd = endIds.includes(id);
      // An end token below the first candidates is passed over.
      if (isEnd && rank >= numBeams) continue;
      const { draft, logprobs } = beams[row];
      const beam = {
        draft: draft.fork(),
        score,
        logprobs: report === undefined
          ? logprobs
          : [...logprobs, report(row, id)],
      };
      const { whole } = draft;
      beam.draft.take(id);
      if (isEnd) found.add(beam, length, whole);
      else {
        nextParents.push(row);
        if (next.push(beam) === numBeams) break;
      }
    }
    parts.onStep?.(length);
    beams = next;
    parents = nextParents;
    const top = candidates[0]?.score ?? -Infinity;
    if (beams.length === 0 || found.complete(top, length)) {
      return found.best(n);
    }
  }
  for (const beam of beams) found.add(beam, limit, false);
  return found.best(n);
});

/** The `count` best continuations of all beams, the best first; of equals the first. */
function best(
  beams: readonly Beam[],
  rows: readonly Float32Array[],
  count: number,
): Candidate[] {
  const list: Candidate[] = [];
  const offer = (candidate: Candidate) => {
    let at = list.length;
    while (at > 0 && list[at - 1].score < candidate.score) at--;
    list.splice(at, 0, candidate);
    if (list.length > count) list.pop();
  };
  for (const [row, scores] of rows.entries()) {
    const { draft, score } = beams[row];
    // The scores are log-probabilities before the settings change them, as in the reference.
    const total = logSumExp(scores);
    for (let i = 0; i < scores.length; i++) scores[i] -= total;
    const forced = draft.edit(scores);
    if (forced !== undefined) {
      offer({ score, row, id: forced });
      continue;
    }
    let least = list.length < count ? -Infinity : list[count - 1].score;
    for (let id = 0; id < scores.length; id++) {
      const sum = score + scores[id];
      if (!(sum > least)) continue;
      offer({ score: sum, row, id });
      least = list.length < count ? -Infinity : list[count - 1].score;
    }
  }
  return list;
}

/** Reports probabilities from logits as the model gave them, before the search changes them. */
function probabilities(
  { logprobs }: BeamSettings,
  names: TokenNames,
  rows: readonly Float32Array[],
): ((row: number, id: number) => TokenLogprob) | undefined {
  if (logprobs === undefined) return undefined;
  const own = rows.map((row) => row.slice());
  return (row, id) => tokenLogprob(own[row], id, logprobs, names);
}

/** The best finished answers: `BeamHypotheses`. */
class Answers {
  readonly #settings: BeamSettings;
  readonly #limit: number;
  readonly #list: BeamAnswer[] = [];
  #worst = 1e9;

  constructor(settings: BeamSettings, limit: number) {
    this.#settings = settings;
    this.#limit = limit;
  }

  add({ draft, score: sum, logprobs }: Beam, length: number, ended: boolean) {
    const { numBeams, lengthPenalty } = this.#settings;
    const score = sum / length ** lengthPenalty;
    if (this.#list.length >= numBeams && score <= this.#worst) return;
    this.#list.push({ ids: draft.ids, score, ended, logprobs });
    if (this.#list.length > numBeams) {
      const scores = this.#list.map((answer) => answer.score);
      this.#list.splice(scores.indexOf(Math.min(...scores)), 1);
      this.#worst = Math.min(...this.#list.map((answer) => answer.score));
    } else this.#worst = Math.min(score, this.#worst);
  }

  /** Whether no beam can become better than the worst of them any more. */
  complete(bestSum: number, length: number): boolean {
    const { numBeams, lengthPenalty, earlyStopping } = this.#settings;
    if (this.#list.length < numBeams) return false;
    if (earlyStopping === true) return true;
    const reach = earlyStopping === "never" && lengthPenalty > 0
      ? this.#limit
      : length;
    return this.#worst >= bestSum / reach ** lengthPenalty;
  }

  best(count: number): readonly BeamAnswer[] {
    // Of equals the one that came last, as by sorting and taking from the end.
    return this.#list.map((answer, i) => ({ answer, i }))
      .sort((a, b) => b.answer.score - a.answer.score || b.i - a.i)
      .slice(0, count).map(({ answer }) => answer);
  }
}
