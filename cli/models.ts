/**
 * The model behind a command, as a service: the SDK, loaded when it is first needed, or a test's double.
 * @module
 */
import { fileURLToPath } from "node:url";
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
import { makePainter } from "./progress.ts";
import { Shell } from "./shell.ts";
import { oneLine, wrap } from "./text.ts";

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

/** A path inside this package, where it is run from a checkout; nothing when it came over the network. */
export function packagePath(path: string): string | undefined {
  const url = new URL(`../${path}`, import.meta.url);
  return url.protocol === "file:" ? fileURLToPath(url) : undefined;
}

/** The folder of the embedded model, where this is run from a checkout. */
export function embeddedModel(): string | undefined {
  return packagePath("models/nano");
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
    const notice =
      "tessera: no --model given, so this is nano: a very small model that knows only simple drawn " +
      "pictures (shapes, bar charts, letters), not photographs";
    shell.warn(
      `${
        shell.stderrIsTerminal
          ? wrap(notice, shell.columns() - 1).join("\n")
          : notice
      }\n`,
    );
  }
  let store = yield* prepareStore(choice.store);
  const painter = makePainter(shell);
  painter.paint(() => `loading ${choice.model ?? "nano"}`);
  const load = (to: string | undefined) =>
    Effect.acquireRelease(
      attempt(async (signal) => {
        const options = { ...choice.options, store: to ?? "memory", signal };
        const model = await models.load(dir, options);
        // Ctrl-C came too late to stop the loading: nobody will take the model.
        if (signal.aborted) await model[Symbol.asyncDispose]();
        return model;
      }),
      (model) =>
        Effect.promise(async () => {
          await model[Symbol.asyncDispose]();
        }),
      { interruptible: true },
    );
  const model = yield* Effect.catchIf(
    load(store),
    (error) => error._tag === "StoreError" && choice.store === undefined,
    (error) => {
      painter.clear();
      shell.warn(`tessera: runs are not recorded: ${oneLine(error.message)}\n`);
      store = undefined;
      return load(undefined);
    },
  ).pipe(Effect.ensuring(Effect.sync(painter.clear)));
  return { model, store };
});

function isSpecial(path: string): boolean {
  try {
    const { isFile, isDirectory } = Deno.statSync(path);
    return !isFile && !isDirectory;
  } catch {
    return false;
  }
}

/** Makes the folder of a dump. That it cannot be written is found out now, and not with the answer. */
export function requireDump(dir: string | undefined): void {
  if (dir === undefined) return;
  try {
    Deno.mkdirSync(dir, { recursive: true });
    Deno.removeSync(Deno.makeTempFileSync({ dir }));
  } catch (cause) {
    throw new OutputError(
      `cannot write the dump to ${dir}: ${fileReason(cause)}`,
      { cause },
    );
  }
}

/** Makes the store's folder. Only a store that was asked for by name must be there. */
export const prepareStore: (
  store: string | undefined,
) => Effect.Effect<string | undefined, Fault, Shell> = Effect.fnUntraced(
  function* (store: string | undefined) {
    if (store === "memory" || store === "none") return undefined;
    const shell = yield* Shell;
    const file = store ?? defaultStore;
    const folder = file.replace(/[^/\\]*$/, "");
    try {
      if (folder !== "") Deno.mkdirSync(folder, { recursive: true });
      if (isSpecial(file)) throw new Error("it is no regular file");
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
  },
);

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
