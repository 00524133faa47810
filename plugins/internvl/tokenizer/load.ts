/**
 * Opens the tokenizer of a checkpoint folder.
 * @module
 */
import { Effect } from "effect";
import { CheckpointError } from "../../../nodes/errors.ts";
import {
  joinPath,
  readJsonObject,
  readSmallFile,
  tokenizerFilesText,
} from "../files.ts";
import type { InternVLConfig } from "../config.ts";
import { readTokenizerSettings } from "./added.ts";
import { byteLevelFiles, readByteLevel } from "./byte_level_files.ts";
import { makeHuggingFaceTokenizer } from "./huggingface.ts";
import { parseSentencePiece } from "./sentencepiece.ts";
import { makeSentencePieceTokenizer, type Tokenizer } from "./tokenizer.ts";

const modelLimit = 64 << 20;
const jsonLimit = 128 << 20;

/**
 * Opens the tokenizer of a folder: `tokenizer.json` when there is one, else `tokenizer.model`, else
 * `vocab.json` and `merges.txt`.
 * `vocabSize`, where given, is the number of rows of the model's embedding, which no id may pass.
 * Fails with {@link CheckpointError} when there is none of them, or one is damaged, or the tokens that
 * stand for images are missing, or there are more ids than rows.
 */
export const openTokenizer: (
  dir: string,
  vocabSize?: number,
) => Effect.Effect<Tokenizer, CheckpointError> = Effect.fn(
  "internvl.openTokenizer",
)(function* (dir: string, vocabSize?: number) {
  const tokenizer = yield* open(dir);
  if (vocabSize !== undefined && tokenizer.vocabSize > vocabSize) {
    return yield* new CheckpointError({
      path: dir,
      message: `${dir}: the tokenizer has ids up to ${
        tokenizer.vocabSize - 1
      }, but config.json gives the language model a vocabulary of ${vocabSize}`,
    });
  }
  return tokenizer;
});

/**
 * What is wrong where a configuration says another id for the token that visual tokens take the place of
 * than the tokenizer has.
 */
export function imageTokenFault(
  { imageTokenId }: Pick<InternVLConfig, "imageTokenId">,
  { special, tokenOf }: Pick<Tokenizer, "special" | "tokenOf">,
): string | undefined {
  const id = special.imageContext;
  return imageTokenId === undefined || imageTokenId === id
    ? undefined
    : `config.json has image_token_id ${imageTokenId}, but ${
      tokenOf(id)
    } is ${id} in the tokenizer`;
}

const open = Effect.fnUntraced(function* (
  dir: string,
): Effect.fn.Return<Tokenizer, CheckpointError> {
  const settings = yield* readTokenizerSettings(dir);
  const jsonPath = joinPath(dir, "tokenizer.json");
  const json = yield* readJsonObject(jsonPath, jsonLimit);
  if (json !== undefined) {
    return yield* makeHuggingFaceTokenizer(json.value, settings, jsonPath);
  }
  const modelPath = joinPath(dir, "tokenizer.model");
  const bytes = yield* readSmallFile(modelPath, modelLimit);
  if (bytes === undefined) {
    const made = yield* readByteLevel(dir, settings);
    if (made !== undefined) {
      return yield* makeHuggingFaceTokenizer(
        made,
        settings,
        joinPath(dir, byteLevelFiles[0]),
      );
    }
    return yield* new CheckpointError({
      path: dir,
      message: `${dir} has no tokenizer: ${tokenizerFilesText} is expected`,
    });
  }
  const model = yield* parseSentencePiece(bytes, modelPath);
  return yield* makeSentencePieceTokenizer(model, settings, modelPath);
});
