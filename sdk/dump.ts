/**
 * Stores what passed the ports of a run as files that NumPy and people can read.
 * @module
 */
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Effect } from "effect";
import { MediaError } from "../nodes/errors.ts";
import type { DType, HostArrays, Tensor } from "../nodes/tensor.ts";
import type { Completion, Prompt, Tiles } from "../nodes/values.ts";
import type { OnValue } from "../pipeline/mod.ts";
import { encodeNpy } from "./npy.ts";

/** A value with the place it came from. */
interface Seen {
  readonly node: string;
  readonly output: string;
  readonly type: string;
  readonly value: unknown;
  readonly preview: unknown;
}

/** Collects the values of a run, and writes them when it is over. */
export interface Dump {
  /** The hook for the run. */
  readonly onValue: OnValue;
  /** Writes the files. */
  readonly write: Effect.Effect<void, MediaError>;
}

/**
 * Files per question: `pixel_values.npy` (float32 [n, 3, S, S]), `patch_features.npy` (the vision
 * encoder's last hidden state, class token included), `visual_tokens.npy` ([n, tokens, hidden]),
 * `prompt.txt`, `input_ids.npy` (int64), `first_logits.npy` (float32, the first generated token's),
 * `output_ids.npy` (int64), and `ports.json` with a preview of every port. The questions of a batch
 * get a folder each, named by their node.
 */
export function dumpTo(dir: string): Dump {
  const seen: Seen[] = [];
  const onValue: OnValue = (node, output, port, value) =>
    Effect.sync(() => {
      seen.push({
        node,
        output,
        type: port.name,
        value,
        preview: port.preview(value),
      });
    });
  const write = Effect.tryPromise({
    try: async () => {
      const groups = Map.groupBy(
        seen,
        ({ node }) => node.slice(0, Math.max(0, node.lastIndexOf("/"))),
      );
      for (const [prefix, values] of groups) {
        const folder = join(dir, ...prefix.split("/").map(fileName));
        await mkdir(folder, { recursive: true });
        for (const [name, content] of await filesOf(values)) {
          await writeWhole(join(folder, name), content);
        }
      }
    },
    catch: (cause) =>
      new MediaError({
        message: `the dump could not be written to ${dir}: ${reason(cause)}`,
        source: dir,
        cause,
      }),
  });
  return { onValue, write };
}

/** Writes a file under its name only when all of it is there: half an array would still be read. */
async function writeWhole(path: string, content: Content): Promise<void> {
  const fresh = `${path}.part`;
  try {
    await writeFile(fresh, content);
    await rename(fresh, path);
  } catch (error) {
    await rm(fresh, { force: true }).catch(() => {});
    throw error;
  }
}

/** The cause in words: `ENOSPC: no space left on device, write` without code and call. */
function reason(cause: unknown): string {
  const message = cause instanceof Error ? cause.message : String(cause);
  return /^E[A-Z]+: (.*?), [a-z]+\b/.exec(message)?.[1] ?? message;
}

/** `answer[2]` → `answer-2`. */
const fileName = (segment: string): string =>
  segment.replace("[", "-").replace("]", "");

type Content = string | Uint8Array<ArrayBuffer>;

async function filesOf(values: readonly Seen[]): Promise<[string, Content][]> {
  const files: [string, Content][] = [];
  const add = async (name: string, tensors: readonly Tensor[]) => {
    if (tensors.length > 0) {
      files.push([`${name}.npy`, await concatenate(tensors)]);
    }
  };
  await add("pixel_values", tilesOf(values).map((tiles) => tiles.pixels));
  await add("patch_features", inOrder<Tensor>(values, "PatchFeatures"));
  await add("visual_tokens", inOrder<Tensor>(values, "VisualTokens"));
  for (const prompt of inOrder<Prompt>(values, "Prompt")) {
    files.push(["prompt.txt", prompt.text]);
    files.push(["input_ids.npy", encodeIds(prompt.ids)]);
  }
  for (const completion of inOrder<Completion>(values, "Completion")) {
    const { data, shape } = completion.firstLogits;
    files.push(["first_logits.npy", encodeNpy("float32", shape, data)]);
    files.push(["output_ids.npy", encodeIds(completion.ids)]);
  }
  const ports = Object.fromEntries(
    values.map(({ node, output, type, preview }) => [
      `${node === "" ? "input" : node}.${output}`,
      { type, preview },
    ]),
  );
  files.push(["ports.json", `${JSON.stringify(ports, undefined, 2)}\n`]);
  return files;
}

/** Values of a port type in prompt order: frames before pictures, then by element. */
function inOrder<A>(values: readonly Seen[], type: string): A[] {
  return values
    .filter((value) => value.type === type && value.node !== "")
    .toSorted((a, b) => rank(a.node) - rank(b.node))
    .map(({ value }) => value as A);
}

function rank(node: string): number {
  const element = Number(/\[(\d+)\]$/.exec(node)?.[1] ?? 0);
  return (node.includes("-frames") ? 0 : 1e6) + element;
}

/** The tiles the encoder saw: a picture's joined set where there is one, else its grid. */
function tilesOf(values: readonly Seen[]): Tiles[] {
  const joined = values.some(({ node }) => node.startsWith("join-tiles"));
  return inOrder<Tiles>(
    values.filter(({ node }) =>
      !joined || node.startsWith("join-tiles") || node.startsWith("tile-frames")
    ),
    "Tiles",
  );
}

const encodeIds = (ids: Int32Array): Uint8Array<ArrayBuffer> =>
  encodeNpy("int64", [ids.length], BigInt64Array.from(ids, BigInt));

async function concatenate(
  tensors: readonly Tensor[],
): Promise<Uint8Array<ArrayBuffer>> {
  const arrays = await Promise.all(
    tensors.map((tensor) => Effect.runPromise(tensor.read)),
  );
  const first = tensors[0]!;
  const total = arrays.reduce((sum, array) => sum + array.length, 0);
  const Array = arrays[0]!.constructor as new (
    length: number,
  ) => Float32Array<ArrayBuffer>;
  const joined = new Array(total);
  let offset = 0;
  for (const array of arrays) {
    joined.set(array as Float32Array, offset);
    offset += array.length;
  }
  const rows = tensors.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0);
  return encodeNpy(
    first.dtype as DType,
    [rows, ...first.shape.slice(1)],
    joined as HostArrays[DType] as never,
  );
}
