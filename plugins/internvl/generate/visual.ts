/**
 * Which rows of a chunk's embeddings are visual tokens, and their numbers.
 * @module
 */
import { Effect } from "effect";
import { type BackendError, PromptError } from "../../../nodes/errors.ts";
import {
  elementCount,
  type HostTensor,
  hostTensor,
} from "../../../nodes/tensor.ts";
import type { Prompt, VisualTokens } from "../../../nodes/values.ts";

/** Feeds of the language graph for one chunk. */
export interface VisualFeeds {
  /** float32 [m, D]. */
  readonly embeds: HostTensor<"float32">;
  /** int64 [m, 1]: rows in the chunk. */
  readonly rows: HostTensor<"int64">;
}

/** The visual tokens of a prompt, by position. */
export interface VisualRows {
  /** Those at the positions from `start` up to `end`, not included. */
  readonly chunk: (start: number, end: number) => VisualFeeds;
}

/** Feeds of a chunk without visual tokens. */
export function noVisual(width: number): VisualFeeds {
  return {
    embeds: hostTensor("float32", [0, width], new Float32Array(0)),
    rows: hostTensor("int64", [0, 1], new BigInt64Array(0)),
  };
}

/**
 * Puts visual tokens and context positions together, in order. Fails with {@link PromptError} when
 * their numbers differ, a span is not inside the prompt, or the tokens are not `width` wide.
 */
export const visualRows: (
  prompt: Prompt,
  visual: readonly VisualTokens[],
  width: number,
) => Effect.Effect<VisualRows, PromptError | BackendError> = Effect.fnUntraced(
  function* (prompt, visual, width) {
    let given = 0;
    for (const { dtype, shape } of visual) {
      if (dtype !== "float32" || shape.length < 2 || shape.at(-1) !== width) {
        return yield* new PromptError({
          message:
            `visual tokens must be float32 [tiles, tokens, ${width}], got ${dtype} [${
              shape.join(", ")
            }]`,
        });
      }
      given += elementCount(shape.slice(0, -1));
    }
    let wanted = 0;
    let next = 0;
    for (const { start, length } of prompt.images) {
      if (start < next || length < 0 || start + length > prompt.ids.length) {
        return yield* new PromptError({
          message:
            `an image span of ${length} tokens at ${start} does not fit the prompt of ${prompt.ids.length} tokens`,
        });
      }
      wanted += length;
      next = start + length;
    }
    if (wanted !== given) {
      return yield* new PromptError({
        message:
          `the prompt has ${wanted} image context tokens, ${given} visual tokens were given; they must be as many`,
      });
    }
    const sources: Float32Array<ArrayBuffer>[] = [];
    for (const tokens of visual) {
      sources.push((yield* tokens.read) as Float32Array<ArrayBuffer>);
    }
    const none = noVisual(width);
    return {
      chunk: (start, end) => {
        const rows: number[] = [];
        let first = 0;
        let before = 0;
        for (const span of prompt.images) {
          const from = Math.max(start, span.start);
          const to = Math.min(end, span.start + span.length);
          if (from < to && rows.length === 0) {
            first = before + from - span.start;
          }
          for (let at = from; at < to; at++) rows.push(at - start);
          before += span.length;
        }
        if (rows.length === 0) return none;
        return {
          embeds: hostTensor(
            "float32",
            [rows.length, width],
            slice(sources, first * width, rows.length * width),
          ),
          rows: hostTensor(
            "int64",
            [rows.length, 1],
            BigInt64Array.from(rows, (row) => BigInt(row)),
          ),
        };
      },
    };
  },
);

/** `length` numbers from `start` on of arrays laid end to end; a view where one array holds them all. */
function slice(
  sources: readonly Float32Array<ArrayBuffer>[],
  start: number,
  length: number,
): Float32Array<ArrayBuffer> {
  let copy: Float32Array<ArrayBuffer> | undefined;
  let filled = 0;
  let offset = 0;
  for (const source of sources) {
    const from = Math.max(0, start - offset);
    const to = Math.min(source.length, start + length - offset);
    offset += source.length;
    if (from >= to) continue;
    const part = source.subarray(from, to);
    if (part.length === length) return part;
    copy ??= new Float32Array(length);
    copy.set(part, filled);
    filled += part.length;
  }
  return copy ?? new Float32Array(0);
}
