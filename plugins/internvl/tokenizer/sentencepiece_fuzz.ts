/**
 * Fuzzes the SentencePiece reader. The ordinary tests run some hundred mutations; the long run is
 * `deno run --allow-read plugins/internvl/tokenizer/sentencepiece_fuzz.ts` with 10,000.
 * @module
 */
import assert from "node:assert/strict";
import { Cause, Effect, Exit } from "effect";
import { CheckpointError } from "../../../nodes/errors.ts";
import { modelFile, mutate, random } from "../testing.ts";
import { parseSentencePiece } from "./sentencepiece.ts";
import { makeSentencePieceTokenizer } from "./tokenizer.ts";

/** How many mutated files were refused and how many accepted. */
export interface FuzzOutcome {
  /** Refused with a {@link CheckpointError}. */
  refused: number;
  /** Accepted, and what they encode checked. */
  accepted: number;
}

const texts = ["", "a", "ab  abc <s> xyz", " \u2581é漢😀\0", "ﬁ Ａ½\u3000end "];
const settings = {
  added: ["<img>", "</img>", "<IMG_CONTEXT>"].map((content, i) => ({
    id: 4000 + i,
    content,
    special: true,
    lstrip: false,
    rstrip: false,
  })),
  special: [],
  roles: {},
  addBos: undefined,
  config: {},
};

/**
 * Parses `runs` mutated models. Each is either refused with a {@link CheckpointError} of one line, or it
 * is a model (a mutation may well make another one), and then it encodes to ids it has and, where
 * nothing is rewritten or lost, decodes back to the text.
 */
export async function fuzzSentencePiece(
  runs: number,
  seed: number,
): Promise<FuzzOutcome> {
  const next = random(seed);
  const folder = new URL(
    "../../../tests/golden/sentencepiece/",
    import.meta.url,
  );
  const sources = [
    modelFile({
      pieces: [
        ["<unk>", "unknown"],
        ["<s>", "control"],
        ["</s>", "control"],
        [
          "\u2581",
        ],
        ["a"],
        ["b"],
        ["ab"],
        ["abc", "unused"],
        ["xy", "user_defined"],
      ],
    }),
    modelFile({
      byteFallback: true,
      addDummyPrefix: true,
      pieces: [["<unk>", "unknown"], ["\u2581"], ["a"], ["\u2581a"]],
    }),
    await Deno.readFile(new URL("rules.model", folder)),
  ];
  const outcome: FuzzOutcome = { refused: 0, accepted: 0 };
  for (let run = 0; run < runs; run++) {
    const bytes = mutate(sources[run % sources.length]!, next);
    const exit = await Effect.runPromiseExit(
      Effect.gen(function* () {
        const model = yield* parseSentencePiece(bytes, "tokenizer.model");
        const tokenizer = yield* makeSentencePieceTokenizer(
          model,
          settings,
          "tokenizer.model",
        );
        return { model, tokenizer };
      }),
    );
    if (Exit.isFailure(exit)) {
      const error = Cause.squash(exit.cause);
      assert.ok(error instanceof CheckpointError, String(error));
      assert.ok(!error.message.includes("\n"), error.message);
      outcome.refused++;
      continue;
    }
    outcome.accepted++;
    const { model, tokenizer } = exit.value;
    const faithful = model.charsmap === undefined && model.escapeWhitespaces &&
      !model.removeExtraWhitespaces && !model.treatWhitespaceAsSuffix;
    for (const text of texts) {
      const ids = tokenizer.encode(text);
      for (const id of ids) {
        assert.ok(tokenizer.tokenOf(id) !== undefined, `id ${id}`);
      }
      const decoded = tokenizer.decode(ids);
      if (faithful && !ids.includes(model.unknownId)) {
        // A literal space marker comes back as the space it stands for.
        assert.equal(decoded, text.replaceAll("\u2581", " "));
      }
    }
  }
  return outcome;
}

if (import.meta.main) {
  console.log(await fuzzSentencePiece(10_000, 2026));
}
