/**
 * Reads a request's body within bounds: bytes, time, well-formed UTF-8, and levels of brackets.
 * @module
 */
import { isUtf8 } from "node:buffer";
import { ApiError, invalid } from "./errors.ts";
import type { ServerLimits } from "./limits.ts";

/** Reads a body, or throws an {@link ApiError}. */
export async function readBody(
  request: Request,
  { maxBodyBytes, bodyTimeoutMs, maxDepth, maxValues }: Pick<
    ServerLimits,
    "maxBodyBytes" | "bodyTimeoutMs" | "maxDepth" | "maxValues"
  >,
): Promise<Uint8Array<ArrayBuffer>> {
  const encoding = request.headers.get("content-encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity") {
    throw new ApiError({
      status: 415,
      message: "compressed bodies are not taken; send it as it is",
      code: "unsupported_content_encoding",
    });
  }
  const type = request.headers.get("content-type") ?? "";
  // Anything else could be sent by a page of another site without asking.
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new ApiError({
      status: 415,
      message: "the content type must be application/json",
      code: "unsupported_content_type",
    });
  }
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > maxBodyBytes) throw tooLarge(maxBodyBytes);
  const bytes = await read(request, maxBodyBytes, bodyTimeoutMs);
  // Some 20 times as fast as a decoder, which holds up everybody for a body of large pictures.
  if (!isUtf8(bytes)) {
    throw invalid(undefined, "the body is not valid UTF-8", "invalid_json");
  }
  const { depth, values } = structureOf(bytes, maxDepth, maxValues);
  if (depth > maxDepth) {
    throw invalid(
      undefined,
      `the body is nested deeper than ${maxDepth} levels`,
      "invalid_json",
    );
  }
  if (values > maxValues) {
    throw new ApiError({
      status: 413,
      message: `the body has more than ${maxValues} values`,
      code: "request_too_large",
    });
  }
  return bytes;
}

function tooLarge(limit: number): ApiError {
  return new ApiError({
    status: 413,
    message:
      `the body is larger than ${limit} bytes; send fewer or smaller pictures, or their addresses`,
    code: "request_too_large",
  });
}

async function read(
  request: Request,
  limit: number,
  timeoutMs: number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  const late = Promise.withResolvers<"late">();
  const timer = setTimeout(() => late.resolve("late"), timeoutMs);
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    while (true) {
      const next = await Promise.race([reader.read(), late.promise]);
      if (next === "late") {
        throw new ApiError({
          status: 408,
          message: `the body did not come within ${timeoutMs} ms`,
          code: "request_timeout",
        });
      }
      if (next.done) break;
      length += next.value.length;
      if (length > limit) throw tooLarge(limit);
      chunks.push(next.value);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    if (error instanceof ApiError) throw error;
    throw invalid(undefined, "the body broke off", "invalid_json");
  } finally {
    clearTimeout(timer);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/**
 * Deepest level of brackets outside strings, and how many values there are (one more than commas); stops
 * counting past the limits. Checking a million small values against a schema would hold up everybody.
 */
function structureOf(
  bytes: Uint8Array,
  maxDepth: number,
  maxValues: number,
): { readonly depth: number; readonly values: number } {
  const QUOTE = 0x22, BACKSLASH = 0x5c;
  let level = 0, depth = 0, values = 1;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) {
      // The native search skips the text of a picture quickly.
      let end = i;
      do {
        end = bytes.indexOf(QUOTE, end + 1);
        if (end < 0) return { depth, values };
        let slashes = 0;
        while (bytes[end - 1 - slashes] === BACKSLASH) slashes++;
        if (slashes % 2 === 0) break;
      } while (true);
      i = end;
    } else if (byte === 0x5b || byte === 0x7b) {
      level++;
      if (level > depth) depth = level;
      if (depth > maxDepth) break;
    } else if (byte === 0x5d || byte === 0x7d) level--;
    else if (byte === 0x2c && ++values > maxValues) break;
  }
  return { depth, values };
}
