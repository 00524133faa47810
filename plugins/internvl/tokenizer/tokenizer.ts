/**
 * The tokenizer's interface, and the tokenizer over a SentencePiece model, which works as the
 * reference's slow one does (`tokenization_internlm2.py` over `transformers` 4.37): a text is cut at the
 * added tokens first, and each piece between them goes through the model by itself.
 * @module
 */
import { Effect } from "effect";
import { CheckpointError } from "../../../nodes/errors.ts";
import { quoted } from "../files.ts";
import { stripEnd, stripStart } from "../text.ts";
import type { AddedToken, TokenizerSettings, TokenRole } from "./added.ts";
import { makeBpeEncoder } from "./bpe.ts";
import { makePieceDecoders } from "./decode.ts";
import { makeNormalizer, prefixMatcher, spaceMarker } from "./normalize.ts";
import { byteOfPiece, type SentencePieceModel } from "./sentencepiece.ts";

const encoder = new TextEncoder();

/** Ids with a part in prompts and generation; looked up by their text, never fixed. */
export interface SpecialTokens {
  /** Beginning of a sequence; `undefined` when the tokenizer has none. */
  readonly bos: number | undefined;
  /** End of a sequence, `</s>`; a chat ends at the template's separator instead. */
  readonly eos: number | undefined;
  /** Padding. */
  readonly pad: number | undefined;
  /** The unknown token. */
  readonly unk: number | undefined;
  /** `<img>`. */
  readonly imageStart: number;
  /** `</img>`. */
  readonly imageEnd: number;
  /** `<IMG_CONTEXT>`, in whose places visual tokens are put. */
  readonly imageContext: number;
}

/** How a text is encoded. */
export interface EncodeOptions {
  /** Put BOS in front, whatever {@link Tokenizer.addBos} says. Default false. */
  readonly bos?: boolean;
}

/** How ids are decoded. */
export interface DecodeOptions {
  /** Leave out special tokens. Default false. */
  readonly skipSpecialTokens?: boolean;
}

/** Decodes ids as they come. */
export interface StreamDecoder {
  /** Takes one id and returns the text that became certain; never half of a UTF-8 character. */
  readonly push: (id: number) => string;
  /** Ends the text and returns what was held back. The decoder then starts afresh. */
  readonly end: () => string;
}

/** Text to ids and back. */
export interface Tokenizer {
  /** One more than the highest id. */
  readonly vocabSize: number;
  /** Whether a prompt starts with BOS. */
  readonly addBos: boolean;
  /** Ids by their part. */
  readonly special: SpecialTokens;
  /** Texts of all special tokens; where one stands in a text it becomes one id. */
  readonly specialTexts: ReadonlySet<string>;
  /** Encodes a text. Special tokens in it become their ids, as in the reference. */
  readonly encode: (
    text: string,
    options?: EncodeOptions,
  ) => Int32Array<ArrayBuffer>;
  /**
   * Decodes ids. With `skipSpecialTokens` the special ones are dropped and the rest is decoded as one
   * text; without, each stretch between special tokens is a text of its own. Ids that the tokenizer does
   * not have (the model's embedding may be longer) decode to nothing.
   */
  readonly decode: (ids: Iterable<number>, options?: DecodeOptions) => string;
  /** Makes a decoder whose texts, joined, are what {@link decode} gives for all ids. */
  readonly streamDecoder: (options?: DecodeOptions) => StreamDecoder;
  /** Id of a token by its text. */
  readonly idOf: (token: string) => number | undefined;
  /** Text of a token by its id. */
  readonly tokenOf: (id: number) => string | undefined;
  /**
   * The bytes that a token adds to a text, other than at its very start (where a space may be dropped);
   * `undefined` for special and unknown tokens, which add none or none of their own.
   */
  readonly bytesOf: (id: number) => Uint8Array<ArrayBuffer> | undefined;
}

/** Finds `<img>`, `</img>`, `<IMG_CONTEXT>`; fails when the tokenizer lacks one. */
export function imageTokens(
  idOf: (token: string) => number | undefined,
  path: string,
): Effect.Effect<
  Pick<SpecialTokens, "imageStart" | "imageEnd" | "imageContext">,
  CheckpointError
