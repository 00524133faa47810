/**
 * The tokenizer over a `tokenizer.json`, run by `@huggingface/tokenizers`. Where a checkpoint has that
 * file it rules over `tokenizer.model`.
 * @module
 */
import { Effect } from "effect";
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { CheckpointError } from "../../../nodes/errors.ts";
import { isRecord, oneLine, quoted } from "../files.ts";
import { maxTokenId, type TokenizerSettings, type TokenRole } from "./added.ts";
import { pieceBytes } from "./byte_level.ts";
import {
  type DecodeOptions,
  imageTokens,
  type SpecialTokens,
  type StreamDecoder,
  type Tokenizer,
} from "./tokenizer.ts";

/** Tokens of context that a stream decodes again with each new one. */
const contextTokens = 6;

/** Makes a tokenizer of the JSON of a `tokenizer.json` and the settings beside it. */
export const makeHuggingFaceTokenizer: (
  json: Readonly<Record<string, unknown>>,
  settings: TokenizerSettings,
  path: string,
) => Effect.Effect<Tokenizer, CheckpointError> = Effect.fnUntraced(
  function* (
    json: Readonly<Record<string, unknown>>,
    settings: TokenizerSettings,
    path: string,
  ) {
    const { library, vocabulary, plain, templated } = yield* Effect.try({
      try: () => {
        checkIds(json);
        // The clean-up of spaces would make a stream differ from the whole; it is off in both.
        const library = new Library(json, {
          ...settings.config,
          clean_up_tokenization_spaces: false,
        });
        // Tried out here: half of the parts are looked at only when there is a text.
        const [plain, templated] = [false, true].map((add_special_tokens) =>
          library.encode("a", { add_special_tokens }).ids
        ) as [number[], number[]];
        const known = templated.filter(Number.isInteger);
        if (known.length > 0) library.decode(known);
        const vocabulary = library.get_vocab(true);
        return { library, vocabulary, plain, templated };
      },
      catch: (cause) =>
        new CheckpointError({
          path,
          message: `${path} cannot be used: ${oneLine(cause)}`,
          cause,
        }),
    });
    const idOf = (token: string) => library.token_to_id(token);
    const image = yield* imageTokens(idOf, path);
    const encode = (text: string): number[] =>
      text === ""
        ? []
        : library.encode(text, { add_special_tokens: false }).ids;
    const roleId = (role: TokenRole) => {
      const text = settings.roles[role];
      return text == null ? undefined : idOf(text);
    };
    const bos = roleId("bos");
    const special: SpecialTokens = {
      bos,
      eos: roleId("eos"),
      pad: roleId("pad"),
      unk: roleId("unk"),
      ...image,
    };
    const skipped = new Set(settings.special);
    for (const token of library.get_added_tokens_decoder().values()) {
      if (token.special) skipped.add(token.content);
    }
    const addedIds = new Set(library.get_added_tokens_decoder().keys());
    const bytesOfPiece = pieceBytes(json.decoder);
    const skippedIds = new Set<number>();
    for (const text of skipped) {
      const id = idOf(text);
      if (id !== undefined) skippedIds.add(id);
    }
    const byteFallback = JSON.stringify(json.decoder ?? null)
      .includes('"ByteFallback"');
    const isByte = (id: number) =>
      byteFallback && /^<0x[0-9A-F]{2}>$/.test(library.id_to_token(id) ?? "");
    const keep = (id: number, options?: DecodeOptions) =>
      library.id_to_token(id) !== undefined &&
      !(options?.skipSpecialTokens === true && skippedIds.has(id));
    const decode = (ids: number[]) =>
      ids.length === 0 ? "" : library.decode(ids);

    let vocabSize = 0;
    for (const id of vocabulary.values()) {
      vocabSize = Math.max(vocabSize, id + 1);
    }
    const tokenizer: Tokenizer = {
      vocabSize,
      addBos: bos !== undefined &&
        (settings.addBos ??
          (templated.length > plain.length && templated[0] === bos)),
      special,
      specialTexts: skipped,
      encode: (text, options) => {
        const ids = encode(text.toWellFormed());
        if (options?.bos === true && bos !== undefined) ids.unshift(bos);
        return Int32Array.from(ids);
      },
      decode: (ids, options) =>
        decode([...ids].filter((id) => keep(id, options))),
      streamDecoder: (options): StreamDecoder => {
        // Decoding adds up except at the very start of a text, so a short tail of the ids is enough to
        // tell what one more id adds; `done` is how much of the tail's text has been handed out.
        let tail: number[] = [];
        let done = 0;
        return {
          push: (id) => {
            if (!keep(id, options)) return "";
            tail.push(id);
            // The library decodes a run of byte tokens as one, so the run must end first.
            if (isByte(id)) return "";
            const text = decode(tail);
            // One U+FFFD at the end may be the start of a character.
            const end = text.endsWith("\ufffd") ? text.length - 1 : text.length;
            const delta = text.slice(done, end);
            done = Math.max(done, end);
            if (end === text.length && tail.length > 4 * contextTokens) {
              tail = tail.slice(-contextTokens);
              done = decode(tail).length;
            }
            return delta;
          },
          end: () => {
            const rest = decode(tail).slice(done);
            tail = [];
            done = 0;
            return rest;
          },
        };
      },
      idOf,
      tokenOf: (id) => library.id_to_token(id),
      bytesOf: (id) => {
        const piece = library.id_to_token(id);
        if (piece === undefined || skippedIds.has(id) || id === special.unk) {
          return undefined;
        }
        return addedIds.has(id)
          ? new TextEncoder().encode(piece)
          : bytesOfPiece(piece);
      },
    };
    return tokenizer;
  },
);

/**
 * Throws where an id is none. The library takes any value for one, and makes a list as long as the
 * highest: a file of one line could ask for a billion places.
 */
function checkIds(json: Readonly<Record<string, unknown>>): void {
  const check = (content: unknown, id: unknown) => {
    if (
      Number.isInteger(id) && id as number >= 0 && id as number <= maxTokenId
    ) {
      return;
    }
    throw new Error(
      `${quoted(String(content))} has the id ${
        quoted(String(id))
      }; a whole number up to ${maxTokenId} is expected`,
    );
  };
  const { model, added_tokens: added } = json;
  // Ids of a list are the places in it.
  if (isRecord(model) && isRecord(model.vocab)) {
    for (const [text, id] of Object.entries(model.vocab)) check(text, id);
  }
  for (const token of Array.isArray(added) ? added : []) {
    if (isRecord(token)) check(token.content, token.id);
  }
}
