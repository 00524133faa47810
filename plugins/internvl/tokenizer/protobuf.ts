/**
 * Reads protobuf's wire format, as far as a SentencePiece model needs it: varints, fixed-width and
 * length-delimited fields.
 * @module
 */

/** Thrown for bytes that are no such message; its message is one line. */
export class Damaged extends Error {}

const none = new Uint8Array(0);

/**
 * Walks the fields of a message. Every length is checked against the bytes that are there. A cursor
 * rather than a generator: a model has some 300,000 fields.
 */
export class Fields {
  /** The field's number. */
  number = 0;
  /** Its wire type. */
  wire = 0;
  /** A varint's low 32 bits, signed, as protobuf reads an int32 or an enum. */
  int = 0;
  /** A varint as a number, exact up to 2^53. */
  whole = 0;
  /** Where the bytes of any other value start. */
  from = 0;
  /** Where they end. */
  to = 0;
  readonly #source: Uint8Array;
  #at: number;
  #end: number;

  /** Starts on the message between two places of `source`. */
  constructor(source: Uint8Array, from = 0, to: number = source.length) {
    this.#source = source;
    this.#at = from;
    this.#end = to;
  }

  /** Starts on another message of the same bytes. */
  restart(from: number, to: number): void {
    this.#at = from;
    this.#end = to;
  }

  /** The value of a field that is not a varint. */
  get bytes(): Uint8Array {
    return this.wire === 0 ? none : this.#source.subarray(this.from, this.to);
  }

  /** Goes to the next field; false at the end. */
  next(): boolean {
    if (this.#at >= this.#end) return false;
    const key = this.#varint();
    this.number = Math.floor(key / 8);
    this.wire = key % 8;
    if (this.number === 0 || this.number >= 2 ** 29) {
      throw new Damaged(`damaged protobuf: field number ${this.number}`);
    }
    if (this.wire === 0) {
      this.#varint();
      return true;
    }
    let length: number;
    if (this.wire === 1) length = 8;
    else if (this.wire === 5) length = 4;
    else if (this.wire === 2) length = this.#varint();
    else throw new Damaged(`damaged protobuf: wire type ${this.wire}`);
    const left = this.#end - this.#at;
    if (length > left) {
      throw new Damaged(
        `damaged or truncated protobuf: field ${this.number} needs ${length} bytes, ${left} are left`,
      );
    }
    this.from = this.#at;
    this.to = this.#at += length;
    return true;
  }

  #varint(): number {
    this.whole = 0;
    this.int = 0;
    for (let i = 0; i < 10 && this.#at < this.#end; i++) {
      const byte = this.#source[this.#at++]!;
      if (i < 5) this.int |= (byte & 0x7f) << (7 * i);
      this.whole += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return this.whole;
    }
    throw new Damaged("damaged or truncated protobuf: a number has no end");
  }
}

/** Fails unless the field has the wire type that its number should have. */
export function expectWire(field: Fields, wire: number): void {
  if (field.wire !== wire) {
    throw new Damaged(
      `damaged protobuf: field ${field.number} has wire type ${field.wire} instead of ${wire}`,
    );
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A field's text, which must be UTF-8. */
export function text(field: Fields): string {
  expectWire(field, 2);
  try {
    return utf8.decode(field.bytes);
  } catch {
    throw new Damaged(`field ${field.number} is not UTF-8`);
  }
}

/** A field's truth value. */
export function flag(field: Fields): boolean {
  expectWire(field, 0);
  return field.whole !== 0;
}
