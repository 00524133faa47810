/**
 * `tessera serve`: models behind OpenAI's HTTP API.
 * @module
 */
import * as Effect from "effect/Effect";
import * as Option from "effect/Option";
import type * as Scope from "effect/Scope";
import * as Command from "effect/cli/Command";
import * as Flag from "effect/cli/Flag";
import type {
  InternVL,
  OnAccess,
  ServeModel,
  ServeOptions,
  ServerLimits,
} from "../mod.ts";
import { type Fault, fileReason, InputError, UsageError } from "./faults.ts";
import * as flags from "./flags.ts";
import { embeddedModel, prepareStore } from "./models.ts";
import { environment, Shell } from "./shell.ts";
import { oneLine } from "./text.ts";
import { version } from "./version.ts";

const { model: _one, ...modelFlags } = flags.modelFlags;

/** What is served and taken on: shared by `serve` and `mcp`. */
export const servedFlags = {
  model: flags.path("model").pipe(
    Flag.withAlias("m"),
    Flag.withMetavar("[NAME=]DIR"),
    Flag.withDescription(
      "Checkpoint folder, with the name that requests give; repeat it for more; default: the embedded nano",
    ),
    Flag.atLeast(0),
  ),
  ...modelFlags,
  memory: flags.ranged(
    Flag.Finite("memory"),
    "GIB",
    "Memory for loaded models; the least recently used one leaves first; default: any",
    { above: 0 },
  ),
  allowDir: flags.path("allow-dir").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription(
      "A folder whose files requests may name by file: addresses; may be repeated",
    ),
    Flag.atLeast(0),
  ),
  allowFetchHost: flags.path("allow-fetch-host").pipe(
    Flag.withMetavar("HOST"),
    Flag.withDescription(
      "A host that pictures may be fetched from although its address is private; may be repeated",
    ),
    Flag.atLeast(0),
  ),
  noFetch: Flag.Boolean("no-fetch").pipe(
    Flag.withoutNegation,
    Flag.withDescription("Fetch nothing: pictures come as data URLs only"),
    Flag.withDefault(false),
  ),
  apiKey: flags.path("api-key").pipe(
    Flag.withMetavar("KEY"),
    Flag.withDescription(
      "A key that clients must give; may be repeated; default: TESSERA_API_KEY, which other users of this machine cannot see",
    ),
    Flag.atLeast(0),
  ),
  maxConcurrent: flags.ranged(
    Flag.Int("max-concurrent"),
    "N",
    "Requests in flight, waiting ones included; default: 128",
    { min: 1, max: 100_000 },
  ),
  keepResponses: flags.ranged(
    Flag.Int("keep-responses"),
    "N",
    "Answers of /v1/responses kept for later rounds, in memory; 0 for none; default: 1000",
    { min: 0, max: 1_000_000 },
  ),
  rate: flags.ranged(
    Flag.Int("rate"),
    "N",
    "Requests a minute for each key, or each address without keys; default: any",
    { min: 1, max: 10_000_000 },
  ),
  maxImages: flags.ranged(
    Flag.Int("max-images"),
    "N",
    "Pictures of one request; default: 32",
    { min: 0, max: 4096 },
  ),
  maxBody: flags.ranged(
    Flag.Finite("max-body"),
    "MIB",
    "Size of a request's body; default: 64",
    { above: 0, max: 4096 },
  ),
  maxTokens: flags.ranged(
    Flag.Int("max-tokens"),
    "N",
    "Longest answer where a request does not say; default: 1024",
    { min: 1 },
  ),
  timeout: flags.ranged(
    Flag.Finite("timeout"),
    "SECONDS",
    "Time for one request; default: 600",
    { above: 0, max: 86_400 },
  ),
  grace: flags.ranged(
    Flag.Finite("grace"),
    "SECONDS",
    "Time that running requests get when the server stops; default: 10",
    { min: 0, max: 3600 },
  ),
  allowHost: flags.path("allow-host").pipe(
    Flag.withMetavar("HOST"),
    Flag.withDescription(
      "A name that requests may call this server by; on a loopback address only local names are taken",
    ),
    Flag.atLeast(0),
  ),
  cors: flags.path("cors").pipe(
    Flag.withMetavar("ORIGIN"),
    Flag.withDescription(
      "An origin whose pages may ask, such as https://example.org, or *; may be repeated",
    ),
    Flag.atLeast(0),
  ),
  otlp: flags.path("otlp").pipe(
    Flag.withMetavar("URL"),
    Flag.withDescription(
      "Send traces, metrics and logs to this OpenTelemetry collector",
    ),
    Flag.optional,
  ),
};

