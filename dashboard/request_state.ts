/**
 * What every request begins with, on this project's own host and in Fresh.
 * @module
 */
import { makeNonce } from "./access.ts";
import type { Services } from "./services.ts";
import type { State } from "./state.ts";

/** The state of a request before any middleware. */
export const requestState = (services: Services): State => ({
  services,
  nonce: makeNonce(),
  csrf: "",
  title: "Tessera",
});

/** The part of Fresh's context that its first middleware needs. */
export interface FirstContext {
  /** What middlewares, handlers and pages share; empty at first. */
  readonly state: State;
  /** Goes on. */
  next(): Promise<Response>;
}

/** Fresh's first middleware: gives every request its state. */
export const withState =
  (services: Services) => (ctx: FirstContext): Promise<Response> => {
    Object.assign(ctx.state, requestState(services));
    return ctx.next();
  };
