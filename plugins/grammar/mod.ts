/**
 * Constrained output: a JSON Schema, any JSON object, a regular expression or a list of choices, as a mask
 * over a tokenizer's vocabulary. Whole tokens are allowed or not by their bytes, so that tokens that hold
 * a part of a character, or reach over the end of a string, are treated exactly.
 * @module
 */
import { Effect } from "effect";
import type { PromptError } from "../../nodes/errors.ts";
import type { OutputConstraint } from "../../nodes/values.ts";
import { asPromptError, compileConstraint, constraintKey } from "./compile.ts";
import type { Vocabulary } from "./mask.ts";
import { type Grammar, makeGrammar, Matcher } from "./matcher.ts";
import { buildTrie } from "./trie.ts";

/** Constraints kept for the next request with the same one. */
const MAX_KEPT = 16;

/** States, and calls, after which a constraint is computed afresh rather than kept. */
const MOST_KEPT = 20_000;

/** What a vocabulary is made from. */
export interface VocabularyParts {
  /** Number of ids: the length of a row of logits. */
  readonly size: number;
  /** Bytes that a token adds to a text; none for special and unknown tokens. */
  readonly bytesOf: (id: number) => Uint8Array | undefined;
  /** Text of a single token, decoded alone: a space at the very start may be dropped. */
  readonly decodeFirst: (id: number) => string;
}

/** Makes matchers for constraints over one vocabulary. */
export interface Constrainer {
  /**
   * A matcher for one answer. Fails with {@link PromptError} that names what cannot be followed, and
   * where.
   */
  readonly matcher: (
    constraint: OutputConstraint,
  ) => Effect.Effect<Matcher, PromptError>;
}

const SPACE = 0x20;

/** Builds a vocabulary: once a model, some hundred milliseconds in turns of the event loop. */
export const buildVocabulary: (
  parts: VocabularyParts,
) => Effect.Effect<Vocabulary> = Effect.fnUntraced(function* (
  { size, bytesOf, decodeFirst },
) {
  const encoder = new TextEncoder();
  const startsWithSpace = (id: number) => bytesOf(id)?.[0] === SPACE;
  const firstBytes = (id: number) => encoder.encode(decodeFirst(id));
  const trie = yield* buildTrie(size, bytesOf);
  const atStart = yield* buildTrie(
    size,
    (id) => startsWithSpace(id) ? firstBytes(id) : undefined,
  );
  const differsAtStart = new Int32Array(Math.ceil(size / 32));
  for (let id = 0; id < size; id++) {
    if (startsWithSpace(id)) differsAtStart[id >> 5] |= 1 << (id & 31);
  }
  return {
    size,
    trie,
    atStart,
    differsAtStart,
    bytesOf: (id, first) =>
      first && startsWithSpace(id) ? firstBytes(id) : bytesOf(id),
  };
});

/** Makes a constrainer; the vocabulary is built when the first constraint comes. */
export function makeConstrainer(parts: VocabularyParts): Constrainer {
  const vocabulary = Effect.runSync(Effect.cached(buildVocabulary(parts)));
  const kept = new Map<string, Grammar>();
  return {
    matcher: Effect.fnUntraced(function* (constraint) {
      const key = yield* constraintKey(constraint);
      let grammar = kept.get(key);
      if (
        grammar === undefined ||
        Math.max(grammar.automaton.size, grammar.automaton.calls) > MOST_KEPT
      ) {
        const language = yield* compileConstraint(constraint);
        const tokens = yield* vocabulary;
        grammar = yield* asPromptError(
          constraint,
          () => makeGrammar(language, tokens),
        );
      }
      // The newest last: what was not asked for longest goes first.
      kept.delete(key);
      kept.set(key, grammar);
      if (kept.size > MAX_KEPT) kept.delete(kept.keys().next().value!);
      return new Matcher(grammar);
    }),
  };
}

export { compileConstraint, constraintKey } from "./compile.ts";
export type { Matcher } from "./matcher.ts";
export { ConstraintFault } from "./network.ts";
