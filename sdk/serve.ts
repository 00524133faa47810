/**
 * The HTTP server for programs: models from folders behind OpenAI's API.
 * @module
 */
import {
  Cause,
  Context,
  Effect,
  Exit,
  Fiber,
  Layer,
  ManagedRuntime,
} from "effect";
import type * as Scope from "effect/Scope";
import type { Stdio } from "effect/Stdio";
import { basename } from "node:path";
import { type CheckpointError, MediaError } from "../nodes/errors.ts";
import { ImageProcessor, VideoProcessor } from "../nodes/services.ts";
import { makeMemoryStore, RunStore, type StoreError } from "../pipeline/mod.ts";
import { openCheckpoint } from "../plugins/internvl/mod.ts";
import { boundSessions, mcpHttp, mcpStdio } from "../plugins/mcp/mod.ts";
import { imageProcessorWith } from "../plugins/media/mod.ts";
import {
  defaultServerLimits,
  listen,
  type ListenError,
  type Listening,
  type ListenOptions,
  makeModelPool,
  makeParts,
  makeServer,
  type ModelEntry,
  ModelPool,
  type ServedServices,
  type ServerLimits,
  type ServerOptions,
  ServerParts,
} from "../plugins/openai/mod.ts";
import { layerSqlite } from "../plugins/sqlite/mod.ts";
import { modelLayer, quiet } from "./layers.ts";
import { makeTelemetry } from "./telemetry.ts";
import type { LoadOptions } from "./types.ts";

/** A model to serve. */
export interface ServeModel {
  /** The checkpoint folder. */
  readonly dir: string;
  /** The name that requests give. Default: the folder's. */
  readonly name?: string;
}

/** What to serve, and how. */
export interface ServeOptions extends ServerOptions, ListenOptions {
  /** The models; the first is loaded at once. */
  readonly models: readonly ServeModel[];
  /** How models are loaded. */
  readonly load?: Omit<LoadOptions, "store" | "signal">;
  /** Where runs are recorded: a SQLite file, or `"memory"` (default). */
  readonly store?: string | RunStore;
  /** Bytes of all loaded models; the least recently used one leaves first. Default: any number. */
  readonly memoryBytes?: number;
  /** An OpenTelemetry collector that gets traces, metrics and logs, such as `http://127.0.0.1:4318`. */
  readonly otlp?: string;
  /** Serves agents by the Model Context Protocol at `/mcp`, too; `version` is what they are told. */
  readonly mcp?: { readonly version: string };
  /** Is told what is loaded and unloaded. */
  readonly onEvent?: (line: string) => void;
}

/** What is served to an agent. */
export interface McpServeOptions extends Omit<ServeOptions, "mcp"> {
  /** Version that clients are told. */
  readonly version?: string;
  /** Folder that relative paths start from. */
  readonly folder?: string;
}

/** Why something cannot be served. */
export type ServingError =
  | CheckpointError
  | ListenError
  | StoreError
  | ServeError;

/** A server at work. */
export interface Serving extends Listening {
  /** Loads models anew when they are next asked for. */
  readonly reload: Effect.Effect<void>;
  /** The models. */
  readonly models: ModelPool;
}

/** Memory of a model: numbers become float32 on the CPU, half of that elsewhere; others stay as they are. */
const memoryOf = (
  dir: string,
  device: LoadOptions["device"],
): Effect.Effect<number, CheckpointError> =>
  Effect.map(openCheckpoint(dir), ({ tensors }) => {
    const perNumber = device === undefined || device === "cpu" ? 4 : 2;
    let bytes = 0;
    for (const { dtype, shape, length } of tensors.values()) {
      bytes += /float/.test(dtype)
        ? shape.reduce((product, extent) => product * extent, 1) * perNumber
        : length;
    }
    return bytes;
  });

/** Videos longer than the limit are refused. */
function boundedVideos(
  { sample }: VideoProcessor,
  { maxVideoSeconds }: ServerLimits,
): VideoProcessor {
  return {
    sample: (source, options, name = String(source)) =>
      Effect.flatMap(sample(source, options, name), (frames) => {
        const seconds = frames.frameCount / frames.fps;
        return seconds > maxVideoSeconds
          ? Effect.fail(
            new MediaError({
              message: `${name} is ${
                Math.round(seconds)
              } s long; at most ${maxVideoSeconds} s are taken`,
              source: name,
            }),
          )
          : Effect.succeed(frames);
      }),
  };
}