/** Where a server listens, and what it says of requests. */
export const listening = {
  log: Flag.Literals("log", ["none", "words", "json"]).pipe(
    Flag.withDescription(
      "One line on stderr for each request that is over, without what it said; default: words",
    ),
    Flag.withDefault("words" as const),
  ),
  port: Flag.Int("port").pipe(
    Flag.withAlias("p"),
    Flag.filter(
      (value) => value >= 0 && value <= 65535,
      (value) => `Expected 0 to 65535, got ${value}`,
    ),
    Flag.withMetavar("N"),
    Flag.withDescription("Port; 0 takes a free one; default: 8000"),
    Flag.withDefault(8000),
  ),
  host: flags.path("host").pipe(
    Flag.withMetavar("ADDRESS"),
    Flag.withDescription(
      "Address to listen on; 0.0.0.0 for every one of this machine; default: 127.0.0.1",
    ),
    Flag.withDefault("127.0.0.1"),
  ),
};

/** The dashboard beside a server. */
export const dashboardFlags = {
  dashboard: Flag.Boolean("dashboard").pipe(
    Flag.withoutNegation,
    Flag.withDescription(
      "Show the runs in the browser, too; its chat page asks the first model",
    ),
    Flag.withDefault(false),
  ),
  dashboardPort: Flag.Int("dashboard-port").pipe(
    Flag.filter(
      (value) => value >= 0 && value <= 65535,
      (value) => `Expected 0 to 65535, got ${value}`,
    ),
    Flag.withMetavar("N"),
    Flag.withDescription("Port of the dashboard; default: 8420"),
    Flag.withDefault(8420),
  ),
};

const config = {
  ...servedFlags,
  ...dashboardFlags,
  ...listening,
  mcp: Flag.Boolean("mcp").pipe(
    Flag.withoutNegation,
    Flag.withDescription("Serve agents at /mcp, too; see the mcp command"),
    Flag.withDefault(false),
  ),
  json: flags.json,
};

/** What the flags of `serve` parse to. */
export type ServeFlags = Command.Command.Config.Infer<typeof config>;

type ServedFlags = Command.Command.Config.Infer<typeof servedFlags>;

const loopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);

/** `NAME=DIR`, or a folder. */
export function parseModel(text: string): ServeModel {
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

/** Has models loaded anew on SIGHUP, as servers do. */
export const reloadOnHangUp = (
  reload: Effect.Effect<void>,
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => {
      const listener = () => Effect.runFork(reload);
      try {
        Deno.addSignalListener("SIGHUP", listener);
      } catch {
        return () => {};
      }
      return () => Deno.removeSignalListener("SIGHUP", listener);
    }),
    (remove) => Effect.sync(remove),
  ));

/** Writes the access log. */
const accessLog = (
  form: "words" | "json",
  { warn }: Shell,
  { accessWords }: Pick<typeof import("../mod.ts"), "accessWords">,
): OnAccess =>
(entry) =>
  warn(
    form === "json"
      ? `${JSON.stringify(entry)}\n`
      : `tessera: ${oneLine(accessWords(entry))}\n`,
  );

/** A dashboard over the store that the server records in; `load` gives the model of its chat page. */
const beside = Effect.fnUntraced(function* (
  options: Omit<ServeFlags, "mcp">,
  served: ServeOptions,
  load: () => Promise<InternVL>,
) {
  const { startDashboard, tokenOf } = yield* Effect.promise(() =>
    import("./dashboard.ts")
  );
  const { makeSqliteStore } = yield* Effect.promise(() =>
    import("../plugins/sqlite/mod.ts")
  );
  const filename = served.store === "memory"
    ? ":memory:"
    : String(served.store);
  const store = yield* makeSqliteStore({ filename });
  const token = yield* Effect.try({
    try: () => tokenOf({ host: options.host, token: Option.none() }),
    catch: (error) => error as Fault,
  });
  const { address } = yield* startDashboard({
    store,
    host: options.host,
    port: options.dashboardPort,
    token,
    load,
  });
  return { store, address };
});

