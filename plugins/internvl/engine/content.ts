/**
 * What stands at each position of a prompt, as numbers that are equal exactly where the model sees the
 * same: keys and values computed for one prompt serve another up to the first position that differs.
 * @module
 */
import { Effect } from "effect";
import { digestBytes } from "../../../nodes/digest.ts";
import type { BackendError, PromptError } from "../../../nodes/errors.ts";
import { elementCount, type Tensor } from "../../../nodes/tensor.ts";
import type { Prompt, VisualTokens } from "../../../nodes/values.ts";

/** Pictures remembered by their digest; one that is met again after so many others is a new one. */
const PICTURES = 4096;

/** Tells contents apart. */
export class ContentKeys {
  /** Digests by the tensor itself: a picture that the memo has kept is hashed once. */
  readonly #digests = new WeakMap<Tensor, string>();
  /** The number of a picture's first visual token, by the picture's digest. */
  readonly #bases = new Map<string, number>();
  #next = -1;

  /**
   * One number per position: the token's id, or a number below zero for a visual token. The visual
   * tokens must fit the prompt.
   */
  readonly of: (
    prompt: Prompt,
    visual: readonly VisualTokens[],
  ) => Effect.Effect<Int32Array<ArrayBuffer>, PromptError | BackendError> =
    Effect.fnUntraced(
      { self: this },
      function* (prompt, visual) {
        const keys = Int32Array.from(prompt.ids);
        if (visual.length === 0) return keys;
        const positions = positionsOf(prompt);
        let at = 0;
        for (const tensor of visual) {
          const count = elementCount(tensor.shape.slice(0, -1));
          const base = this.#baseOf(yield* this.#digestOf(tensor), count);
          for (let i = 0; i < count; i++) keys[positions[at++]] = base - i;
        }
        return keys;
      },
    );

  readonly #digestOf: (
    tensor: Tensor,
  ) => Effect.Effect<string, BackendError> = Effect.fnUntraced(
    { self: this },
    function* (tensor) {
      const known = this.#digests.get(tensor);
      if (known !== undefined) return known;
      const { buffer, byteOffset, byteLength } = yield* tensor.read;
      const digest = yield* digestBytes(
        new Uint8Array(buffer, byteOffset, byteLength),
        `${tensor.dtype}[${tensor.shape.join(",")}]`,
      );
      this.#digests.set(tensor, digest);
      return digest;
    },
  );

  #baseOf(digest: string, count: number): number {
    let base = this.#bases.get(digest);
    if (base === undefined) {
      if (this.#next - count < -(2 ** 31)) {
        throw new RangeError("more visual tokens than there are numbers for");
      }
      base = this.#next;
      this.#next -= count;
    } else this.#bases.delete(digest);
    this.#bases.set(digest, base);
    if (this.#bases.size > PICTURES) {
      for (const oldest of this.#bases.keys()) {
        this.#bases.delete(oldest);
        break;
      }
    }
    return base;
  }
}

/** Positions of the visual tokens, in order. */
function positionsOf({ images }: Prompt): number[] {
  const positions: number[] = [];
  for (const { start, length } of images) {
    for (let i = 0; i < length; i++) positions.push(start + i);
  }
  return positions;
}

/** Positions from the first on at which both have the same content; at most `limit`. */
export function commonLength(
  a: Int32Array,
  b: Int32Array,
  limit: number,
): number {
  let at = 0;
  while (at < limit && a[at] === b[at]) at++;
  return at;
}
