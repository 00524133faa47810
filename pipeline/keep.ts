/**
 * The inputs of a run as its events keep them.
 * @module
 */
import { Result } from "effect";
import { encodeWith } from "./params.ts";
import type { Data } from "./plan.ts";
import type { Json } from "./port.ts";

/** Most characters and bytes of inputs that a run keeps with its events. */
const mostKept = 1 << 20;

/**
 * The inputs of a run as JSON, each by its port's codec, for a run to be repeated; `undefined` where one
 * has no codec, or where they are larger than 1 MiB.
 */
export function keepInputs(
  data: Data,
): { readonly [name: string]: Json } | undefined {
  let room = mostKept;
  const fits = (value: unknown): boolean => {
    if (typeof value === "string") room -= value.length;
    else if (ArrayBuffer.isView(value)) room -= value.byteLength;
    else if (typeof value === "object" && value !== null) {
      room -= 8;
      return room > 0 && Object.values(value).every(fits);
    } else room -= 8;
    return room > 0;
  };
  const json: Record<string, Json> = {};
  for (const [name, { port, value }] of Object.entries(data)) {
    if (value === undefined) continue;
    if (port.schema === undefined || !fits(value)) return undefined;
    const encoded = encodeWith(port.schema, value);
    if (Result.isFailure(encoded)) return undefined;
    json[name] = encoded.success as Json;
  }
  return json;
}
