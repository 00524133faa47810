/**
 * The bytes of a piece of a `tokenizer.json` vocabulary, by what its decoder does: byte-level pieces
 * spell each byte by a character (GPT-2's `bytes_to_unicode`), others are text with marked spaces and
 * `<0xNN>` for a byte.
 * @module
 */
import { spaceMarker } from "./normalize.ts";

const encoder = new TextEncoder();

/** The character that byte-level pieces spell each byte by. */
const spelled: ReadonlyMap<string, number> = new Map(
  (() => {
    const printable = (byte: number) =>
      (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) ||
      byte >= 0xae;
    let next = 0x100;
    return Array.from(
      { length: 256 },
      (_, byte) =>
        [
          String.fromCharCode(printable(byte) ? byte : next++),
          byte,
        ] as const,
    );
  })(),
);

/** Turns pieces into bytes, given the `decoder` of the file. */
export function pieceBytes(
  decoder: unknown,
): (piece: string) => Uint8Array<ArrayBuffer> {
  const text = JSON.stringify(decoder ?? null);
  if (text.includes('"ByteLevel"')) {
    return (piece) => {
      const bytes = Array.from(piece, (character) => spelled.get(character));
      return bytes.includes(undefined)
        ? encoder.encode(piece)
        : Uint8Array.from(bytes as number[]);
    };
  }
  const byteFallback = text.includes('"ByteFallback"');
  const marked = text.includes(spaceMarker) || text.includes('"Metaspace"');
  return (piece) => {
    if (byteFallback && /^<0x[0-9A-F]{2}>$/.test(piece)) {
      return Uint8Array.of(Number.parseInt(piece.slice(3, 5), 16));
    }
    return encoder.encode(marked ? piece.replaceAll(spaceMarker, " ") : piece);
  };
}
