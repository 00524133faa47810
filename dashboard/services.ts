/**
 * What stands behind the pages.
 * @module
 */
import { Cause, Effect, Exit, type Scope } from "effect";
import { type AnyRegistry, makeRegistry } from "../pipeline/mod.ts";
import type { SqliteStore } from "../plugins/sqlite/mod.ts";
import type { InternVL } from "../sdk/mod.ts";
import { Live } from "./live.ts";
import { Chats, type OnAnswerError } from "./chat/chats.ts";
import { Uploads } from "./chat/uploads.ts";
import type { StoreAccess } from "./store_access.ts";
import { type Access, type AccessOptions, makeAccess } from "./access.ts";

/** What stands behind the pages. */
export interface Services extends StoreAccess {
  /** Who may come in. */
  readonly access: Access;
  /** Streams of what happens. */
  readonly live: Live;
  /** The model that answers; loaded when it is first asked for, and only once. */
  readonly model: () => Promise<InternVL>;
  /** Kinds and ready-made pipelines. */
  readonly registry: () => Promise<AnyRegistry>;
  /** What people brought along. */
  readonly uploads: Uploads;
  /** Conversations with the model. */
  readonly chats: Chats;
}

/** What a dashboard needs from those who start it. */
export interface ServiceOptions {
  /** The runs; the model should record into the same. */
  readonly store: SqliteStore;
  /** Who may come in. */
  readonly access: AccessOptions;
  /** Loads the model; without it, pages only show. */
  readonly load?: () => Promise<InternVL>;
  /** Finds kinds and pipelines; default: the built-in ones. */
  readonly registry?: () => Promise<AnyRegistry>;
  /** Is told why a conversation could not be answered, where its page does not say; default: stderr. */
  readonly onAnswerError?: OnAnswerError;
}

/** Nothing here can answer. */
export class NoModel extends Error {
  /** The discriminator. */
  readonly _tag = "NoModel" as const;
}

let builtins: AnyRegistry | undefined;

const builtinRegistry = async (): Promise<AnyRegistry> => {
  const { builtin } = await import("../nodes/mod.ts");
  return builtins ??= makeRegistry([builtin]);
};

/** Makes the services; closing the surrounding scope ends conversations and forgets uploads. */
export const makeServices: (
  options: ServiceOptions,
) => Effect.Effect<Services, never, Scope.Scope> = Effect.fn(
  "dashboard.services",
)(
  function* (
    { store, access, load, registry = builtinRegistry, onAnswerError }:
      ServiceOptions,
  ) {
    let loading: Promise<InternVL> | undefined;
    const model = () => {
      if (load === undefined) {
        return Promise.reject(new NoModel("this dashboard has no model"));
      }
      // A failure is not kept: the reason may go away.
      loading ??= load().catch((error) => {
        loading = undefined;
        throw error;
      });
      return loading;
    };
    const uploads = yield* Effect.acquireRelease(
      Effect.sync(() => new Uploads()),
      (uploads) => Effect.promise(() => uploads.close()),
    );
    const chats = yield* Effect.acquireRelease(
      Effect.sync(() => new Chats(model, uploads, onAnswerError)),
      (chats) => Effect.promise(() => chats.close()),
    );
    const context = yield* Effect.context<never>();
    const run: Services["run"] = async (effect) => {
      const exit = await Effect.runPromiseExitWith(context)(effect);
      if (Exit.isSuccess(exit)) return exit.value;
      throw Cause.squash(exit.cause);
    };
    const services: Services = {
      store,
      run,
      live: new Live({ store, run }),
      access: makeAccess(access),
      model,
      registry,
      uploads,
      chats,
    };
    return services;
  },
);
