/**
 * The model behind a command, as a service: the SDK, loaded when it is first needed, or a test's double.
 * @module
 */
import * as Cause from "effect/Cause";
import * as Context from "effect/Context";
import * as Effect from "effect/Effect";
import type * as Scope from "effect/Scope";
import type {
  ChatRequest,
  ChatResult,
  ChatStream,
  InternVL,
  LoadOptions,
} from "../mod.ts";
import {
  type Fault,
  fileReason,
  InputError,
  isFault,
  OutputError,
} from "./faults.ts";
import { Shell } from "./shell.ts";

/** What commands use of a loaded model. */
export interface Model extends AsyncDisposable {
  /** Facts about the model. */
  readonly info: { readonly name: string };
  /** Asks one question. */
  readonly chat: (request: ChatRequest) => Promise<ChatResult>;
  /** Asks one question and streams the answer. */
  readonly chatStream: (request: ChatRequest) => ChatStream;
  /** Runs any pipeline. */
  readonly run: InternVL["run"];
}

/** Loads models. */
export interface Models {
  /** Loads a checkpoint folder. */
  readonly load: (dir: string, options: LoadOptions) => Promise<Model>;
}

/** Loading of models as a service. */
export const Models: Context.Service<Models, Models> = Context.Service<Models>(
  "tessera/cli/Models",
);

/** The SDK's own models. Importing it costs most of a command's start, so it is imported here. */
export const sdkModels: Models = {
  load: async (dir, options) => {
    const { InternVL } = await import("../mod.ts");
    return await InternVL.load(dir, options);
  },
};

/** The folder of the embedded model, where this is run from a checkout. */
export function embeddedModel(): string | undefined {
  const url = new URL("../models/nano", import.meta.url);
  return url.protocol === "file:" ? fromFileUrl(url) : undefined;
}

function fromFileUrl(url: URL): string {
  const path = decodeURIComponent(url.pathname);
  return Deno.build.os === "windows"
    ? path.replace(/^\/(?=[A-Z]:)/i, "")
    : path;
}

/** Where a model is and how it is to be loaded. */
export interface ModelChoice {
  /** The checkpoint folder; nothing for the embedded model. */
  readonly model: string | undefined;
  /** Device, threads, binding. */
  readonly options: LoadOptions;
  /** Where runs are recorded: a file, `memory`, `none`, or nothing for the default file. */
  readonly store: string | undefined;
}

/** The run store's default file, under the current folder. */
export const defaultStore = ".tessera/runs.sqlite";

/** A model that is loaded, and where its runs are recorded. */
export interface Opened {
  /** The model; released with the scope. */
  readonly model: Model;
  /** The run store's file; nothing when runs are kept in memory. */
  readonly store: string | undefined;
}

/**
 * Loads the chosen model into the scope and says so on stderr where that is news: the embedded model
 * knows only a small world, and a store that cannot be written is replaced by memory.
 */
export const openModel: (
  choice: ModelChoice,
) => Effect.Effect<Opened, Fault, Models | Shell | Scope.Scope> = Effect.fn(
  "cli.openModel",
)(function* (choice: ModelChoice) {
  const models = yield* Models;
  const shell = yield* Shell;
  const embedded = embeddedModel();
  const dir = choice.model ?? embedded;
  if (dir === undefined) {
    return yield* Effect.fail<Fault>(
      new InputError(
        "no --model given, and the embedded one comes only with a checkout of Tessera; give a checkpoint folder",
      ),
    );
  }
  if (choice.model === undefined) {
    shell.warn(
      "tessera: no --model given, so this is nano: a very small model that knows only drawn shapes, " +
        "colours, counts and a few words. It shows that everything works; it cannot see photographs.\n",
    );
  }
  const store = yield* prepareStore(choice.store);
  const model = yield* Effect.acquireRelease(
    attempt((signal) =>
      models.load(dir, { ...choice.options, store: store ?? "memory", signal })
    ),
    (model) =>
      Effect.promise(async () => {
        await model[Symbol.asyncDispose]();
      }),
  );
  return { model, store };
});

/** Makes the store's folder. Only a store that was asked for by name must be there. */
const prepareStore = Effect.fnUntraced(function* (store: string | undefined) {
  if (store === "memory" || store === "none") return undefined;
  const shell = yield* Shell;
  const file = store ?? defaultStore;
  const folder = file.replace(/[^/\\]*$/, "");
  try {
    if (folder !== "") Deno.mkdirSync(folder, { recursive: true });
    // Found out now, and not when a model of many gigabytes has been loaded.
    Deno.openSync(file, { append: true, create: true }).close();
    return file;
  } catch (cause) {
    const reason = fileReason(cause);
    if (store !== undefined) {
      return yield* Effect.fail<Fault>(
        new OutputError(`cannot write the run store ${file}: ${reason}`, {
          cause,
        }),
      );
    }
    shell.warn(
      `tessera: runs are not recorded: cannot write ${file}: ${reason} (--store FILE puts them elsewhere)\n`,
    );
    return undefined;
  }
});

/**
 * A promise as an effect: tagged rejections are failures, others are defects. Interruption aborts the
 * signal and waits until the promise has settled, so that nothing native is at work when it ends.
 */
export function attempt<A>(
  start: (signal: AbortSignal) => Promise<A>,
): Effect.Effect<A, Fault> {
  return Effect.callback<A, Fault>((resume) => {
    const controller = new AbortController();
    const promise = (async () => await start(controller.signal))();
    promise.then(
      (value) => resume(Effect.succeed(value)),
      (error) => {
        if (controller.signal.aborted) resume(Effect.interrupt);
        else if (isFault(error)) resume(Effect.fail(error));
        else if (error instanceof Deno.errors.NotCapable) {
          resume(Effect.fail(permissionFault(error)));
        } else resume(Effect.failCause(Cause.die(error)));
      },
    );
    return Effect.promise(async () => {
      controller.abort();
      await promise.catch(() => {});
    });
  });
}

function permissionFault(error: Error): Fault {
  return new InputError(fileReason(error), { cause: error });
}