/** Loads nothing yet, but finds out what cannot be served. */
const openPool: (
  options: Omit<ServeOptions, "mcp">,
) => Effect.Effect<ModelPool, ServingError, Scope.Scope> = Effect.fnUntraced(
  function* (options: Omit<ServeOptions, "mcp">) {
    const limits: ServerLimits = { ...defaultServerLimits, ...options.limits };
    const store = typeof options.store === "object"
      ? options.store
      : options.store === undefined || options.store === "memory"
      ? makeMemoryStore()
      : Context.get(yield* Layer.build(layerSqlite(options.store)), RunStore);
    const entries: ModelEntry[] = [];
    for (const { dir, name } of options.models) {
      const id = name ?? (basename(dir.replace(/[\\/]+$/, "")) || dir);
      if (!/^[\w.:-]{1,100}$/.test(id)) {
        return yield* Effect.fail(
          new ServeError(
            `${
              JSON.stringify(id)
            } cannot be a model's name: letters, digits and _ . : - can; give one as NAME=DIR`,
          ),
        );
      }
      if (entries.some((entry) => entry.id === id)) {
        return yield* Effect.fail(
          new ServeError(
            `two models are called ${id}; give each a name as NAME=DIR`,
          ),
        );
      }
      const layer = Layer.merge(
        modelLayer(dir, { ...options.load, store }),
        imageProcessorWith({
          maxPixels: limits.maxPixels,
          maxBytes: limits.maxImageBytes,
        }),
      );
      entries.push({
        id,
        bytes: yield* memoryOf(dir, options.load?.device),
        load: Effect.map(
          Layer.build(Layer.fresh(layer)),
          (context): Context.Context<ServedServices> =>
            Context.add(
              context,
              VideoProcessor,
              boundedVideos(Context.get(context, VideoProcessor), limits),
            ),
        ),
      });
    }
    if (entries.length === 0) {
      return yield* Effect.fail(new ServeError("there is no model to serve"));
    }
    return yield* makeModelPool(entries, {
      ...(options.memoryBytes === undefined
        ? {}
        : { memoryBytes: options.memoryBytes }),
      ...(options.onEvent === undefined ? {} : { onEvent: options.onEvent }),
    });
  },
);

/** Loads the first model, so that the first request does not wait and a damaged one is found out at once. */
const loadFirst = (pool: ModelPool): Effect.Effect<void, ServeError> =>
  pool.use(pool.list()[0]!.id).pipe(
    Effect.mapError((error) => new ServeError(error.message)),
    Effect.flatMap(({ context }) =>
      Effect.provideContext(startWorker, context)
    ),
    Effect.scoped,
  );

/** Sees a dot, so that the first picture of a request need not wait for a worker and its libraries. */
const startWorker = Effect.flatMap(
  ImageProcessor,
  (processor) =>
    Effect.ignore(
      processor.decode({ width: 1, height: 1, data: new Uint8Array(3) }),
    ),
);

/**
 * Serves models until the scope closes; then running requests get their time. Fails with
 * `CheckpointError` for a folder that is none, with `ListenError` for an address that is taken, with
 * `StoreError` for a run store that cannot be opened.
 *
 * ```ts
 * import { serving } from "@tessera/sdk";
 * import { Effect } from "effect";
 * import assert from "node:assert/strict";
 *
 * const program = Effect.gen(function* () {
 *   const { port } = yield* serving({ models: [{ dir: "models/nano" }], port: 0 });
 *   const response = yield* Effect.promise(() =>
 *     fetch(`http://127.0.0.1:${port}/v1/models`)
 *   );
 *   return yield* Effect.promise(() => response.json());
 * });
 * const { data } = await Effect.runPromise(Effect.scoped(program));
 * assert.equal(data[0].id, "nano");
 * ```
 */