/** Serves over HTTP until it is interrupted. */
export const serveHttp = Effect.fnUntraced(function* (
  options: Omit<ServeFlags, "mcp">,
  more: Pick<ServeOptions, "mcp">,
): Effect.fn.Return<never, Fault, Shell | Scope.Scope> {
  const shell = yield* Shell;
  const served = yield* serverOptions(options, options.host);
  const sdk = yield* Effect.promise(() => import("../mod.ts"));
  const { InternVL, serving } = sdk;
  // The dashboard is there before the models are: a port that is taken is found out first.
  const model = Promise.withResolvers<InternVL>();
  model.promise.catch(() => {});
  const dashboard = options.dashboard
    ? yield* beside(options, served, () => model.promise)
    : undefined;
  const { port, hostname, models, reload } = yield* serving({
    ...served,
    ...more,
    ...(options.log === "none"
      ? {}
      : { onAccess: accessLog(options.log, shell, sdk) }),
    ...(dashboard === undefined ? {} : { store: dashboard.store }),
    port: options.port,
    hostname: options.host,
  });
  yield* reloadOnHangUp(reload);
  if (dashboard !== undefined) {
    const shared = yield* Effect.acquireRelease(
      Effect.promise(() =>
        InternVL.over(
          Effect.map(
            models.use(models.list()[0]!.id),
            ({ context }) => context,
          ),
        )
      ),
      // Before the models end.
      (shared) => Effect.promise(() => shared[Symbol.asyncDispose]()),
    );
    model.resolve(shared);
  }
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  const url = `http://${host}:${port}/v1`;
  const names = models.list().map(({ id }) => id);
  if (options.json) {
    // One line, so that a program can read it while the server runs.
    yield* shell.write(
      `${
        JSON.stringify({
          url,
          port,
          models: names,
          ...(dashboard === undefined ? {} : { dashboard: dashboard.address }),
        })
      }\n`,
    );
  }
  if (dashboard !== undefined) {
    shell.warn(`tessera: the runs are shown on ${dashboard.address}\n`);
  }
  if (!loopback(options.host) && served.apiKeys!.length === 0) {
    shell.warn(
      "tessera: anybody who reaches this address can ask; --api-key asks for a key\n",
    );
  }
  shell.warn(
    `tessera: serving ${names.join(", ")} on ${url} (Ctrl-C stops)\n`,
  );
  return yield* Effect.never;
});

/** `serve` with its arguments parsed. */
export const serveHandler = Effect.fn("cli.serve")(function* (
  options: ServeFlags,
) {
  return yield* serveHttp(options, options.mcp ? { mcp: { version } } : {});
}, Effect.scoped);

/** The `serve` command. */
export const serve = Command.make("serve", config, serveHandler).pipe(
  Command.withDescription(
    "Serve models behind OpenAI's HTTP API: chat completions with pictures and videos, streaming, " +
      "tools, structured output.\n\n" +
      "Several models share one server; each is loaded when it is first asked for, the first one at once. " +
      "Ctrl-C takes no new requests and lets running ones end; SIGHUP loads models anew. " +
      "GET /metrics, /health, /ready, /openapi.json and /docs are there too.\n\n" +
      "With --json one line is printed when requests are taken: {url, port, models} and, with --dashboard, its address.",
  ),
  Command.withShortDescription("Serve models behind OpenAI's HTTP API"),
  Command.withExamples([
    {
      command: "tessera serve --model DIR",
      description: "One model on http://127.0.0.1:8000/v1",
    },
    {
      command:
        "TESSERA_API_KEY=… tessera serve -m big=DIR -m small=DIR \\\n  --host 0.0.0.0 --memory 64",
      description: "Two models for a network, within 64 GiB, with a key",
    },
  ]),
);
