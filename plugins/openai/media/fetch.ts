/**
 * Fetches a file for a client who named its address, so that the client reaches nothing that only the
 * server can reach: the name is resolved once, every address of it must be public, and the connection goes
 * to one that was checked; the same after every redirect.
 * @module
 */
import { lookup } from "node:dns/promises";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { isIP } from "node:net";
import { rootCertificates } from "node:tls";
import { oneLine } from "../errors.ts";
import { isPublicAddress } from "./address.ts";

/** How files are fetched. */
export interface FetchPolicy {
  /** Which schemes; default both. */
  readonly schemes?: readonly ("http" | "https")[];
  /** Hosts that may have any address (`host` or `host:port`), for a network that is trusted. */
  readonly trustedHosts?: readonly string[];
  /** Certificates (PEM) of authorities that are trusted besides the public ones, for `https:`. */
  readonly authorities?: readonly string[];
  /** Bytes at most. */
  readonly maxBytes: number;
  /** Milliseconds for all of it. */
  readonly timeoutMs: number;
  /** Redirects followed. */
  readonly maxRedirects: number;
  /** Resolves a name; for tests. */
  readonly resolve?: (
    host: string,
  ) => Promise<
    readonly { readonly address: string; readonly family: number }[]
  >;
}

/** Why a file was not fetched; one line that may be told to the client. */
export class FetchError extends Error {
  /** The class's name. */
  override readonly name = "FetchError";
}

const systemResolve: NonNullable<FetchPolicy["resolve"]> = (host) =>
  lookup(host, { all: true, verbatim: true });

/** Fetches a file's bytes. Rejects with {@link FetchError}, or with the signal's reason. */
export async function fetchFile(
  address: string,
  policy: FetchPolicy,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const deadline = AbortSignal.timeout(policy.timeoutMs);
  const stop = signal === undefined
    ? deadline
    : AbortSignal.any([signal, deadline]);
  let url = parse(address);
  try {
    for (let hops = 0;; hops++) {
      if (hops > policy.maxRedirects) {
        throw new FetchError(
          `more than ${policy.maxRedirects} redirects were needed`,
        );
      }
      const target = await check(url, policy);
      stop.throwIfAborted();
      const answer = await request(url, target, policy.authorities, stop);
      if (answer.next !== undefined) {
        url = parse(answer.next, url);
        continue;
      }
      return await collect(answer.response, policy.maxBytes, stop);
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (deadline.aborted) {
      throw new FetchError(`it did not come within ${policy.timeoutMs} ms`);
    }
    if (error instanceof FetchError) throw error;
    throw new FetchError(
      oneLine(error instanceof Error ? error.message : String(error)),
    );
  }
}

function parse(address: string, base?: URL): URL {
  const url = URL.parse(address, base);
  if (url === null) {
    throw new FetchError(
      base === undefined
        ? "it is neither an address, https://…, nor a data URL, data:image/png;base64,…"
        : "it redirects to what is no address",
    );
  }
  return url;
}

interface Target {
  readonly address: string;
  readonly family: number;
}

/** Resolves the host and checks every address; returns the one to connect to. */
async function check(url: URL, policy: FetchPolicy): Promise<Target> {
  const { schemes = ["https", "http"], trustedHosts = [] } = policy;
  const scheme = url.protocol.slice(0, -1);
  if (!schemes.some((known) => known === scheme)) {
    throw new FetchError(
      `addresses of the kind ${scheme}: are not fetched; ${
        schemes.map((known) => `${known}:`).join(" and ")
      } are`,
    );
  }
  if (url.username !== "" || url.password !== "") {
    throw new FetchError("an address with a user name is not fetched");
  }
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const family = isIP(host);
  let targets: readonly Target[];
  if (family > 0) targets = [{ address: host, family }];
  else {
    try {
      targets = await (policy.resolve ?? systemResolve)(host);
    } catch {
      throw new FetchError(`there is no host ${oneLine(host)}`);
    }
  }
  const [first] = targets;
  if (first === undefined) {
    throw new FetchError(`there is no host ${oneLine(host)}`);
  }
  const trusted = trustedHosts.includes(url.hostname) ||
    trustedHosts.includes(url.host);
  // One private address among public ones is enough to be suspicious of.
  if (!trusted && !targets.every(({ address }) => isPublicAddress(address))) {
    throw new FetchError(
      `the host ${oneLine(host)} is not on the public internet`,
    );
  }
  return first;
}

interface Answer {
  readonly response: IncomingMessage;
  readonly next?: string;
}

function request(
  url: URL,
  target: Target,
  authorities: readonly string[] | undefined,
  signal: AbortSignal,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sending = (url.protocol === "https:" ? https : http).request(url, {
      agent: false,
      ...(authorities === undefined
        ? {}
        : { ca: [...rootCertificates, ...authorities] }),
      // The connection goes to the address that was checked, whatever the name means by now.
      lookup: (_host, options, found) =>
        options.all
          ? found(null, [{ ...target }])
          : found(null, target.address, target.family),
      headers: {
        accept: "image/*, video/*;q=0.9, */*;q=0.5",
        "accept-encoding": "identity",
        "user-agent": "tessera",
      },
      signal,
    });
    sending.on("error", (error) =>
      reject(
        /certificate|UnknownIssuer/i.test(error.message)
          ? new FetchError(
            `the host's certificate is not trusted: ${oneLine(error.message)}`,
          )
          : error,
      ));
    sending.on("response", (response) => {
      const status = response.statusCode ?? 0;
      const { location } = response.headers;
      if (status >= 300 && status < 400 && location !== undefined) {
        response.destroy();
        resolve({ response, next: location });
      } else if (status !== 200) {
        response.destroy();
        reject(new FetchError(`the host answered with status ${status}`));
      } else resolve({ response });
    });
    sending.end();
  });
}

/** All bytes of an answer, bounded; a compressed one was not asked for and is not taken. */
async function collect(
  response: IncomingMessage,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const tooLarge = () => new FetchError(`it is larger than ${maxBytes} bytes`);
  const stop = () => response.destroy();
  signal.addEventListener("abort", stop, { once: true });
  try {
    const encoding = response.headers["content-encoding"];
    if (encoding !== undefined && encoding !== "identity") {
      throw new FetchError("the host sent it compressed");
    }
    const declared = response.headers["content-length"];
    if (Number(declared ?? 0) > maxBytes) throw tooLarge();
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of response) {
      length += chunk.length;
      if (length > maxBytes) throw tooLarge();
      chunks.push(chunk);
    }
    signal.throwIfAborted();
    if (declared !== undefined && length !== Number(declared)) {
      throw new FetchError(`${length} of ${declared} bytes came`);
    }
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  } finally {
    signal.removeEventListener("abort", stop);
    response.destroy();
  }
}
