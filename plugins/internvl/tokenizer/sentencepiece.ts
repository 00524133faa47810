/**
 * Reads `tokenizer.model`: a SentencePiece `ModelProto` in protobuf's wire format
 * (google/sentencepiece, `sentencepiece_model.proto`). Only the fields that decide how text becomes ids
 * and back are kept. The checks are those SentencePiece itself makes when it loads a model
 * (`model_interface.cc`), and a few more that a truncated file would pass.
 * @module
 */
import { Effect } from "effect";
import { CheckpointError } from "../../../nodes/errors.ts";
import { oneLine, quoted } from "../files.ts";
import { type Charsmap, parseCharsmap } from "./charsmap.ts";
import { Damaged, expectWire, Fields, flag, text } from "./protobuf.ts";

/** What a piece is for. */
export type PieceType =
  | "normal"
  | "unknown"
  | "control"
  | "user_defined"
  | "unused"
  | "byte";

/** One piece; its id is its place in the list. */
export interface Piece {
  /** The piece, spaces written as U+2581. */
  readonly text: string;
  /** Merges of a higher score come first. */
  readonly score: number;
  /** What it is for. */
  readonly type: PieceType;
}

/** A SentencePiece BPE model. */
export interface SentencePieceModel {
  /** All pieces by id. */
  readonly pieces: readonly Piece[];
  /** Id of the one piece of type `unknown`. */
  readonly unknownId: number;
  /** Ids of the byte pieces by byte; empty without byte fallback. */
  readonly byteIds: Int32Array<ArrayBuffer>;
  /** Put a space in front of (or, as suffix, after) every text. */
  readonly addDummyPrefix: boolean;
  /** Drop leading and trailing spaces and make one of several. */
  readonly removeExtraWhitespaces: boolean;
  /** Write spaces as U+2581. */
  readonly escapeWhitespaces: boolean;
  /** The dummy space goes to the end. */
  readonly treatWhitespaceAsSuffix: boolean;
  /** Character rewriting, such as NFKC; `undefined` for none. */
  readonly charsmap: Charsmap | undefined;
  /** What the unknown piece is decoded to. */
  readonly unknownSurface: string;
  /** Id of the control piece for BOS; -1 for none. */
  readonly bosId: number;
  /** Id of the control piece for EOS; -1 for none. */
  readonly eosId: number;
  /** Id of the control piece for padding; -1 for none. */
  readonly padId: number;
}

const pieceTypes: ReadonlyMap<number, PieceType> = new Map([
  [1, "normal"],
  [2, "unknown"],
  [3, "control"],
  [4, "user_defined"],
  [5, "unused"],
  [6, "byte"],
]);
const modelTypes: ReadonlyMap<number, string> = new Map([
  [1, "unigram"],
  [2, "bpe"],
  [3, "word"],
  [4, "char"],
]);
/** The most pieces a model may have; the pair keys of the encoder hold 21 bits of rank. */
const maxPieces = 1 << 21;
/** SentencePiece's own bound on a piece, in bytes. */
const maxPieceBytes = 8000;

/** Parses and checks a model file. Fails with {@link CheckpointError}. */
export function parseSentencePiece(
  bytes: Uint8Array,
  path: string,
): Effect.Effect<SentencePieceModel, CheckpointError> {
  return Effect.try({
    try: () => parse(bytes),
    catch: (cause) =>
      new CheckpointError({
        path,
        message: `${path}: ${oneLine(cause)}`,
        cause,
      }),
  });
}

function parse(bytes: Uint8Array): SentencePieceModel {
  const pieces: Piece[] = [];
  const trainer: Uint8Array[] = [];
  const normalizer: Uint8Array[] = [];
  const field = new Fields(bytes);
  const inner = new Fields(bytes);
  while (field.next()) {
    switch (field.number) {
      case 1:
        expectWire(field, 2);
        if (pieces.length === maxPieces) {
          throw new Damaged(`more than ${maxPieces} pieces`);
        }
        inner.restart(field.from, field.to);
        pieces.push(parsePiece(inner, pieces.length));
        break;
      // A singular message that stands twice is merged, so the fields of both are walked.
      case 2:
        expectWire(field, 2);
        trainer.push(field.bytes);
        break;
      case 3:
        expectWire(field, 2);
        normalizer.push(field.bytes);
        break;
      case 5:
        expectWire(field, 2);
        inner.restart(field.from, field.to);
        while (inner.next()) {
          if (inner.number === 2 && inner.bytes.length > 0) {
            throw new Damaged("a denormalizer is not supported");
          }
        }
        break;
    }
  }
  // Both always stand in a model file; their defaults would pass off a truncated one as whole.
  if (trainer.length === 0 || normalizer.length === 0) {
    throw new Damaged(
      "truncated SentencePiece model: its trainer or normalizer settings are missing",
    );
  }
  const settings = parseTrainer(trainer);
  const controlId = (piece: string) =>
    pieces.findIndex(({ text, type }) => type === "control" && text === piece);
  return {
    pieces,
    ...checkPieces(pieces, settings.byteFallback),
    ...parseNormalizer(normalizer),
    treatWhitespaceAsSuffix: settings.treatWhitespaceAsSuffix,
    unknownSurface: settings.unknownSurface,
    bosId: controlId(settings.bosPiece),
    eosId: controlId(settings.eosPiece),
    padId: controlId(settings.padPiece),
  };
}

