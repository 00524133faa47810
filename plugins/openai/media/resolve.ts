/**
 * From the addresses in a request to what the nodes take: bytes of pictures, files of videos.
 * @module
 */
import { Effect, type Scope } from "effect";
import { readFile, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { ImageSourceValue, VideoClipValue } from "../../../nodes/mod.ts";
import { ApiError, invalid, oneLine } from "../errors.ts";
import type { ServerLimits } from "../limits.ts";
import { RequestInfo } from "../request_info.ts";
import { FetchError, fetchFile, type FetchPolicy } from "./fetch.ts";
import { isVideoFile } from "./video_kind.ts";

/** Where pictures and videos may come from. */
export interface MediaPolicy {
  /** Schemes that are fetched; none for data URLs only. Default `https` and `http`. */
  readonly schemes?: readonly ("http" | "https")[];
  /** Hosts that may have private addresses. */
  readonly trustedHosts?: readonly string[];
  /** Certificates (PEM) of authorities that are trusted besides the public ones, for `https:`. */
  readonly authorities?: readonly string[];
  /** Folders whose files `file:` URLs may name. Default none. */
  readonly folders?: readonly string[];
}

/** An address in a request, with the parameter it stands in. */
export interface Reference {
  /** The address. */
  readonly url: string;
  /** Where it stands, such as `messages[0].content[1].image_url.url`. */
  readonly param: string;
}

/** A video's address, with the part to look at. */
export interface VideoReference extends Reference {
  /** Frames. */
  readonly segments?: number;
  /** Start in seconds. */
  readonly start?: number;
  /** End in seconds. */
  readonly end?: number;
}

type Bounds = Pick<
  ServerLimits,
  "maxImageBytes" | "maxVideoBytes" | "fetchTimeoutMs" | "maxRedirects"
>;

/** A picture's bytes, called by the place where the request names it: it may name several. */
export function resolveImage(
  reference: Reference,
  policy: MediaPolicy,
  limits: Bounds,
): Effect.Effect<ImageSourceValue, ApiError> {
  return Effect.map(
    bytesOf(reference, policy, limits, limits.maxImageBytes),
    (bytes) => ({ name: reference.param, bytes }),
  );
}

/** A video as a file: the one named, or a temporary one that goes with the scope. */
export const resolveVideo: (
  reference: VideoReference,
  policy: MediaPolicy,
  limits: Bounds,
) => Effect.Effect<VideoClipValue, ApiError, Scope.Scope> = Effect.fnUntraced(
  function* (
    reference: VideoReference,
    policy: MediaPolicy,
    limits: Bounds,
  ) {
    const { url, param, segments, start, end } = reference;
    const part = {
      ...(segments === undefined ? {} : { segments }),
      ...(start === undefined ? {} : { start }),
      ...(end === undefined ? {} : { end }),
    };
    if (/^file:/i.test(url)) {
      const path = yield* attempt(param, () => allowedFile(url, policy));
      return { source: path, name: param, ...part };
    }
    const bytes = yield* bytesOf(
      reference,
      policy,
      limits,
      limits.maxVideoBytes,
    );
    if (!isVideoFile(bytes)) {
      return yield* Effect.fail(invalid(
        param,
        `${param}: not a video of a kind that is read (MP4, MOV, WebM, Matroska, AVI, MPEG, Ogg, FLV, GIF)`,
        "invalid_media",
      ));
    }
    const folder = yield* Effect.acquireRelease(
      storing(param, () => Deno.makeTempDir({ prefix: "tessera-" })),
      (folder) =>
        Effect.promise(() =>
          Deno.remove(folder, { recursive: true }).catch(() => {})
        ),
    );
    // After the folder has its release: what a full disk took of the file must not stay on it.
    const source = join(folder, "video");
    yield* storing(
      param,
      (signal) => Deno.writeFile(source, bytes, { signal }),
    );
    return { source, name: param, ...part };
  },
);

/** Writes for a request; a disk that takes nothing is the server's business, told in its log. */
const storing: <A>(
  param: string,
  write: (signal: AbortSignal) => Promise<A>,
) => Effect.Effect<A, ApiError> = Effect.fnUntraced(function* <A>(
  param: string,
  write: (signal: AbortSignal) => Promise<A>,
) {
  const { id } = yield* RequestInfo;
  return yield* Effect.tryPromise({
    try: write,
    catch: (error) => error instanceof Error ? error : new Error(String(error)),
  }).pipe(
    Effect.tapError((error) =>
      Effect.logError(
        `${id}: a video cannot be written to the folder for temporary files: ${
          oneLine(error.message)
        }; free some space there, or name another folder by TMPDIR`,
      )
    ),
    Effect.mapError(() =>
      new ApiError({
        status: 500,
        message: `${param}: the server cannot keep the video; its log says why`,
        param,
        code: "internal_error",
      })
    ),
  );
});

function attempt<A>(
  param: string,
  run: (signal: AbortSignal) => Promise<A>,
): Effect.Effect<A, ApiError> {
  return Effect.tryPromise({
    try: run,
    catch: (error) =>
      error instanceof ApiError ? error : invalid(
        param,
        `${param}: ${
          error instanceof FetchError ? error.message : "it cannot be read"
        }`,
        "invalid_media",
      ),
  });
}

function bytesOf(
  { url, param }: Reference,
  policy: MediaPolicy,
  limits: Bounds,
  maxBytes: number,
): Effect.Effect<Uint8Array<ArrayBuffer>, ApiError> {
  return attempt(param, async (signal) => {
    if (/^data:/i.test(url)) return fromDataUrl(url, maxBytes);
    if (/^file:/i.test(url)) {
      const path = await allowedFile(url, policy);
      if ((await stat(path)).size > maxBytes) {
        throw new FetchError(`it is larger than ${maxBytes} bytes`);
      }
      return new Uint8Array(await readFile(path, { signal }));
    }
    const { schemes, trustedHosts, authorities } = policy;
    const fetching: FetchPolicy = {
      maxBytes,
      timeoutMs: limits.fetchTimeoutMs,
      maxRedirects: limits.maxRedirects,
      ...(schemes === undefined ? {} : { schemes }),
      ...(trustedHosts === undefined ? {} : { trustedHosts }),
      ...(authorities === undefined ? {} : { authorities }),
    };
    return await fetchFile(url, fetching, signal);
  });
}

/** The bytes of `data:…;base64,…`. */
export function fromDataUrl(
  url: string,
  maxBytes: number,
): Uint8Array<ArrayBuffer> {
  const comma = url.indexOf(",");
  const head = url.slice(5, comma < 0 ? 0 : Math.min(comma, 300));
  if (comma < 0 || !/;\s*base64\s*$/i.test(head)) {
    throw new FetchError(
      "a data URL must be in base64: data:image/png;base64,…",
    );
  }
  if ((url.length - comma - 1) * 3 / 4 > maxBytes + 3) {
    throw new FetchError(`it is larger than ${maxBytes} bytes`);
  }
  let text = url.slice(comma + 1);
  if (text.includes("%")) {
    try {
      text = decodeURIComponent(text);
    } catch {
      throw new FetchError("the data URL is not valid base64");
    }
  }
  try {
    return Uint8Array.fromBase64(text);
  } catch {
    try {
      return Uint8Array.fromBase64(text, { alphabet: "base64url" });
    } catch {
      throw new FetchError("the data URL is not valid base64");
    }
  }
}

/** The real path of a file inside one of the folders; links that lead out of them are not followed. */
async function allowedFile(
  url: string,
  { folders = [] }: MediaPolicy,
): Promise<string> {
  const closed = new FetchError(
    folders.length === 0
      ? "files of the server are not read; send a data URL"
      : "the file is not in a folder that may be read",
  );
  if (folders.length === 0) throw closed;
  let path: string;
  try {
    path = fileURLToPath(url);
  } catch {
    throw new FetchError("it is no valid file: address");
  }
  if (path.includes("\0")) throw closed;
  // A file that is not there and one that may not be read answer alike.
  const real = await realpath(path).catch(() => {
    throw closed;
  });
  for (const folder of folders) {
    const root = await realpath(folder).catch(() => undefined);
    if (root === undefined) continue;
    if (real.startsWith(root.endsWith(sep) ? root : root + sep)) {
      if (!(await stat(real)).isFile()) throw closed;
      return real;
    }
  }
  throw closed;
}
