/**
 * `tessera dashboard`: the runs in the browser.
 * @module
 */
import * as Effect from "effect/Effect";
import * as Option from "effect/Option";
import type * as Scope from "effect/Scope";
import * as Command from "effect/cli/Command";
import * as Flag from "effect/cli/Flag";
import type { InternVL, LoadOptions } from "../mod.ts";
import type { Retention, SqliteStore } from "../plugins/sqlite/mod.ts";
import { type Fault, fileReason, OutputError, UsageError } from "./faults.ts";
import { compact, defined } from "./flag_parts.ts";
import * as flags from "./flags.ts";
import { attempt, defaultStore, embeddedModel } from "./models.ts";
import { loadRegistry, pluginFlag } from "./pipelines.ts";
import { environment, Shell } from "./shell.ts";
import { oneLine } from "./text.ts";

const config = {
  port: Flag.Int("port").pipe(
    Flag.filter(
      (value) => value >= 0 && value <= 65535,
      (value) => `Expected 0 to 65535, got ${value}`,
    ),
    Flag.withMetavar("N"),
    Flag.withDescription("Port; 0 takes a free one; default: 8420"),
    Flag.withDefault(8420),
  ),
  host: flags.path("host").pipe(
    Flag.withMetavar("ADDRESS"),
    Flag.withDescription(
      "Address to listen on; beyond this machine a token is required; default: 127.0.0.1",
    ),
    Flag.withDefault("127.0.0.1"),
  ),
  token: flags.path("token").pipe(
    Flag.withMetavar("TEXT"),
    Flag.withDescription(
      "What people must know to come in, 16 characters or more; default: TESSERA_TOKEN, else a random one where --host needs it",
    ),
    Flag.optional,
  ),
  keepDays: flags.ranged(
    Flag.Finite("keep-days"),
    "N",
    "Forget runs older than so many days; default: none for their age",
    { above: 0 },
  ),
  keepSize: flags.ranged(
    Flag.Finite("keep-size"),
    "GIB",
    "Forget the oldest runs beyond so much; default: 2",
    { above: 0 },
  ),
  plugin: pluginFlag,
  ...flags.modelFlags,
};

/** What the flags of `dashboard` parse to. */
export type DashboardFlags = Command.Command.Config.Infer<typeof config>;

const loopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);

/** The token people must know, if they must. */
export function tokenOf(
  options: {
    readonly host: string;
    readonly token: Option.Option<string>;
  },
): string | undefined {
  const given = Option.getOrUndefined(options.token) ??
    (environment("TESSERA_TOKEN") || undefined);
  if (given !== undefined && given.length < 16) {
    throw new UsageError("--token has fewer than 16 characters");
  }
  return given ??
    (loopback(options.host)
      ? undefined
      : crypto.getRandomValues(new Uint8Array(18)).toBase64({
        alphabet: "base64url",
      }));
}

/** What is kept of the runs, where a flag says so. */
function retention(
  { keepDays, keepSize }: Pick<DashboardFlags, "keepDays" | "keepSize">,
): Retention | undefined {
  const keep = compact({
    days: defined(keepDays),
    bytes: defined(Option.map(keepSize, (gib) => Math.round(gib * 2 ** 30))),
  });
  return Object.keys(keep).length === 0 ? undefined : keep;
}

/** The run store's file, whose folder is made if it is not there. */
function storeFile(given: string | undefined): string {
  if (given === "memory" || given === "none") return ":memory:";
  const file = given ?? defaultStore;
  const folder = file.replace(/[^/\\]*$/, "");
  try {
    if (folder !== "") Deno.mkdirSync(folder, { recursive: true });
    return file;
  } catch (cause) {
    throw new OutputError(
      `cannot make the folder of the run store ${file}: ${fileReason(cause)}`,
      { cause },
    );
  }
}

/** What a dashboard shows, and where. */
export interface DashboardPlace {
  /** The runs. */
  readonly store: SqliteStore;
  /** Address to listen on. */
  readonly host: string;
  /** Port; 0 for any free one. */
  readonly port: number;
  /** What people must know. */
  readonly token: string | undefined;
  /** Loads the model of the chat page, when it is first used. */
  readonly load: () => Promise<InternVL>;
  /** Modules with more kinds of node. */
  readonly plugins?: readonly string[];
}

/** A dashboard at work. */
export interface StartedDashboard {
  /** Where people come in. */
  readonly address: string;
  /** Serves until it is interrupted. */
  readonly finished: Effect.Effect<void, Fault>;
}

/** Looks at a checkpoint that is loaded later: who mistyped its name learns it now, not from the first answer. */
const checkModel: (dir: string) => Effect.Effect<void, Fault> = Effect
  .fnUntraced(function* (dir: string) {
    const { openCheckpoint } = yield* Effect.promise(() =>
      import("../plugins/internvl/mod.ts")
    );
    yield* openCheckpoint(dir);
  });

