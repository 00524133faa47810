/**
 * Added and special tokens: what `tokenizer_config.json`, `added_tokens.json` and
 * `special_tokens_map.json` say, by the rules of `transformers`' slow tokenizers (4.37): a
 * `added_tokens_decoder` in the config rules; without one, the two older files are read.
 * @module
 */
import { Effect } from "effect";
import { CheckpointError } from "../../../nodes/errors.ts";
import { isRecord, joinPath, quoted, readJsonObject } from "../files.ts";

/** A token that is cut out of a text before the model sees the rest. */
export interface AddedToken {
  /** Its id. */
  readonly id: number;
  /** Its text. */
  readonly content: string;
  /** Whether decoding may skip it. */
  readonly special: boolean;
  /** Whether it takes the white space in front of it with it. */
  readonly lstrip: boolean;
  /** Whether it takes the white space behind it with it. */
  readonly rstrip: boolean;
}

/** Parts that a token can have. */
export type TokenRole = "bos" | "eos" | "unk" | "pad";

/** What the files beside the model say. */
export interface TokenizerSettings {
  /** Tokens with their ids. */
  readonly added: readonly AddedToken[];
  /** Texts of the special tokens, whether they have an id yet or not, in the order of the reference. */
  readonly special: readonly string[];
  /** Text by role; `null` when a file says there is none, absent when no file says anything. */
  readonly roles: Readonly<Partial<Record<TokenRole, string | null>>>;
  /** Whether BOS is put in front; `undefined` when no file says. */
  readonly addBos: boolean | undefined;
  /** The whole `tokenizer_config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
}

const fileLimit = 64 << 20;
/** The highest id a token may have. */
export const maxTokenId: number = 1 << 24;
const maxAdded = 1 << 16;
const roleKeys = [
  ["bos", "bos_token"],
  ["eos", "eos_token"],
  ["unk", "unk_token"],
  ["pad", "pad_token"],
] as const;
const otherKeys = ["sep_token", "cls_token", "mask_token"] as const;

/** Reads the settings of a checkpoint folder; all three files may be absent. */
export const readTokenizerSettings: (
  dir: string,
) => Effect.Effect<TokenizerSettings, CheckpointError> = Effect.fnUntraced(
  function* (dir: string) {
    const config = (yield* readJsonObject(
      joinPath(dir, "tokenizer_config.json"),
      fileLimit,
    ))?.value ?? {};
    const modern = isRecord(config.added_tokens_decoder);
    const map = (yield* readJsonObject(
      joinPath(dir, "special_tokens_map.json"),
      fileLimit,
    ))?.value ?? {};
    const old = modern
      ? undefined
      : (yield* readJsonObject(joinPath(dir, "added_tokens.json"), fileLimit))
        ?.value;
    return yield* Effect.try({
      try: () => settings(config, map, old),
      catch: (cause) =>
        cause instanceof Wrong
          ? new CheckpointError({
            path: joinPath(dir, cause.file),
            message: `${joinPath(dir, cause.file)}: ${cause.message}`,
          })
          : new CheckpointError({
            path: dir,
            message: `${dir}: the tokenizer's settings cannot be read`,
            cause,
          }),
    });
  },
);

/** Thrown inside this file only. */
class Wrong extends Error {
  constructor(readonly file: string, message: string) {
    super(message);
  }
}

type Json = Readonly<Record<string, unknown>>;

function settings(
  config: Json,
  map: Json,
  old: Json | undefined,
): TokenizerSettings {
  const roles: Partial<Record<TokenRole, string | null>> = {};
  const special: string[] = [];
  const add = (text: string) => {
    if (text !== "" && !special.includes(text)) special.push(text);
  };
  const one = (key: string): string | null | undefined => {
    for (
      const [file, from] of [
        ["tokenizer_config.json", config],
        ["special_tokens_map.json", map],
      ] as const
    ) {
      if (key in from) return contentOf(file, key, from[key]);
    }
  };
  for (const [role, key] of roleKeys) {
    const content = one(key);
    if (content !== undefined) roles[role] = content;
    if (content != null) add(content);
  }
  for (const key of otherKeys) {
    const content = one(key);
    if (content != null) add(content);
  }
  for (
    const [file, from] of [
      ["tokenizer_config.json", config],
      ["special_tokens_map.json", map],
    ] as const
  ) {
    const list = from.additional_special_tokens;
    if (list == null) continue;
    if (!Array.isArray(list) || list.length > maxAdded) {
      throw new Wrong(file, "additional_special_tokens must be a list");
    }
    for (const item of list) {
      add(contentOf(file, "additional_special_tokens", item) ?? "");
    }
  }
  const decoder = config.added_tokens_decoder;
  const added = isRecord(decoder)
    ? modernTokens(decoder, special)
    : oldTokens(old ?? {}, special);
  const seen = new Map<number, string>();
  for (const { id, content } of added) {
    const other = seen.get(id);
    if (other !== undefined) {
      throw new Wrong(
        isRecord(decoder) ? "tokenizer_config.json" : "added_tokens.json",
        `id ${id} is given to both ${quoted(other)} and ${quoted(content)}`,
      );
    }
    seen.set(id, content);
  }
  const addBos = config.add_bos_token;
  return {
    added,
    special,
    roles,
    addBos: typeof addBos === "boolean" ? addBos : undefined,
    config,
  };
}

/** A token is written as a string, as an object with `content`, or as null. */
function contentOf(file: string, key: string, value: unknown): string | null {
  if (value === null) return null;
  const content = isRecord(value) ? value.content : value;
  if (typeof content !== "string") {
    throw new Wrong(file, `${key} must be a string`);
  }
  return content;
}

function modernTokens(decoder: Json, special: readonly string[]): AddedToken[] {
  const file = "tokenizer_config.json";
  const entries = Object.entries(decoder);
  if (entries.length > maxAdded) throw new Wrong(file, "too many added tokens");
  const contents = new Set<string>();
  return entries.map(([key, value]) => {
    const id = /^\d{1,9}$/.test(key) ? Number(key) : NaN;
    if (!(id <= maxTokenId)) {
      throw new Wrong(
        file,
        `added_tokens_decoder: ${quoted(key)} is no token id`,
      );
    }
    const content = contentOf(file, `added_tokens_decoder ${id}`, value);
    if (content === null || content === "" || contents.has(content)) {
      throw new Wrong(
        file,
        `added_tokens_decoder: id ${id} has an empty or repeated text`,
      );
    }
    contents.add(content);
    const flags = isRecord(value) ? value : {};
    if (flags.single_word === true) {
      throw new Wrong(
        file,
        `added_tokens_decoder: single_word of ${
          quoted(content)
        } is not supported`,
      );
    }
    return {
      id,
      content,
      special: flags.special === true || special.includes(content),
      lstrip: flags.lstrip === true,
      rstrip: flags.rstrip === true,
    };
  });
}

function oldTokens(map: Json, special: readonly string[]): AddedToken[] {
  const file = "added_tokens.json";
  const entries = Object.entries(map);
  if (entries.length > maxAdded) throw new Wrong(file, "too many added tokens");
  return entries.map(([content, id]) => {
    if (
      content === "" || !Number.isInteger(id) || (id as number) < 0 ||
      (id as number) > maxTokenId
    ) {
      throw new Wrong(file, `${quoted(content)} has no valid token id`);
    }
    return {
      id: id as number,
      content,
      special: special.includes(content),
      lstrip: false,
      rstrip: false,
    };
  });
}
