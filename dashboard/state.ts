/**
 * What the pages share: the services behind them and the facts of one request.
 * @module
 */
import type { Services } from "./services.ts";
import type {
  Handlers as HandlersOf,
  LayoutProps as LayoutPropsOf,
  Middleware as MiddlewareOf,
  PageProps as PagePropsOf,
  RouteContext,
} from "./types.ts";

/** The state of a request. */
export interface State {
  /** What stands behind the pages. */
  readonly services: Services;
  /** Allows the page's scripts. */
  readonly nonce: string;
  /** Goes into every form and every changing request. */
  csrf: string;
  /** Title of the page, for the window and the history. */
  title: string;
}

/** The context of a handler. */
export type Context = RouteContext<State>;
/** Handlers of a route. */
export type Handlers<D = unknown> = HandlersOf<D, State>;
/** Props of a page. */
export type PageProps<D = unknown> = PagePropsOf<D, State>;
/** Props of `_app` and `_layout`. */
export type LayoutProps = LayoutPropsOf<State>;
/** A middleware. */
export type Middleware = MiddlewareOf<State>;
