/**
 * `quantization_config` in a `config.json`, read and written.
 * @module
 */
import { Result, Schema } from "effect";
import { isRecord, oneLine, quoted } from "../files.ts";
import { byRole, type Quantization, type Scheme } from "./scheme.ts";

/** What `quant_method` says in folders we write. */
const METHOD = "tessera";
/** Raised when older readers would compute something else. */
const VERSION = 1;

const FloatFile = Schema.Struct({ type: Schema.Literal("float") });
const BlocksFile = Schema.Struct({
  type: Schema.Literal("blocks"),
  bits: Schema.Literals([4, 8]),
  block_size: Schema.Literals([32, 64, 128]),
  symmetric: Schema.Boolean,
});
const W8A8File = Schema.Struct({ type: Schema.Literal("w8a8") });
// Rows are looked up in the embedding, and the head computes one row: neither gains by w8a8.
const TableFile = Schema.Union([FloatFile, BlocksFile]);
const LayersFile = Schema.Union([FloatFile, BlocksFile, W8A8File]);
const QuantizationFile = Schema.Struct({
  vision: LayersFile,
  language: LayersFile,
  prefill: Schema.optional(W8A8File),
  head: TableFile,
  embedding: TableFile,
});

/** Reads `quantization_config`; a text says what is wrong with it. */
export function decodeQuantization(value: unknown): Quantization | string {
  const where = "quantization_config";
  if (!isRecord(value)) return `${where} must be an object`;
  if (value.quant_method !== METHOD) {
    return `${where} is of ${
      typeof value.quant_method === "string"
        ? quoted(value.quant_method)
        : "an unknown method"
    }; only what \`tessera quantize\` writes is supported`;
  }
  if (value.version !== VERSION) {
    return `${where} has version ${
      quoted(String(value.version))
    }; this program reads version ${VERSION}`;
  }
  const decoded = Schema.decodeUnknownResult(QuantizationFile)(value);
  if (Result.isFailure(decoded)) {
    return `${where}: ${oneLine(decoded.failure.message)}`;
  }
  const read = (scheme: typeof LayersFile.Type): Scheme =>
    scheme.type === "blocks"
      ? {
        type: "blocks",
        bits: scheme.bits,
        blockSize: scheme.block_size,
        symmetric: scheme.symmetric,
      }
      : scheme;
  const { vision, language, prefill, head, embedding } = decoded.success;
  if (prefill !== undefined && language.type !== "blocks") {
    return `${where}: prefill is a second set of weights beside int4 or int8; language is ${language.type}`;
  }
  return {
    vision: read(vision),
    language: read(language),
    ...(prefill === undefined ? {} : { prefill: read(prefill) }),
    head: read(head),
    embedding: read(embedding),
  };
}

/** `quantization_config` for a folder. */
export function encodeQuantization(
  quantization: Quantization,
): Readonly<Record<string, unknown>> {
  const write = (scheme: Scheme) =>
    scheme.type === "blocks"
      ? {
        type: "blocks",
        bits: scheme.bits,
        block_size: scheme.blockSize,
        symmetric: scheme.symmetric,
      }
      : { type: scheme.type };
  return {
    quant_method: METHOD,
    version: VERSION,
    ...byRole(quantization, (_, scheme) => write(scheme)),
  };
}
