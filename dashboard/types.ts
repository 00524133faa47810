/**
 * The shapes of Fresh's file conventions, so that routes type-check without Fresh: `routes/` and
 * `islands/` import these and nothing from `fresh`. They are assignable to Fresh's own.
 * @module
 */
import type { ComponentType, VNode } from "preact";

/** What a handler and a middleware get. */
export interface RouteContext<S> {
  /** The request. */
  readonly req: Request;
  /** Its address. */
  readonly url: URL;
  /** What the pattern of the route caught, such as `id` of `[id].tsx`. */
  readonly params: Record<string, string>;
  /** What middlewares share with handlers and pages. */
  readonly state: S;
  /** What was thrown, in `_error` and `_500`. */
  readonly error: unknown;
  /** Goes on to the next middleware or the handler. */
  next(): Promise<Response>;
  /** A redirect, 302 unless told otherwise. */
  redirect(path: string, status?: number): Response;
}

/** What a handler may return in place of a `Response`: the data of its page. */
export interface PageData<D> {
  /** Given to the page as `props.data`. */
  readonly data: D;
  /** Status of the response; default 200. */
  readonly status?: number;
  /** Headers of the response. */
  readonly headers?: HeadersInit;
}

/** Answers a request. */
export type Handler<D, S> = (
  ctx: RouteContext<S>,
) => Response | PageData<D> | Promise<Response | PageData<D>>;

/** Handlers by method. */
export interface Handlers<D, S> {
  /** GET, and HEAD. */
  readonly GET?: Handler<D, S>;
  /** POST. */
  readonly POST?: Handler<D, S>;
  /** PUT. */
  readonly PUT?: Handler<D, S>;
  /** PATCH. */
  readonly PATCH?: Handler<D, S>;
  /** DELETE. */
  readonly DELETE?: Handler<D, S>;
}

/** Sees a request before its handler, and its response after. */
export type Middleware<S> = (
  ctx: RouteContext<S>,
) => Response | Promise<Response>;

/** Props of a page. */
export interface PageProps<D, S> {
  /** What the handler returned. */
  readonly data: D;
  /** The request. */
  readonly req: Request;
  /** Its address. */
  readonly url: URL;
  /** What the pattern of the route caught. */
  readonly params: Record<string, string>;
  /** What middlewares left. */
  readonly state: S;
  /** What was thrown, in `_error` and `_500`. */
  readonly error?: unknown;
}

/** Props of `_app` and `_layout`. */
export interface LayoutProps<S> extends PageProps<unknown, S> {
  /** The page, or the layout inside this one. */
  readonly Component: ComponentType;
}

/** A page, a layout or an app: a component, or a function that is awaited. */
export type Page<P> = (
  props: P,
) => VNode | null | Promise<VNode | Response | null>;
