/**
 * Byte-level BPE in the older layout, `vocab.json` and `merges.txt`, as checkpoints on Qwen2 and Qwen3 have
 * it: what a `tokenizer.json` would say, made of them (`tokenization_qwen2.py` of `transformers`).
 * @module
 */
import { Effect } from "effect";
import { CheckpointError } from "../../../nodes/errors.ts";
import {
  decodeUtf8,
  joinPath,
  quoted,
  readJsonObject,
  readSmallFile,
} from "../files.ts";
import type { TokenizerSettings } from "./added.ts";

/** The two files, by the names that such a tokenizer always has. */
export const byteLevelFiles = ["vocab.json", "merges.txt"] as const;

const fileLimit = 64 << 20;

/** How Qwen2 parts a text before it merges: contractions, words, single digits, marks, line ends, spaces. */
const words =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/**
 * The `tokenizer.json` that the two files of a folder stand for; `undefined` where there is no
 * `vocab.json`. Fails with {@link CheckpointError} when they are damaged, or of a class that parts texts in
 * another way.
 */
export const readByteLevel: (
  dir: string,
  settings: TokenizerSettings,
) => Effect.Effect<
  Readonly<Record<string, unknown>> | undefined,
  CheckpointError
> = Effect.fnUntraced(function* (dir: string, settings: TokenizerSettings) {
  const [vocabPath, mergesPath] = byteLevelFiles.map((name) =>
    joinPath(dir, name)
  ) as [string, string];
  const vocab = yield* readJsonObject(vocabPath, fileLimit);
  if (vocab === undefined) return undefined;
  const name = settings.config.tokenizer_class;
  if (typeof name !== "string" || !/^Qwen2Tokenizer(Fast)?$/.test(name)) {
    return yield* new CheckpointError({
      path: vocabPath,
      message: `${dir} has its tokenizer as ${
        byteLevelFiles.join(" and ")
      }, which are read for Qwen2Tokenizer; tokenizer_config.json names ${
        typeof name === "string" ? quoted(name) : "no class"
      }`,
    });
  }
  const bytes = yield* readSmallFile(mergesPath, fileLimit);
  if (bytes === undefined) {
    return yield* new CheckpointError({
      path: mergesPath,
      message: `${mergesPath} is missing; it belongs to vocab.json`,
    });
  }
  const text = yield* decodeUtf8(mergesPath, bytes);
  const merges: [string, string][] = [];
  for (const [i, line] of text.split("\n").entries()) {
    const pair = line.trimEnd();
    if (pair === "" || i === 0 && pair.startsWith("#version")) continue;
    const parts = pair.split(" ");
    if (parts.length !== 2) {
      return yield* new CheckpointError({
        path: mergesPath,
        message: `${mergesPath}: line ${i + 1} is no pair of pieces`,
      });
    }
    merges.push(parts as [string, string]);
  }
  const byteLevel = {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: false,
    use_regex: false,
  };
  return {
    added_tokens: settings.added.map((token) => ({
      ...token,
      single_word: false,
      normalized: false,
    })),
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        {
          type: "Split",
          pattern: { Regex: words },
          behavior: "Isolated",
          invert: false,
        },
        byteLevel,
      ],
    },
    post_processor: byteLevel,
    decoder: byteLevel,
    model: {
      type: "BPE",
      vocab: vocab.value,
      merges,
      unk_token: null,
      byte_fallback: false,
    },
  };
});
