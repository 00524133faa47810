/**
 * SentencePiece's decoder (google/sentencepiece `sentencepiece_processor.cc`, `Decode`) as a stream:
 * ids go in one by one, text comes out as soon as it is certain. A byte piece is held back until its
 * character is complete or cannot become valid.
 * @module
 */
import { spaceMarker } from "./normalize.ts";
import { byteOfPiece, type SentencePieceModel } from "./sentencepiece.ts";

/** Decodes one text: a run of ids with no special token between them. */
export interface PieceDecoder {
  /** Takes an id of the model and returns the text that became certain. */
  readonly push: (id: number) => string;
  /** Ends the text and returns what was held back; the decoder then starts afresh. */
  readonly end: () => string;
}

/** Makes decoders for a model. */
export function makePieceDecoders(
  model: SentencePieceModel,
): () => PieceDecoder {
  const bytes = model.pieces.map((piece) =>
    piece.type === "byte" ? byteOfPiece(piece.text)! : -1
  );
  const stripsPrefix = model.addDummyPrefix || model.removeExtraWhitespaces;
  return () => {
    const pending: number[] = [];
    let anyText = false;
    // Whether the piece before was a leading space marker that was stripped.
    let stripped = false;
    let atStart = true;

    const surface = (id: number): string => {
      const { text, type } = model.pieces[id]!;
      if (stripped || anyText) atStart = false;
      stripped = false;
      if (type === "control") return "";
      if (type === "unknown") return model.unknownSurface;
      let piece = text;
      if (atStart && stripsPrefix && piece.startsWith(spaceMarker)) {
        piece = piece.slice(1);
        // With extra white space removed every leading space goes, not only the first.
        stripped = !model.removeExtraWhitespaces;
      }
      return piece.replaceAll(spaceMarker, " ");
    };
    const count = (text: string): string => {
      if (text !== "") anyText = true;
      return text;
    };
    return {
      push: (id) => {
        if (bytes[id]! >= 0) {
          pending.push(bytes[id]!);
          return count(takeCharacters(pending, false));
        }
        const before = count(takeCharacters(pending, true));
        return before + count(surface(id));
      },
      end: () => {
        const rest = takeCharacters(pending, true);
        anyText = false;
        stripped = false;
        atStart = true;
        return rest;
      },
    };
  };
}

/**
 * Takes whole characters from the front of `pending`. A byte that can start no valid character there
 * becomes one U+FFFD, as in SentencePiece (Unicode's own advice makes fewer). Unless `last`, bytes that
 * may still become a character stay.
 */
function takeCharacters(pending: number[], last: boolean): string {
  let out = "";
  let at = 0;
  while (at < pending.length) {
    const first = pending[at]!;
    const length = first < 0x80
      ? 1
      : first < 0xc0
      ? 0
      : first < 0xe0
      ? 2
      : first < 0xf0
      ? 3
      : first < 0xf8
      ? 4
      : 0;
    let point = length === 1 ? first : first & (0x7f >> length);
    let have = 1;
    while (
      have < length && at + have < pending.length &&
      (pending[at + have]! & 0xc0) === 0x80
    ) {
      point = point << 6 | (pending[at + have]! & 0x3f);
      have++;
    }
    if (have < length && at + have === pending.length && !last) break;
    if (length > 0 && have === length && isScalar(point, length)) {
      out += String.fromCodePoint(point);
      at += length;
    } else {
      out += "\ufffd";
      at++;
    }
  }
  pending.splice(0, at);
  return out;
}

/** Whether a code point may be written in that many bytes. */
function isScalar(point: number, length: number): boolean {
  const least = [0, 0, 0x80, 0x800, 0x10000][length]!;
  return point >= least && point <= 0x10ffff &&
    !(point >= 0xd800 && point < 0xe000);
}
