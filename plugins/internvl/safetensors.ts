/**
 * The safetensors header: 8 bytes little-endian length, JSON, then the numbers. Only headers are read
 * here; the numbers stay in the file until a graph or {@link readTensorBytes} wants them.
 *
 * The rules are those of the format's own reader (huggingface/safetensors, `tensor.rs`): at most
 * 100 MB of header, no holes and no overlaps between tensors, nothing after the last one.
 * @module
 */
import { Effect } from "effect";
import { CheckpointError } from "../../nodes/errors.ts";
import type { DType } from "../../nodes/tensor.ts";
import {
  fileFacts,
  isRecord,
  joinPath,
  oneLine,
  quoted,
  readBytes,
  refusePointer,
} from "./files.ts";

/** Element types a checkpoint's weights may have: floats, and bytes where they are quantized. */
export type WeightDType = Extract<
  DType,
  "float32" | "float16" | "bfloat16" | "uint8" | "int8"
>;

/** The element types of weights that are not quantized. */
export const floatDTypes: readonly WeightDType[] = [
  "float32",
  "float16",
  "bfloat16",
];

/** One tensor of a checkpoint: where its numbers lie. */
export interface TensorEntry {
  /** Name, such as `language_model.output.weight`. */
  readonly name: string;
  /** Element type. */
  readonly dtype: WeightDType;
  /** Extents, outermost first; `[]` for a scalar. */
  readonly shape: readonly number[];
  /** File, relative to the checkpoint folder. */
  readonly file: string;
  /** First byte, counted from the start of the file. */
  readonly offset: number;
  /** Bytes: the product of `shape` times the bytes per element. */
  readonly length: number;
}

/** A file's header. */
export interface SafetensorsHeader {
  /** The tensors in the order of their numbers in the file. */
  readonly tensors: readonly TensorEntry[];
  /** The header's JSON as it stands in the file, for digests. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Size of the file in bytes. */
  readonly fileSize: number;
  /** Time of the file's last change in milliseconds since 1970. */
  readonly mtime: number;
}

/** The longest header that is read, as in the format's own reader. */
export const maxHeaderBytes = 100_000_000;

const dtypes: ReadonlyMap<string, readonly [WeightDType, number]> = new Map([
  ["F32", ["float32", 4]],
  ["F16", ["float16", 2]],
  ["BF16", ["bfloat16", 2]],
  ["U8", ["uint8", 1]],
  ["I8", ["int8", 1]],
]);

/**
 * Reads and checks the header of `file` in `dir`.
 * Fails with {@link CheckpointError} naming file and tensor.
 */
export const readSafetensorsHeader: (
  dir: string,
  file: string,
) => Effect.Effect<SafetensorsHeader, CheckpointError> = Effect.fnUntraced(
  function* (dir: string, file: string) {
    const path = joinPath(dir, file);
    const facts = yield* fileFacts(path);
    if (facts === undefined) {
      return yield* new CheckpointError({
        path,
        message: `${path} is missing`,
      });
    }
    if (facts.size < 8) {
      return yield* new CheckpointError({
        path,
        message:
          `${path} has ${facts.size} bytes; a safetensors file starts with 8 bytes of header length`,
      });
    }
    const head = yield* readBytes(path, 0, Math.min(facts.size, 64));
    yield* refusePointer(path, head);
    const length = yield* headerLength(path, head, facts.size);
    const bytes = yield* readBytes(path, 8, length);
    const tensors = yield* parseSafetensorsHeader(bytes, {
      path,
      file,
      fileSize: facts.size,
    });
    return { tensors, bytes, fileSize: facts.size, mtime: facts.mtime };
  },
);

/** Reads one tensor's bytes. */
export function readTensorBytes(
  dir: string,
  entry: TensorEntry,
): Effect.Effect<Uint8Array<ArrayBuffer>, CheckpointError> {
  return readBytes(joinPath(dir, entry.file), entry.offset, entry.length);
}

/** Checks the 8 bytes of header length against the file's size and the format's bound. */
export function headerLength(
  path: string,
  prefix: Uint8Array,
  fileSize: number,
): Effect.Effect<number, CheckpointError> {
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8)
    .getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) {
    return Effect.fail(
      new CheckpointError({
        path,
        message:
          `${path}: the header claims ${length} bytes, at most ${maxHeaderBytes} are allowed; this is no safetensors file`,
      }),
    );
  }
  if (length > BigInt(fileSize - 8)) {
    return Effect.fail(
      new CheckpointError({
        path,
        message: `${path} is truncated: the header claims ${length} bytes, ${
          fileSize - 8
        } follow it`,
      }),
    );
  }
  return Effect.succeed(Number(length));
}