/** Loads a model of its own; it ends with the scope. */
const ownModel: (
  store: SqliteStore,
  model: {
    readonly model: string | undefined;
    readonly options: LoadOptions;
  },
) => Effect.Effect<() => Promise<InternVL>, never, Scope.Scope> = Effect
  .fnUntraced(function* (
    store: SqliteStore,
    model: {
      readonly model: string | undefined;
      readonly options: LoadOptions;
    },
  ) {
    const loaded: InternVL[] = [];
    yield* Effect.addFinalizer(() =>
      Effect.promise(async () => {
        for (const one of loaded) await one[Symbol.asyncDispose]();
      })
    );
    return async () => {
      const dir = model.model ?? embeddedModel();
      if (dir === undefined) {
        throw new UsageError(
          "no --model given, and the embedded one comes only with a checkout of Tessera",
        );
      }
      const { InternVL } = await import("../mod.ts");
      const one = await InternVL.load(dir, { ...model.options, store });
      loaded.push(one);
      return one;
    };
  });

/** Starts a dashboard that ends with the scope; the model is loaded when its chat page is first used. */
export const startDashboard: (
  place: DashboardPlace,
) => Effect.Effect<StartedDashboard, Fault, Shell | Scope.Scope> = Effect
  .fnUntraced(function* (
    { store, host, port, token, load, plugins = [] }: DashboardPlace,
  ) {
    const shell = yield* Shell;
    const registry = yield* loadRegistry(plugins);
    const report = (where: string, error: unknown): void => {
      const known = error instanceof Error;
      shell.warn(
        `tessera: ${where}: ${oneLine(known ? error.message : `${error}`)}\n${
          shell.debug && known ? `${error.stack}\n` : ""
        }`,
      );
    };
    const { makeDashboard, makeServices, serve } = yield* Effect.promise(() =>
      import("../dashboard/mod.ts")
    );
    const started = yield* serve({
      host,
      port,
      make: (port) =>
        Effect.map(
          makeServices({
            store,
            access: { port, ...(token === undefined ? {} : { token }) },
            load,
            registry: () => Promise.resolve(registry),
            onAnswerError: (error, id) => report(`/chat/${id}`, error),
          }),
          (services) =>
            makeDashboard(services, {
              onError: (error, req) =>
                report(`${req.method} ${new URL(req.url).pathname}`, error),
            }),
        ),
    });
    const shown = host.includes(":")
      ? `[${host}]`
      : host === "0.0.0.0"
      ? "127.0.0.1"
      : host;
    const address = `http://${shown}:${started.port}/`;
    return {
      address: token === undefined
        ? address
        : `${address}sign-in?token=${encodeURIComponent(token)}`,
      finished: attempt((signal) => started.finished(signal)),
    };
  });

/** `dashboard` with its arguments parsed. */
export const dashboardHandler = Effect.fn("cli.dashboard")(function* (
  options: DashboardFlags,
) {
  const shell = yield* Shell;
  const { token, file } = yield* Effect.try({
    try: () => ({
      token: tokenOf(options),
      file: storeFile(Option.getOrUndefined(options.store)),
    }),
    catch: (error) => error as Fault,
  });
  const choice = flags.modelChoice(options);
  if (choice.model !== undefined) yield* checkModel(choice.model);
  const { makeSqliteStore } = yield* Effect.promise(() =>
    import("../plugins/sqlite/mod.ts")
  );
  const keep = retention(options);
  const store = yield* makeSqliteStore({
    filename: file,
    ...compact({ keep }),
  });
  // Other processes write here too and keep to bounds of their own, so age is looked at again and again.
  if (keep !== undefined) {
    yield* Effect.forkScoped(
      Effect.forever(
        Effect.andThen(
          Effect.sleep("10 minutes"),
          Effect.ignore(store.prune()),
        ),
      ),
    );
  }
  yield* Effect.gen(function* () {
    const { address, finished } = yield* startDashboard({
      store,
      host: options.host,
      port: options.port,
      token,
      load: yield* ownModel(store, choice),
      plugins: options.plugin,
    });
    yield* shell.write(`${address}\n`);
    if (shell.stderrIsTerminal) {
      shell.warn(
        `tessera: showing ${
          file === ":memory:" ? "this process" : file
        }; Ctrl-C ends it\n`,
      );
    }
    return yield* finished;
  }).pipe(Effect.scoped);
}, Effect.scoped);

/** The `dashboard` command. */
export const dashboard = Command.make("dashboard", config, dashboardHandler)
  .pipe(
    Command.withDescription(
      "Show the recorded runs in the browser: live, stage by stage.\n\n" +
        "Prints its address and serves until Ctrl-C. Runs that other commands record in the same store " +
        "appear while they run. On this machine's own address no token is needed.",
    ),
    Command.withShortDescription("Show the recorded runs in the browser"),
    Command.withExamples([
      { command: "tessera dashboard" },
      {
        command: "tessera dashboard --host 0.0.0.0 --store /data/runs.sqlite",
        description: "For other machines, behind a token that it prints",
      },
      {
        command: "tessera dashboard --keep-days 30 --keep-size 0.5",
        description: "Forgets what is older than a month or beyond 512 MiB",
      },
    ]),
  );