> {
  const [imageStart, imageEnd, imageContext] = imageTexts.map(idOf);
  if (
    imageStart === undefined || imageEnd === undefined ||
    imageContext === undefined
  ) {
    const missing = imageTexts.filter((text) => idOf(text) === undefined);
    return Effect.fail(
      new CheckpointError({
        path,
        message: `${path}: the tokenizer has no ${
          missing.join(", ")
        }; InternVL-Chat checkpoints add it in added_tokens.json or tokenizer_config.json`,
      }),
    );
  }
  return Effect.succeed({ imageStart, imageEnd, imageContext });
}

const imageTexts = ["<img>", "</img>", "<IMG_CONTEXT>"] as const;

/** Makes a tokenizer of a SentencePiece model and the settings beside it. */
export const makeSentencePieceTokenizer: (
  model: SentencePieceModel,
  settings: TokenizerSettings,
  path: string,
) => Effect.Effect<Tokenizer, CheckpointError> = Effect.fnUntraced(
  function* (
    model: SentencePieceModel,
    settings: TokenizerSettings,
    path: string,
  ) {
    // A reserved piece hides an ordinary one of the same text, as in SentencePiece.
    const pieceIds = new Map<string, number>();
    for (const [id, { text, type }] of model.pieces.entries()) {
      const reserved = type === "control" || type === "unknown" ||
        type === "byte";
      if (reserved || !pieceIds.has(text)) pieceIds.set(text, id);
    }
    const roles = roleTexts(model, settings);
    const added = yield* allAdded(model, settings, pieceIds, roles, path);
    const addedIds = new Map(added.map((token) => [token.content, token.id]));
    const addedById = new Map(added.map((token) => [token.id, token]));
    const vocabSize = added.reduce(
      (size, token) => Math.max(size, token.id + 1),
      model.pieces.length,
    );
    const idOf = (token: string) => addedIds.get(token) ?? pieceIds.get(token);
    const image = yield* imageTokens(idOf, path);
    const roleId = (role: TokenRole) => {
      const text = roles[role];
      return text === undefined ? undefined : idOf(text);
    };
    const special: SpecialTokens = {
      bos: roleId("bos"),
      eos: roleId("eos"),
      pad: roleId("pad"),
      unk: roleId("unk"),
      ...image,
    };

    const userDefined = prefixMatcher(
      model.pieces.filter((piece) => piece.type === "user_defined")
        .map((piece) => piece.text),
    );
    const once = prefixesOnce(settings);
    const isSpecial = new Set(settings.special.map(idOf));
    const normalize = makeNormalizer(
      once ? { ...model, addDummyPrefix: false } : model,
      userDefined,
    );
    const bpe = makeBpeEncoder(model, userDefined);
    const cut = makeCutter(added);
    const pieceDecoder = makePieceDecoders(model);

    const streamDecoder = (options?: DecodeOptions): StreamDecoder => {
      const skip = options?.skipSpecialTokens ?? false;
      const pieces = pieceDecoder();
      return {
        push: (id) => {
          const token = addedById.get(id);
          if (token !== undefined) {
            if (skip && token.special) return "";
            return pieces.end() + token.content;
          }
          return id >= 0 && id < model.pieces.length ? pieces.push(id) : "";
        },
        end: () => pieces.end(),
      };
    };
    const tokenizer: Tokenizer = {
      vocabSize,
      addBos: (settings.addBos ?? true) && special.bos !== undefined,
      special,
      specialTexts: new Set(
        added.filter((token) => token.special).map((token) => token.content),
      ),
      encode: (text, options) => {
        const ids: number[] = [];
        if (options?.bos === true && special.bos !== undefined) {
          ids.push(special.bos);
        }
        const parts = cut(once ? text.replaceAll(spaceMarker, " ") : text);
        // A text that begins with a special token has no space in front, but with any other added one it has.
        const [first] = parts;
        if (once && typeof first === "number" && !isSpecial.has(first)) {
          bpe(spaceMarker, ids);
        }
        for (const [i, part] of parts.entries()) {
          if (typeof part === "number") ids.push(part);
          else bpe(normalize(once && i === 0 ? ` ${part}` : part), ids);
        }
        return Int32Array.from(ids);
      },
      decode: (ids, options) => {
        const stream = streamDecoder(options);
        let text = "";
        for (const id of ids) text += stream.push(id);
        return text + stream.end();
      },
      streamDecoder,
      idOf,
      tokenOf: (id) => addedById.get(id)?.content ?? model.pieces[id]?.text,
      bytesOf: (id) => {
        const token = addedById.get(id);
        if (token !== undefined) {
          return token.special ? undefined : encoder.encode(token.content);
        }
        const piece = model.pieces[id];
        switch (piece?.type) {
          case undefined:
          case "control":
          case "unknown":
            return undefined;
          case "byte":
            return Uint8Array.of(byteOfPiece(piece!.text)!);
          default:
            return encoder.encode(piece!.text.replaceAll(spaceMarker, " "));
        }
      },
    };
    return tokenizer;
  },
);

