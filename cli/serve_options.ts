/**
 * What the flags of `tessera serve` and `tessera mcp` say about a server.
 * @module
 */
import * as Effect from "effect/Effect";
import * as Option from "effect/Option";
import type { ServeModel, ServeOptions, ServerLimits } from "../mod.ts";
import { type Fault, fileReason, InputError, UsageError } from "./faults.ts";
import * as flags from "./flags.ts";
import { embeddedModel, prepareStore } from "./models.ts";
import type { ServedFlags } from "./serve_flags.ts";
import { environment, Shell } from "./shell.ts";
import { oneLine } from "./text.ts";

/** Whether only this machine can reach an address. */
export const loopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);

/** `NAME=DIR`, or a folder. */
function parseModel(text: string): ServeModel {
  const match = /^([\w.:-]{1,100})=(.+)$/.exec(text);
  return match === null ? { dir: text } : { name: match[1], dir: match[2]! };
}

function modelsOf(given: readonly string[]): readonly ServeModel[] {
  if (given.length > 0) return given.map(parseModel);
  const dir = embeddedModel();
  if (dir === undefined) {
    throw new InputError(
      "no --model given, and the embedded one comes only with a checkout of Tessera; give a checkpoint folder",
    );
  }
  return [{ dir, name: "nano" }];
}

function keysOf({ apiKey }: ServedFlags): readonly string[] {
  const keys = apiKey.length > 0
    ? apiKey
    : (environment("TESSERA_API_KEY") ?? "").split(",").map((key) => key.trim())
      .filter((key) => key !== "");
  for (const key of keys) {
    if (!/^[\x21-\x7e]{8,512}$/.test(key)) {
      throw new UsageError(
        "an API key must be 8 to 512 printable characters without spaces",
      );
    }
  }
  return keys;
}

function checkFolders(folders: readonly string[]): readonly string[] {
  for (const folder of folders) {
    try {
      if (!Deno.statSync(folder).isDirectory) {
        throw new Error("it is no folder");
      }
    } catch (cause) {
      throw new InputError(
        `--allow-dir ${folder}: ${fileReason(cause)}`,
        { cause },
      );
    }
  }
  return folders;
}

/** What the shared flags say about a server. */
export const serverOptions: (
  options: ServedFlags,
  host: string,
) => Effect.Effect<ServeOptions, Fault, Shell> = Effect.fnUntraced(
  function* (options: ServedFlags, host: string) {
    const shell = yield* Shell;
    const some = <A, B>(
      value: Option.Option<A>,
      make: (value: A) => B,
    ): Partial<B> => Option.match(value, { onNone: () => ({}), onSome: make });
    const store = yield* prepareStore(Option.getOrUndefined(options.store));
    return yield* Effect.try({
      try: (): ServeOptions => {
        const limits: Partial<ServerLimits> = {
          ...some(
            options.maxConcurrent,
            (maxConcurrent) => ({ maxConcurrent }),
          ),
          ...some(
            options.keepResponses,
            (maxKeptResponses) => ({ maxKeptResponses }),
          ),
          ...some(options.rate, (n) => ({ requestsPerMinute: n })),
          ...some(options.maxImages, (maxImages) => ({ maxImages })),
          ...some(options.maxBody, (mib) => ({
            maxBodyBytes: Math.ceil(mib * 2 ** 20),
          })),
          ...some(options.maxTokens, (n) => ({ defaultMaxTokens: n })),
          ...some(options.timeout, (s) => ({ requestTimeoutMs: s * 1000 })),
          ...some(options.grace, (s) => ({ graceMs: s * 1000 })),
        };
        const otlp = Option.getOrUndefined(options.otlp);
        if (
          otlp !== undefined && !/^https?:$/.test(
            URL.parse(otlp)?.protocol ?? "",
          )
        ) {
          throw new UsageError(
            `--otlp ${otlp} is no address such as http://127.0.0.1:4318`,
          );
        }
        const { options: load } = flags.modelChoice({
          ...options,
          model: Option.none(),
        });
        return {
          models: modelsOf(options.model),
          load,
          apiKeys: keysOf(options),
          limits,
          store: store ?? "memory",
          media: {
            folders: checkFolders(options.allowDir),
            trustedHosts: options.allowFetchHost,
            ...(options.noFetch ? { schemes: [] } : {}),
          },
          ...(loopback(host)
            ? {
              hosts: [
                "localhost",
                "127.0.0.1",
                "::1",
                host,
                ...options.allowHost,
              ].map((name) => name.toLowerCase()),
            }
            : {}),
          origins: options.cors,
          ...(otlp === undefined ? {} : { otlp }),
          ...some(options.memory, (gib) => ({ memoryBytes: gib * 2 ** 30 })),
          onEvent: (line) => shell.warn(`tessera: ${oneLine(line)}\n`),
        };
      },
      catch: (error) => error as Fault,
    });
  },
);
