/**
 * The dashboard: every run, stage by stage, in the browser.
 * @module
 */
import { assets, scripts } from "./generated/assets.ts";
import { islands, routes } from "./generated/manifest.ts";
import { type Host, makeHost } from "./host/app.ts";
import { requestState } from "./request_state.ts";
import type { Services } from "./services.ts";
import type { State } from "./state.ts";

export {
  makeServices,
  type ServiceOptions,
  type Services,
} from "./services.ts";
export type { Host } from "./host/app.ts";
export {
  ListenError,
  serve,
  type ServeOptions,
  type Serving,
} from "./serve.ts";

/** How the pages are served. */
export interface DashboardOptions {
  /** Is told what a handler or a page threw. */
  readonly onError?: (error: unknown, req: Request) => void;
}

/** Makes the pages over their services. */
export function makeDashboard(
  services: Services,
  options: DashboardOptions = {},
): Host {
  return makeHost<State>({
    routes,
    islands,
    assets,
    scripts,
    state: () => requestState(services),
    nonce: ({ nonce }) => nonce,
    ...options,
  });
}
