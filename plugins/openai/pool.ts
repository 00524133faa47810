/**
 * The models of a server: loaded when they are first asked for, several side by side within a budget of
 * memory, the least recently used one leaving first.
 * @module
 */
import { Context, Effect, Exit, Scope, Semaphore } from "effect";
import {
  type ImageServices,
  LanguageModel,
  ModelInfo,
  type TextTokenizer,
  type VideoProcessor,
} from "../../nodes/mod.ts";
import { ApiError, oneLine } from "./errors.ts";

/** What a served model provides. */
export type ServedServices = ImageServices | VideoProcessor | TextTokenizer;

/** A model that can be served. */
export interface ModelEntry {
  /** The name that requests give. */
  readonly id: string;
  /** Loads it into the scope. */
  readonly load: Effect.Effect<
    Context.Context<ServedServices>,
    { readonly _tag: string; readonly message: string },
    Scope.Scope
  >;
  /** Memory it takes when it is loaded, in bytes; 0 where nobody knows. */
  readonly bytes: number;
}

/** A loaded model. */
export interface ServedModel {
  /** The name that requests give. */
  readonly id: string;
  /** Facts about it. */
  readonly info: ModelInfo;
  /** Its services. */
  readonly context: Context.Context<ServedServices>;
}

/** What is known of a model without loading it. */
export interface ModelState {
  /** The name that requests give. */
  readonly id: string;
  /** Unix time in seconds from which it is served. */
  readonly created: number;
  /** The loaded model, where it is. */
  readonly loaded: ServedModel | undefined;
  /** Requests that use it. */
  readonly users: number;
}

/** Models by their names. */
export interface ModelPool {
  /** All models, the default one first. */
  readonly list: () => readonly ModelState[];
  /** A loaded model for as long as the scope is open; loads it where it must. */
  readonly use: (
    id: string,
  ) => Effect.Effect<ServedModel, ApiError, Scope.Scope>;
  /** Has models loaded anew when they are next asked for; requests that run keep the old one. */
  readonly reload: Effect.Effect<void>;
}

/** The pool as a service. */
export const ModelPool: Context.Service<ModelPool, ModelPool> = Context.Service<
  ModelPool
>("tessera/openai/ModelPool");

/** How models share the memory. */
export interface PoolOptions {
  /** Bytes of all loaded models; default: any number. */
  readonly memoryBytes?: number;
  /** Is told what is loaded and unloaded, for the log. */
  readonly onEvent?: (line: string) => void;
}

interface Instance {
  readonly model: ServedModel;
  readonly scope: Scope.Closeable;
  users: number;
  usedAt: number;
  stale: boolean;
}

interface Slot {
  readonly entry: ModelEntry;
  readonly created: number;
  instance: Instance | undefined;
  /** Replaced ones that still have users. */
  readonly old: Set<Instance>;
}