const float = new DataView(new ArrayBuffer(4));

function parsePiece(field: Fields, id: number): Piece {
  let piece = "";
  let score = 0;
  let type: PieceType = "normal";
  while (field.next()) {
    if (field.number === 1) {
      if (field.to - field.from >= maxPieceBytes) {
        throw new Damaged(`piece ${id} is longer than ${maxPieceBytes} bytes`);
      }
      piece = text(field);
    } else if (field.number === 2) {
      expectWire(field, 5);
      field.bytes.forEach((byte, i) => float.setUint8(i, byte));
      score = float.getFloat32(0, true);
      if (!Number.isFinite(score)) {
        throw new Damaged(`piece ${id} has the score ${score}`);
      }
    } else if (field.number === 3) {
      expectWire(field, 0);
      const known = pieceTypes.get(field.int);
      if (known === undefined) {
        throw new Damaged(`piece ${id} has the unknown type ${field.int}`);
      }
      type = known;
    }
  }
  if (piece === "" || piece.includes("\0")) {
    throw new Damaged(`piece ${id} is empty or has a NUL`);
  }
  return { text: piece, score, type };
}

function parseTrainer(messages: readonly Uint8Array[]) {
  let modelType = 1;
  const trainer = {
    byteFallback: false,
    treatWhitespaceAsSuffix: false,
    unknownSurface: " \u2047 ",
    bosPiece: "<s>",
    eosPiece: "</s>",
    padPiece: "<pad>",
  };
  for (const message of messages) {
    const field = new Fields(message);
    while (field.next()) {
      switch (field.number) {
        case 3:
          expectWire(field, 0);
          modelType = field.int;
          break;
        case 24:
          trainer.treatWhitespaceAsSuffix = flag(field);
          break;
        case 35:
          trainer.byteFallback = flag(field);
          break;
        case 44:
          trainer.unknownSurface = text(field);
          break;
        case 46:
          trainer.bosPiece = text(field) || trainer.bosPiece;
          break;
        case 47:
          trainer.eosPiece = text(field) || trainer.eosPiece;
          break;
        case 48:
          trainer.padPiece = text(field) || trainer.padPiece;
          break;
      }
    }
  }
  if (modelType !== 2) {
    throw new Damaged(
      `a SentencePiece model of type ${
        modelTypes.get(modelType) ?? modelType
      } is not supported; bpe is`,
    );
  }
  return trainer;
}

function parseNormalizer(messages: readonly Uint8Array[]) {
  const normalizer = {
    charsmap: undefined as Charsmap | undefined,
    addDummyPrefix: true,
    removeExtraWhitespaces: true,
    escapeWhitespaces: true,
  };
  for (const message of messages) {
    const field = new Fields(message);
    while (field.next()) {
      switch (field.number) {
        case 2:
          expectWire(field, 2);
          normalizer.charsmap = field.bytes.length === 0
            ? undefined
            : parseCharsmap(field.bytes);
          break;
        case 3:
          normalizer.addDummyPrefix = flag(field);
          break;
        case 4:
          normalizer.removeExtraWhitespaces = flag(field);
          break;
        case 5:
          normalizer.escapeWhitespaces = flag(field);
          break;
      }
    }
  }
  return normalizer;
}

/** The byte a byte piece stands for, `<0x00>` to `<0xFF>`. */
export function byteOfPiece(piece: string): number | undefined {
  const match = /^<0x([0-9A-F]{2})>$/.exec(piece);
  return match === null ? undefined : parseInt(match[1]!, 16);
}

function checkPieces(pieces: readonly Piece[], byteFallback: boolean) {
  const ordinary = new Set<string>();
  const reserved = new Set<string>();
  const byteIds = new Int32Array(byteFallback ? 256 : 0).fill(-1);
  let unknownId = -1;
  for (const [id, { text, type }] of pieces.entries()) {
    const names = type === "normal" || type === "user_defined" ||
        type === "unused"
      ? ordinary
      : reserved;
    if (names.has(text)) {
      throw new Damaged(`the piece ${quoted(text)} stands twice`);
    }
    names.add(text);
    if (type === "unknown") {
      if (unknownId >= 0) throw new Damaged("two pieces are of type unknown");
      unknownId = id;
    } else if (type === "byte") {
      const byte = byteOfPiece(text);
      if (byte === undefined) {
        throw new Damaged(`the byte piece ${quoted(text)} names no byte`);
      }
      if (!byteFallback) {
        throw new Damaged(
          `the byte piece ${
            quoted(text)
          } stands in a model without byte fallback`,
        );
      }
      byteIds[byte] = id;
    }
  }
  if (unknownId < 0) throw new Damaged("no piece is of type unknown");
  if (byteIds.includes(-1)) {
    throw new Damaged("byte fallback needs all 256 byte pieces");
  }
  return { unknownId, byteIds };
}
