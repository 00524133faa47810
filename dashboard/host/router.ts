/**
 * Fresh's file routing: names of files become patterns, folders become middlewares and layouts.
 * @module
 */

/** A file of `routes/` as a module. */
export interface RouteModule {
  /** The page, layout or app; a middleware (or several) of `_middleware`. */
  readonly default?: unknown;
  /** Answers by method, or one for all. */
  readonly handler?: unknown;
}

/** The files of `routes/` by their paths inside it. */
export type RouteFiles = { readonly [path: string]: RouteModule };

/** A route with what surrounds it. */
export interface Route {
  /** File. */
  readonly file: string;
  /** What it answers to. */
  readonly pattern: URLPattern;
  /** The module. */
  readonly module: RouteModule;
  /** Middlewares, outermost first. */
  readonly middlewares: readonly RouteModule[];
  /** Layouts, outermost first. */
  readonly layouts: readonly RouteModule[];
  /** Modules of `_error` or `_500`, innermost first. */
  readonly errors: readonly RouteModule[];
}

/** Routes in the order in which they are tried. */
export interface Router {
  /** The document around every page. */
  readonly app: RouteModule | undefined;
  /** Shown where nothing matches. */
  readonly notFound: Route | undefined;
  /** The first route for a path, with what its pattern caught. */
  readonly match: (
    pathname: string,
  ) =>
    | { readonly route: Route; readonly params: Record<string, string> }
    | undefined;
}

const withoutExtension = (file: string): string =>
  file.replace(/\.[jt]sx?$/, "");

/** The path pattern of a file: `runs/[id].tsx` is `/runs/:id`. */
export function pathPattern(file: string): string {
  const parts = withoutExtension(file).split("/")
    .filter((part) => !/^\(.*\)$/.test(part));
  if (parts.at(-1) === "index") parts.pop();
  const pattern = parts.map((part) => {
    const rest = /^\[\.\.\.(\w+)\]$/.exec(part);
    if (rest) return `/:${rest[1]}*`;
    const maybe = /^\[\[(\w+)\]\]$/.exec(part);
    if (maybe) return `{/:${maybe[1]}}?`;
    return `/${part.replace(/\[(\w+)\]/g, ":$1")}`;
  }).join("");
  return pattern === "" ? "/" : pattern;
}

/** Static parts come before caught ones, those before optional ones, the rest last. */
function weight(file: string): string {
  return withoutExtension(file).split("/")
    .filter((part) => !/^\(.*\)$/.test(part))
    .map((part) =>
      part.startsWith("[...")
        ? "3"
        : part.startsWith("[[")
        ? "2"
        : part.includes("[")
        ? "1"
        : "0"
    ).join("");
}

/** Names of the folders around a file, outermost first; the root is the empty text. */
function foldersOf(file: string): string[] {
  const parts = file.split("/").slice(0, -1);
  return [
    "",
    ...parts.map((_, i) => `${parts.slice(0, i + 1).join("/")}/`),
  ];
}

/** Makes a router from the files of `routes/`. */
export function makeRouter(files: RouteFiles): Router {
  const named = new Map(
    Object.entries(files).map(([file, module]) => [
      withoutExtension(file),
      module,
    ]),
  );
  const around = (file: string, ...names: string[]): RouteModule[] =>
    foldersOf(file).flatMap((folder) =>
      names.flatMap((name) => named.get(`${folder}${name}`) ?? [])
    );
  const routeOf = (file: string, module: RouteModule): Route => ({
    file,
    pattern: new URLPattern({ pathname: pathPattern(file) }),
    module,
    middlewares: around(file, "_middleware"),
    layouts: around(file, "_layout"),
    errors: around(file, "_error", "_500").reverse(),
  });
  const special = /(^|\/)_[^/]*$/;
  const routes = Object.entries(files)
    .filter(([file]) => !special.test(file))
    .sort(([a], [b]) =>
      weight(a) < weight(b) ? -1 : weight(a) > weight(b) ? 1 : a < b ? -1 : 1
    )
    .map(([file, module]) => routeOf(file, module));
  const missing = Object.entries(files).find(([file]) =>
    withoutExtension(file) === "_404"
  );
  return {
    app: named.get("_app"),
    notFound: missing && routeOf(...missing),
    match: (pathname) => {
      for (const route of routes) {
        const found = route.pattern.exec({ pathname });
        if (found === null) continue;
        const params: Record<string, string> = {};
        for (const [name, value] of Object.entries(found.pathname.groups)) {
          if (value !== undefined && !/^\d+$/.test(name)) {
            params[name] = decode(value);
          }
        }
        return { route, params };
      }
      return undefined;
    },
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