export const serving: (
  options: ServeOptions,
) => Effect.Effect<Serving, ServingError, Scope.Scope> = Effect.fn("serving")(
  function* (options: ServeOptions) {
    const pool = yield* openPool(options);
    const telemetry = options.otlp === undefined
      ? undefined
      : yield* makeTelemetry(options.otlp);
    const handler = yield* makeServer({
      ...options,
      ...(telemetry === undefined ? {} : {
        onAccess: (entry) => {
          telemetry.onAccess(entry);
          options.onAccess?.(entry);
        },
      }),
      ...(options.mcp === undefined ? {} : {
        more: { paths: ["/mcp"], routes: mcpHttp(options.mcp) },
        around: boundSessions,
      }),
    }).pipe(
      Effect.provideService(ModelPool, pool),
      Effect.provideContext(telemetry?.context ?? Context.empty()),
    );
    const listening = yield* listen(handler, {
      graceMs: options.limits?.graceMs ?? defaultServerLimits.graceMs,
      ...options,
    });
    yield* loadFirst(pool);
    return { ...listening, reload: pool.reload, models: pool };
  },
);

/**
 * Serves models to an agent over standard input and output, until the input ends: the Model Context
 * Protocol with the tools `ask_image`, `ask_images`, `ask_video` and `read_text`.
 */
export const servingMcp: (
  options: McpServeOptions,
) => Effect.Effect<void, ServingError, Scope.Scope | Stdio> = Effect.fn(
  "servingMcp",
)(function* (options: McpServeOptions) {
  const pool = yield* openPool(options);
  yield* loadFirst(pool);
  const { version = "0", folder } = options;
  const services = Layer.mergeAll(
    Layer.succeed(ModelPool, pool),
    Layer.succeed(ServerParts, makeParts(options)),
  );
  const running = yield* Effect.forkScoped(Layer.launch(
    mcpStdio({ version, ...(folder === undefined ? {} : { folder }) }).pipe(
      Layer.provide(services),
    ),
  ));
  // The server interrupts itself when its input has ended and everything is said.
  const exit = yield* Fiber.await(running);
  if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) {
    return yield* Effect.failCause(Cause.die(Cause.squash(exit.cause)));
  }
});

/** What to serve cannot be served. */
export class ServeError extends Error {
  /** The discriminator. */
  readonly _tag = "ServeError" as const;
  /** Makes the error. */
  constructor(message: string) {
    super(message);
    this.name = this._tag;
  }
}

/** A server for plain scripts. */
export interface Server extends AsyncDisposable {
  /** The port. */
  readonly port: number;
  /** The address. */
  readonly hostname: string;
  /** The base address for OpenAI's clients, such as `http://127.0.0.1:8000/v1`. */
  readonly baseUrl: string;
  /** Loads models anew when they are next asked for. */
  readonly reload: () => Promise<void>;
}

/**
 * Serves models behind OpenAI's API until it is disposed of. Rejects as {@link serving} fails.
 *
 * ```ts
 * import { serve } from "@tessera/sdk";
 * import assert from "node:assert/strict";
 *
 * await using server = await serve({
 *   models: [{ dir: "models/nano", name: "small" }],
 *   port: 0,
 * });
 * const response = await fetch(`${server.baseUrl}/chat/completions`, {
 *   method: "POST",
 *   headers: { "content-type": "application/json" },
 *   body: JSON.stringify({
 *     model: "small",
 *     messages: [{ role: "user", content: "Hello!" }],
 *     max_tokens: 8,
 *   }),
 * });
 * const { choices } = await response.json();
 * assert.ok(choices[0].message.content.length > 0);
 * ```
 */
export async function serve(options: ServeOptions): Promise<Server> {
  const Running = Context.Service<Serving>("tessera/sdk/Serving");
  const runtime = ManagedRuntime.make(
    Layer.effect(Running, serving(options)).pipe(Layer.provide(quiet)),
  );
  const exit = await runtime.runPromiseExit(
    Effect.map(Running, (server) => server),
  );
  if (Exit.isFailure(exit)) {
    await runtime.dispose();
    throw Cause.squash(exit.cause);
  }
  const { port, hostname, reload } = exit.value;
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  return {
    port,
    hostname,
    baseUrl: `http://${host}:${port}/v1`,
    reload: () => runtime.runPromise(reload),
    [Symbol.asyncDispose]: () => runtime.dispose(),
  };
}
