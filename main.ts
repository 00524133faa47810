/**
 * The dashboard served by Fresh itself, for those who can reach JSR: `deno run … dev.ts`, or
 * `dev.ts build` and then `deno serve _fresh/server.js`. Shows `.tessera/runs.sqlite` of the current
 * folder and listens as Fresh does; `tessera dashboard` is the same pages on this project's own host.
 * @module
 */
import { Effect, Scope } from "effect";
import { App, staticFiles } from "fresh";
import { withState } from "./dashboard/request_state.ts";
import { makeServices } from "./dashboard/services.ts";
import type { State } from "./dashboard/state.ts";
import { InternVL } from "./mod.ts";
import { makeSqliteStore } from "./plugins/sqlite/mod.ts";

await Deno.mkdir(".tessera", { recursive: true });

// Lives as long as the process.
const scope = Scope.makeUnsafe();
const services = await Effect.runPromise(
  Effect.gen(function* () {
    const store = yield* makeSqliteStore({ filename: ".tessera/runs.sqlite" });
    return yield* makeServices({
      store,
      // Fresh chooses the port later; it is only part of the cookie's name.
      access: { port: 0 },
      load: () => InternVL.load("models/nano", { store }),
    });
  }).pipe(Effect.provideService(Scope.Scope, scope)),
);

/** The app. */
export const app: App<State> = new App<State>()
  .use(staticFiles())
  .use(withState(services))
  .fsRoutes();
