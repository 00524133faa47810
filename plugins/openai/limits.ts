/**
 * What a server takes on. Everything that comes from outside has a bound here.
 * @module
 */

/** Bounds of a server; every one can be set. */
export interface ServerLimits {
  /** Bytes of a request's body. Default 64 MiB. */
  readonly maxBodyBytes: number;
  /** Milliseconds in which the body must have come. Default 30,000. */
  readonly bodyTimeoutMs: number;
  /** Levels of brackets in a body. Default 128. */
  readonly maxDepth: number;
  /** Values in a body, commas between them counted. Default 65,536. */
  readonly maxValues: number;
  /** Messages of a conversation. Default 2,048. */
  readonly maxMessages: number;
  /** Pictures of a request. Default 32. */
  readonly maxImages: number;
  /** Bytes of a picture's file. Default 32 MiB. */
  readonly maxImageBytes: number;
  /** Pixels of a picture. Default 64 million. */
  readonly maxPixels: number;
  /** Videos of a request. Default 4. */
  readonly maxVideos: number;
  /** Bytes of a video's file. Default 256 MiB. */
  readonly maxVideoBytes: number;
  /** Seconds of a video. Default 1,200. */
  readonly maxVideoSeconds: number;
  /** Frames looked at in one video. Default 64. */
  readonly maxFrames: number;
  /** Milliseconds for fetching one picture or video. Default 20,000. */
  readonly fetchTimeoutMs: number;
  /** Redirects followed while fetching. Default 3. */
  readonly maxRedirects: number;
  /** Answers to one request (`n`). Default 8. */
  readonly maxChoices: number;
  /** Tokens of an answer where the request does not say. Default 1,024. */
  readonly defaultMaxTokens: number;
  /** Answers of `/v1/responses` that are kept for later rounds; 0 for none. Default 1,000. */
  readonly maxKeptResponses: number;
  /** Bytes of them, with the inputs that they answer. Default 256 MiB. */
  readonly maxKeptBytes: number;
  /** Requests in flight, waiting ones included. Default 128. */
  readonly maxConcurrent: number;
  /** Requests a minute and key (or address, without keys); 0 for any number. Default 0. */
  readonly requestsPerMinute: number;
  /** Milliseconds from a request's arrival to its last token; 0 for any time. Default 600,000. */
  readonly requestTimeoutMs: number;
  /** Milliseconds of silence in a stream until a comment keeps its connection open. Default 10,000. */
  readonly keepAliveMs: number;
  /** Milliseconds that running requests get when the server stops. Default 10,000. */
  readonly graceMs: number;
}

/**
 * The bounds where nothing is said.
 *
 * ```ts
 * import { defaultServerLimits } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * assert.equal(defaultServerLimits.maxImages, 32);
 * ```
 */
export const defaultServerLimits: ServerLimits = {
  maxBodyBytes: 64 << 20,
  bodyTimeoutMs: 30_000,
  maxDepth: 128,
  maxValues: 65_536,
  maxMessages: 2048,
  maxImages: 32,
  maxImageBytes: 32 << 20,
  maxPixels: 64_000_000,
  maxVideos: 4,
  maxVideoBytes: 256 << 20,
  maxVideoSeconds: 1200,
  maxFrames: 64,
  fetchTimeoutMs: 20_000,
  maxRedirects: 3,
  maxChoices: 8,
  defaultMaxTokens: 1024,
  maxKeptResponses: 1000,
  maxKeptBytes: 256 << 20,
  maxConcurrent: 128,
  requestsPerMinute: 0,
  requestTimeoutMs: 600_000,
  keepAliveMs: 10_000,
  graceMs: 10_000,
};