/**
 * Whether a space is put in front of a text once, and not in front of each piece between two special tokens:
 * so `LlamaTokenizer` of `transformers` does unless it is a `legacy` one, as Phi-3's is not.
 */
function prefixesOnce({ config }: TokenizerSettings): boolean {
  return config.legacy === false && config.add_prefix_space !== false &&
    typeof config.tokenizer_class === "string" &&
    /^LlamaTokenizer(Fast)?$/.test(config.tokenizer_class);
}

/** The texts of the parts; where no file names one, the reference class's defaults. */
function roleTexts(
  model: SentencePieceModel,
  settings: TokenizerSettings,
): Partial<Record<TokenRole, string>> {
  const eos = model.pieces[model.eosId]?.text;
  const defaults = {
    bos: model.pieces[model.bosId]?.text,
    eos,
    unk: model.pieces[model.unknownId]?.text,
    pad: eos,
  };
  const texts: Partial<Record<TokenRole, string>> = {};
  for (const role of ["bos", "eos", "unk", "pad"] as const) {
    const given = settings.roles[role];
    const text = given === undefined ? defaults[role] : given;
    if (text != null) texts[role] = text;
  }
  return texts;
}

/**
 * The added tokens and the special ones that the model itself has. A special token without an id takes
 * the next free one, in the order of the reference.
 */
function allAdded(
  model: SentencePieceModel,
  settings: TokenizerSettings,
  pieceIds: ReadonlyMap<string, number>,
  roles: Partial<Record<TokenRole, string>>,
  path: string,
): Effect.Effect<readonly AddedToken[], CheckpointError> {
  const all = [...settings.added];
  const known = new Set(all.map((token) => token.content));
  let free = all.reduce(
    (next, token) => Math.max(next, token.id + 1),
    model.pieces.length,
  );
  for (const token of all) {
    const piece = pieceIds.get(token.content);
    if (piece !== undefined && piece !== token.id) {
      return Effect.fail(
        new CheckpointError({
          path,
          message: `${path}: ${
            quoted(token.content)
          } is added as token ${token.id}, but the model has it as ${piece}`,
        }),
      );
    }
  }
  for (const content of [...Object.values(roles), ...settings.special]) {
    if (known.has(content)) continue;
    known.add(content);
    const id = pieceIds.get(content) ?? free++;
    all.push({ id, content, special: true, lstrip: false, rstrip: false });
  }
  return Effect.succeed(all);
}

/** Cuts a text at the added tokens, the longest first: ids of tokens and the texts between them. */
function makeCutter(
  added: readonly AddedToken[],
): (text: string) => (string | number)[] {
  if (added.length === 0) return (text) => [text];
  const byContent = new Map(added.map((token) => [token.content, token]));
  const pattern = new RegExp(
    [...byContent.keys()]
      .sort((a, b) => b.length - a.length)
      .map((content) => content.replace(/[\\^$.*+?()[\]{}|\/-]/g, "\\$&"))
      .join("|"),
    "g",
  );
  return (text) => {
    const parts: (string | number)[] = [];
    let from = 0;
    let stripNext = false;
    const between = (to: number, stripLast: boolean) => {
      let piece = text.slice(from, to);
      if (stripNext) piece = stripStart(piece);
      if (stripLast) piece = stripEnd(piece);
      if (piece !== "") parts.push(piece);
    };
    for (const match of text.matchAll(pattern)) {
      const token = byContent.get(match[0])!;
      between(match.index, token.lstrip);
      parts.push(token.id);
      from = match.index + match[0].length;
      stripNext = token.rstrip;
    }
    between(text.length, false);
    return parts;
  };
}
