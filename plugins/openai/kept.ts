/**
 * Answers that are kept for later rounds and for `GET /v1/responses/{id}`: in memory, bounded, the least
 * recently used leaving first, each seen by those only who asked with the same key.
 * @module
 */
import { ApiError, invalid } from "./errors.ts";

/** An answer with what it answers; what items and responses are is the business of who keeps them. */
export interface Kept {
  /** Id of the answer. */
  readonly id: string;
  /** Id of the round before it. */
  readonly previous: string | null;
  /** Who asked: the name of the key, empty where no keys are needed. */
  readonly owner: string;
  /** The answer. */
  readonly response: unknown;
  /** Its request's input, and the output; not those of earlier rounds. */
  readonly items: readonly unknown[];
  /** Those of the items that a later request may name, by their ids. */
  readonly named?: ReadonlyMap<string, unknown>;
}

/** Answers by id. What belongs to somebody else is not there. */
export interface KeptResponses {
  /** Whether anything is kept at all. */
  readonly enabled: boolean;
  /** Keeps an answer; one that is larger than all memory for them is not kept. */
  readonly put: (kept: Kept) => void;
  /** The answer; fails with status 404. */
  readonly get: (id: string, owner: string) => unknown;
  /** Forgets the answer; fails with status 404. */
  readonly delete: (id: string, owner: string) => void;
  /** Input and output of an answer and of all rounds before it; fails with status 400. */
  readonly transcript: (id: string, owner: string) => readonly unknown[];
  /** An item that has a name; fails with status 404. */
  readonly item: (name: string, owner: string) => unknown;
}

/** What is kept at most. */
export interface KeepLimits {
  /** Answers. */
  readonly maxKeptResponses: number;
  /** Bytes of them with their inputs. */
  readonly maxKeptBytes: number;
}

/** About how many bytes a value takes; the pictures in it are texts. */
function sizeOf(value: unknown): number {
  if (typeof value === "string") return 16 + value.length;
  if (typeof value !== "object" || value === null) return 8;
  let bytes = 16;
  for (const [key, part] of Object.entries(value)) {
    bytes += key.length + sizeOf(part);
  }
  return bytes;
}

/** Makes an empty one. */
export function makeKeptResponses(
  { maxKeptResponses, maxKeptBytes }: KeepLimits,
): KeptResponses {
  // In the order of their last uses.
  const all = new Map<
    string,
    { readonly kept: Kept; readonly bytes: number }
  >();
  /** Where items with names are. */
  const places = new Map<string, string>();
  let bytes = 0;
  const remove = (id: string): void => {
    const entry = all.get(id);
    if (entry === undefined) return;
    bytes -= entry.bytes;
    for (const name of entry.kept.named?.keys() ?? []) places.delete(name);
    all.delete(id);
  };
  const find = (id: string, owner: string): Kept | undefined => {
    const entry = all.get(id);
    if (entry === undefined || entry.kept.owner !== owner) return undefined;
    all.delete(id);
    all.set(id, entry);
    return entry.kept;
  };
  const missing = (id: string): ApiError =>
    new ApiError({
      status: 404,
      type: "invalid_request_error",
      message: `Response with id '${id.slice(0, 100)}' not found.`,
    });
  return {
    enabled: maxKeptResponses > 0 && maxKeptBytes > 0,
    put: (kept) => {
      const size = sizeOf(kept);
      if (maxKeptResponses === 0 || size > maxKeptBytes) return;
      all.set(kept.id, { kept, bytes: size });
      bytes += size;
      for (const name of kept.named?.keys() ?? []) places.set(name, kept.id);
      for (const id of all.keys()) {
        if (all.size <= maxKeptResponses && bytes <= maxKeptBytes) break;
        remove(id);
      }
    },
    get: (id, owner) => {
      const kept = find(id, owner);
      if (kept === undefined) throw missing(id);
      return kept.response;
    },
    delete: (id, owner) => {
      if (find(id, owner) === undefined) throw missing(id);
      remove(id);
    },
    transcript: (last, owner) => {
      const rounds: Kept[] = [];
      let id: string | null = last;
      while (id !== null) {
        const kept = find(id, owner);
        if (kept === undefined) {
          throw invalid(
            "previous_response_id",
            `Previous response with id '${id.slice(0, 100)}' not found.`,
            "previous_response_not_found",
          );
        }
        rounds.push(kept);
        id = kept.previous;
      }
      return rounds.reverse().flatMap(({ items }) => items);
    },
    item: (name, owner) => {
      const kept = find(places.get(name) ?? "", owner);
      if (kept === undefined) {
        throw new ApiError({
          status: 404,
          type: "invalid_request_error",
          message: `Item with id '${name.slice(0, 100)}' not found.`,
          param: "input",
        });
      }
      return kept.named!.get(name);
    },
  };
}
