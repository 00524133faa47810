/**
 * `tessera serve`: models behind OpenAI's HTTP API.
 * @module
 */
import * as Effect from "effect/Effect";
import * as Option from "effect/Option";
import type * as Scope from "effect/Scope";
import * as Command from "effect/cli/Command";
import * as Flag from "effect/cli/Flag";
import type { InternVL, OnAccess, ServeOptions } from "../mod.ts";
import type { Fault } from "./faults.ts";
import * as flags from "./flags.ts";
import { dashboardFlags, listening, servedFlags } from "./serve_flags.ts";
import { loopback, serverOptions } from "./serve_options.ts";
import { Shell } from "./shell.ts";
import { oneLine } from "./text.ts";
import { version } from "./version.ts";

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