/** Makes a pool; everything loaded is released with the scope. */
export const makeModelPool: (
  entries: readonly ModelEntry[],
  options?: PoolOptions,
) => Effect.Effect<ModelPool, never, Scope.Scope> = Effect.fnUntraced(
  function* (entries: readonly ModelEntry[], options: PoolOptions = {}) {
    const { memoryBytes = Infinity, onEvent = () => {} } = options;
    // One scope for all models, made now: what is acquired after the pool ends before any model does.
    const outer = yield* Scope.fork(yield* Effect.scope);
    const loading = yield* Semaphore.make(1);
    const created = Math.floor(Date.now() / 1000);
    const slots = new Map<string, Slot>(
      entries.map((entry) => [entry.id, {
        entry,
        created,
        instance: undefined,
        old: new Set(),
      }]),
    );
    let ticks = 0;
    const close = (slot: Slot, instance: Instance): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (slot.instance === instance) slot.instance = undefined;
        slot.old.delete(instance);
        return Scope.close(instance.scope, Exit.void);
      });
    const taken = (): number => {
      let bytes = 0;
      for (const { entry, instance, old } of slots.values()) {
        bytes += entry.bytes * ((instance === undefined ? 0 : 1) + old.size);
      }
      return bytes;
    };
    const makeRoom = Effect.fnUntraced(function* (bytes: number) {
      while (taken() + bytes > memoryBytes) {
        const idle = [...slots.values()]
          .filter(({ instance }) => instance?.users === 0)
          .sort((a, b) => a.instance!.usedAt - b.instance!.usedAt)[0];
        if (idle === undefined) {
          // Nothing is loaded: a model alone may be larger than the budget says.
          if (taken() === 0) return;
          return yield* Effect.fail(
            new ApiError({
              status: 503,
              message:
                "the models that are at work leave no memory for this one; try again when they are done",
              code: "model_not_loaded",
              retryAfter: 5,
            }),
          );
        }
        onEvent(`unloading ${idle.entry.id}`);
        yield* close(idle, idle.instance!);
      }
    });
    const load = Effect.fnUntraced(function* (slot: Slot) {
      const { entry } = slot;
      yield* makeRoom(entry.bytes);
      onEvent(`loading ${entry.id}`);
      const began = performance.now();
      const scope = yield* Scope.fork(outer);
      const context = yield* Scope.provide(entry.load, scope).pipe(
        Effect.onError(() => Scope.close(scope, Exit.void)),
        Effect.mapError((error) => {
          onEvent(`cannot load ${entry.id}: ${oneLine(error.message)}`);
          return new ApiError({
            status: 503,
            message:
              `the model ${entry.id} cannot be loaded; the server's log says why`,
            code: "model_not_loaded",
            retry: false,
          });
        }),
      );
      onEvent(
        `loaded ${entry.id} in ${Math.round(performance.now() - began)} ms`,
      );
      const model: ServedModel = {
        id: entry.id,
        info: Context.get(context, ModelInfo),
        context,
      };
      slot.instance = { model, scope, users: 0, usedAt: 0, stale: false };
    });
    const take = (slot: Slot): Effect.Effect<ServedModel, never, Scope.Scope> =>
      Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => {
            const instance = slot.instance!;
            instance.users++;
            instance.usedAt = ++ticks;
            return instance;
          }),
          (instance) =>
            Effect.suspend(() => {
              instance.users--;
              return instance.stale && instance.users === 0
                ? close(slot, instance)
                : Effect.void;
            }),
        ),
        ({ model }) => model,
      );
    const use: ModelPool["use"] = Effect.fnUntraced(function* (id: string) {
      const slot = slots.get(id);
      if (slot === undefined) {
        return yield* Effect.fail(
          new ApiError({
            status: 404,
            type: "invalid_request_error",
            message: `the model ${
              JSON.stringify(id.slice(0, 100))
            } is not served here; there ${slots.size === 1 ? "is" : "are"} ${
              [...slots.keys()].join(", ")
            }`,
            param: "model",
            code: "model_not_found",
          }),
        );
      }
      if (slot.instance !== undefined) return yield* take(slot);
      // Loaded and taken under one lock, so that no other load unloads it in between.
      return yield* loading.withPermit(
        Effect.gen(function* () {
          if (slot.instance === undefined) yield* load(slot);
          return yield* take(slot);
        }),
      );
    });
    const reload: Effect.Effect<void> = Effect.suspend(() =>
      Effect.forEach(slots.values(), (slot) => {
        const { instance } = slot;
        if (instance === undefined) return Effect.void;
        onEvent(`${slot.entry.id} will be loaded anew`);
        instance.stale = true;
        slot.instance = undefined;
        if (instance.users === 0) return close(slot, instance);
        slot.old.add(instance);
        return Effect.void;
      }, { discard: true })
    );
    return {
      list: () =>
        [...slots.values()].map(({ entry, created, instance, old }) => ({
          id: entry.id,
          created,
          loaded: instance?.model,
          users: (instance?.users ?? 0) +
            [...old].reduce((sum, { users }) => sum + users, 0),
        })),
      use,
      reload,
    };
  },
);

/** What the language model of a loaded model holds. */
export const statsOf = (model: ServedModel) =>
  Context.get(model.context, LanguageModel).stats;
