/**
 * JSON helpers: canonical text, digests, previews.
 * @module
 */
import { createHash } from "node:crypto";
import { Effect, type Schema } from "effect";

/**
 * JSON text with sorted keys and no spaces: equal values have equal text.
 *
 * ```ts
 * import { canonicalJson } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * assert.equal(canonicalJson({ b: 1, a: [true, null] }), '{"a":[true,null],"b":1}');
 * ```
 */
export function canonicalJson(value: Schema.Json): string {
  if (typeof value !== "object" || value === null) {
    return JSON.stringify(value) ?? "null";
  }
  if (Array.isArray(value)) {
    return `[${value.map(canonicalJson).join(",")}]`;
  }
  const record = value as { readonly [key: string]: Schema.Json };
  const fields: string[] = [];
  for (const key of Object.keys(record).sort()) {
    const field = record[key];
    if (field !== undefined) {
      fields.push(`${JSON.stringify(key)}:${canonicalJson(field)}`);
    }
  }
  return `{${fields.join(",")}}`;
}

// Below this many bytes hashing at once is quicker than the way to WebCrypto's threads and back
// (5 against 100 microseconds for a short key); above it, hashing at once would stall the event loop.
const hashAtOnce = 1 << 18;

/**
 * SHA-256 in lower-case hex of UTF-8 text or bytes; large inputs are hashed off the event loop.
 *
 * ```ts
 * import { sha256 } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * assert.equal(
 *   await Effect.runPromise(sha256("")),
 *   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
 * );
 * ```
 */
export function sha256(
  content: string | Uint8Array<ArrayBuffer>,
): Effect.Effect<string> {
  if (content.length <= hashAtOnce) {
    return Effect.sync(() =>
      createHash("sha256").update(content).digest("hex")
    );
  }
  return Effect.map(
    Effect.promise(() =>
      crypto.subtle.digest(
        "SHA-256",
        typeof content === "string"
          ? new TextEncoder().encode(content)
          : content,
      )
    ),
    (digest) =>
      Array.from(
        new Uint8Array(digest),
        (byte) => byte.toString(16).padStart(2, "0"),
      ).join(""),
  );
}

const longestText = 200;
const mostEntries = 8;
const deepest = 3;

/**
 * A small JSON value for any value: long text cut, many entries counted, bytes measured.
 *
 * ```ts
 * import { previewOf } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const preview = previewOf({ ids: new Int32Array(300), text: "x".repeat(500) });
 * assert.deepEqual(preview, {
 *   ids: "Int32Array(300)",
 *   text: `${"x".repeat(200)}… 500 characters in all`,
 * });
 * ```
 */
export function previewOf(value: unknown): Schema.Json {
  return shorten(value, deepest);
}

/**
 * The preview of a list from the previews of its first elements.
 *
 * ```ts
 * import { previewList } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * const short = previewList([1, 2, 3], (value) => value * 2);
 * assert.deepEqual(short, [2, 4, 6]);
 * const long = previewList(Array(20).fill(0), (value) => value);
 * assert.equal((long as unknown[]).at(-1), "… 20 in all");
 * ```
 */
export function previewList<A>(
  values: readonly A[],
  preview: (value: A) => Schema.Json,
): Schema.Json {
  const first = values.slice(0, mostEntries).map(preview);
  return values.length <= mostEntries
    ? first
    : [...first, `… ${values.length} in all`];
}

/**
 * Text cut to 200 characters, never inside a surrogate pair.
 *
 * ```ts
 * import { previewText } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * assert.equal(previewText("short"), "short");
 * assert.equal(previewText("a".repeat(201)).slice(198, 202), "aa… ");
 * ```
 */
export function previewText(text: string): string {
  return cutText(text, longestText);
}

/** Text cut to so many characters, with the number that there were. */
export function cutText(text: string, most: number): string {
  if (text.length <= most) return text;
  const last = text.charCodeAt(most - 1);
  const end = last >= 0xd800 && last < 0xdc00 ? most - 1 : most;
  return `${text.slice(0, end)}… ${text.length} characters in all`;
}

function shorten(value: unknown, depth: number): Schema.Json {
  switch (typeof value) {
    case "string":
      return previewText(value);
    case "number":
      return Number.isFinite(value) ? value : String(value);
    case "boolean":
      return value;
    case "bigint":
      return value.toString();
    case "object":
      break;
    default:
      return value === undefined ? null : `(${typeof value})`;
  }
  if (value === null) return null;
  if (ArrayBuffer.isView(value)) {
    const { length } = value as unknown as { readonly length?: number };
    return `${value.constructor.name}(${length ?? value.byteLength})`;
  }
  if (value instanceof URL) return previewText(value.href);
  if (Array.isArray(value)) {
    return depth === 0
      ? `(list of ${value.length})`
      : previewList(value, (item) => shorten(item, depth - 1));
  }
  if (depth === 0) return "(object)";
  const fields: Record<string, Schema.Json> = {};
  const keys = Object.keys(value);
  for (const key of keys.slice(0, mostEntries)) {
    const field = (value as Record<string, unknown>)[key];
    if (field !== undefined && typeof field !== "function") {
      fields[key] = shorten(field, depth - 1);
    }
  }
  if (keys.length > mostEntries) fields["…"] = `${keys.length} fields in all`;
  return fields;
}