/** Checks a header's JSON against the size of its file and lists the tensors. */
export function parseSafetensorsHeader(
  bytes: Uint8Array,
  place: {
    readonly path: string;
    readonly file: string;
    readonly fileSize: number;
  },
): Effect.Effect<readonly TensorEntry[], CheckpointError> {
  return Effect.try({
    try: () => parse(bytes, place.path, place.file, place.fileSize),
    catch: (cause) =>
      cause instanceof CheckpointError ? cause : new CheckpointError({
        path: place.path,
        message: `${place.path}: damaged safetensors header: ${oneLine(cause)}`,
        cause,
      }),
  });
}

function parse(
  bytes: Uint8Array,
  path: string,
  file: string,
  fileSize: number,
): readonly TensorEntry[] {
  const fail = (what: string, tensor?: string): never => {
    throw new CheckpointError({
      path,
      ...(tensor === undefined ? {} : { tensor }),
      message: tensor === undefined
        ? `${path}: ${what}`
        : `${path}: tensor ${quoted(tensor)}: ${what}`,
    });
  };
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
      .decode(bytes);
  } catch {
    return fail("the header is not UTF-8");
  }
  if (!text.startsWith("{")) fail("the header does not start with '{'");
  const duplicate = duplicateKey(text);
  if (duplicate !== undefined) {
    fail(`the header has ${quoted(duplicate)} twice`);
  }
  const header = JSON.parse(text) as unknown;
  if (!isRecord(header)) return fail("the header is not a JSON object");

  const dataStart = 8 + bytes.length;
  const entries: TensorEntry[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    if (!isRecord(value)) {
      return fail("its header entry is not an object", name);
    }
    const type = value.dtype;
    const known = typeof type === "string" ? dtypes.get(type) : undefined;
    if (known === undefined) {
      return fail(
        `dtype ${
          quoted(String(type))
        } is not supported; F32, F16, BF16, U8 and I8 are`,
        name,
      );
    }
    const [dtype, width] = known;
    const shape = value.shape;
    if (!Array.isArray(shape) || !shape.every(isCount)) {
      return fail("shape must be a list of whole numbers from 0", name);
    }
    if (shape.length > 8) fail("more than 8 dimensions", name);
    const offsets = value.data_offsets;
    if (
      !Array.isArray(offsets) || offsets.length !== 2 ||
      !offsets.every(isCount) || offsets[0] > offsets[1]
    ) {
      return fail("data_offsets must be two rising whole numbers", name);
    }
    const [begin, end] = offsets as [number, number];
    if (dataStart + end > fileSize) {
      fail(
        `its numbers end at byte ${
          dataStart + end
        } but the file has ${fileSize}: it is truncated or damaged`,
        name,
      );
    }
    // Bounded step by step, so that a product past 2^53 cannot wrap into a right answer.
    let needed = width;
    for (const extent of shape as number[]) {
      needed *= extent;
      if (needed > Number.MAX_SAFE_INTEGER) fail("shape is too large", name);
    }
    if (needed !== end - begin) {
      fail(
        `${type} [${
          shape.join(", ")
        }] needs ${needed} bytes, data_offsets hold ${end - begin}`,
        name,
      );
    }
    entries.push({
      name,
      dtype,
      shape: shape as number[],
      file,
      offset: dataStart + begin,
      length: end - begin,
    });
  }

  entries.sort((a, b) => a.offset - b.offset || a.length - b.length);
  let next = dataStart;
  for (const entry of entries) {
    if (entry.offset !== next) {
      fail(
        entry.offset < next
          ? "its numbers overlap another tensor's"
          : `${
            entry.offset - next
          } bytes before its numbers belong to no tensor`,
        entry.name,
      );
    }
    next = entry.offset + entry.length;
  }
  if (next !== fileSize) {
    fail(`${fileSize - next} bytes after the last tensor belong to none`);
  }
  return entries;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 &&
    !Object.is(value, -0);
}

/**
 * The first key that stands twice in one object, which `JSON.parse` would pass over in silence.
 * Throws on text nested deeper than any header is.
 */
function duplicateKey(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x7b: // {
        open.push(new Set());
        break;
      case 0x5b: // [
        open.push(undefined);
        break;
      case 0x7d: // }
      case 0x5d: // ]
        open.pop();
        break;
      case 0x22: { // "
        const start = i++;
        while (i < text.length && text.charCodeAt(i) !== 0x22) {
          i += text.charCodeAt(i) === 0x5c ? 2 : 1;
        }
        let after = i + 1;
        while (
          after < text.length && " \t\n\r".includes(text.charAt(after))
        ) after++;
        const keys = open.at(-1);
        if (text.charCodeAt(after) === 0x3a && keys !== undefined) {
          const key = JSON.parse(text.slice(start, i + 1)) as string;
          if (keys.has(key)) return key;
          keys.add(key);
        }
        break;
      }
    }
    if (open.length > 8) throw new SyntaxError("nested deeper than 8 levels");
  }
  return undefined;
}
