import assert from "node:assert/strict";
import type { ComponentType, VNode } from "preact";
import { Effect } from "effect";
import { eventsOf } from "../pipeline/store_contract.ts";
import { makeSqliteStore } from "../plugins/sqlite/mod.ts";
import { islands, routes } from "./generated/manifest.ts";
import { pathPattern } from "./host/router.ts";
import { makeDashboard, makeServices } from "./mod.ts";
import { withState } from "./request_state.ts";
import type {
  Handler,
  Handlers,
  LayoutProps,
  Middleware,
  PageProps,
} from "./types.ts";

// Not as literals: a type check must not go to JSR.
const names = ["fresh", "fresh/dev"];
const [fresh, dev] = await Promise.all(
  names.map((name) => import(name).catch(() => null)),
);

/** Without how scripts get there, nonces, comments, and the marks Fresh puts on links to here by itself. */
function plain(html: string): string {
  return html
    .replace(/<script[^>]*>.*?<\/script>/gs, "")
    .replace(/<link [^>]*rel="modulepreload"[^>]*>/g, "")
    .replace(/<!--.*?-->/gs, "")
    .replace(/<\/?tessera-island[^>]*>/g, "")
    .replace(/ nonce="[^"]*"/g, "")
    .replace(
      / (data-current|data-ancestor|aria-current|data-frsh-key)="[^"]*"/g,
      "",
    )
    .replace(/^<!doctype html>/i, "")
    .replace(/(\?|&amp;)__frsh_c=\w+/g, "");
}

const compared = [
  "content-type",
  "location",
  "allow",
  "cache-control",
  "content-disposition",
  "x-content-type-options",
  "referrer-policy",
  "cross-origin-opener-policy",
  "content-security-policy",
];

async function facts(response: Response): Promise<Record<string, unknown>> {
  const html = response.headers.get("content-type")?.includes("html") === true;
  const text = await response.text();
  return {
    status: response.status,
    body: html ? plain(text) : text,
    ...Object.fromEntries(
      compared.map((name) => [
        name,
        response.headers.get(name)?.replace(/'nonce-[\w-]+'/, "'nonce'")
          .replace(/\/chat\/[\w-]{22}/, "/chat/ID") ?? null,
      ]),
    ),
  };
}

Deno.test({
  name: "Fresh itself answers as this project's own host does",
  ignore: fresh === null || dev === null,
  // Fresh keeps its bundler.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const outDir = await Deno.makeTempDir();
    try {
      await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
        const store = yield* makeSqliteStore({ filename: ":memory:" });
        const said = { text: "<i>hi</i>", tokens: 3 };
        for (const id of ["a", "b", "c<d>"]) {
          for (const event of eventsOf(id, 1000, said)) store.record(event);
        }
        yield* store.flush("a");
        const services = yield* makeServices({ store, access: { port: 80 } });
        yield* Effect.promise(async () => {
          const builder = new dev.Builder({
            root: new URL("..", import.meta.url).pathname,
            outDir,
          });
          const apply = await builder.build({ snapshot: "memory" });
          const app = new fresh.App()
            .use(fresh.staticFiles()).use(withState(services)).fsRoutes();
          apply(app);
          const theirs: (req: Request) => Promise<Response> = app.handler();
          const first = await theirs(new Request("http://localhost/"));
          const cookie = first.headers.get("set-cookie")!.split(";")[0]!;
          const csrf = /name="csrf" content="([^"]+)"/
            .exec(await first.text())![1]!;
          const asked = (path: string, init: RequestInit = {}) =>
            new Request(`http://localhost${path}`, {
              ...init,
              headers: { cookie, ...init.headers },
            });
          const form = (fields: Record<string, string>) => ({
            method: "POST",
            body: new URLSearchParams(fields),
          });
          const requests: (readonly [string, RequestInit?])[] = [
            ["/"],
            ["/?q=hi&sort=ms"],
            ["/?after=%00&sort=x&from=y&state=z"],
            ["/runs/a"],
            ["/runs/a?node=x"],
            ["/runs/c%3Cd%3E"],
            ["/runs/never"],
            ["/runs/a/live"],
            ["/runs/a/live", { headers: { "last-event-id": "1" } }],
            ["/runs/a/icon"],
            ["/runs/a", { method: "HEAD" }],
            ["/export?run=a"],
            ["/compare?run=a&run=b"],
            ["/compare"],
            ["/latency"],
            ["/latency/data"],
            ["/batches"],
            ["/batches/none"],
            ["/batches/compare?a=x&b=y"],
            ["/chat"],
            ["/chat/none"],
            ["/pipelines"],
            ["/pipelines/chat"],
            ["/pipelines/none"],
            ["/sign-in"],
            ["/nope"],
            ["/nope/deeper"],
            ["/", { headers: { host: "evil.example" } }],
            ["/runs/actions", form({ run: "a", action: "delete" })],
            ["/runs/actions", form({ run: "a", action: "explode", csrf })],
            ["/runs/actions", form({ run: "b", action: "delete", csrf })],
            ["/sign-in", form({ token: "x", to: "//evil.example" })],
          ];
          // Both put hooks into Preact: Fresh has the pages to itself first.
          const freshFacts: Record<string, unknown>[] = [];
          for (const [path, init] of requests) {
            freshFacts.push(await facts(await theirs(asked(path, init))));
          }
          // What the change took away is there again.
          for (const event of eventsOf("b", 1000, said)) store.record(event);
          await Effect.runPromise(store.flush("b"));
          const ours = makeDashboard(services);
          for (const [i, [path, init]] of requests.entries()) {
            assert.deepEqual(
              await facts(await ours(asked(path, init))),
              freshFacts[i],
              `${init?.method ?? "GET"} ${path}`,
            );
          }
        });
      })));
    } finally {
      await Deno.remove(outDir, { recursive: true });
    }
  },
});

Deno.test("routes and islands keep to what Fresh knows, and import nothing of it", async () => {
  const root = new URL("../", import.meta.url);
  for (const folder of ["routes", "islands", "components"]) {
    const files = folder === "routes"
      ? Object.keys(routes)
      : folder === "islands"
      ? Object.keys(islands)
      : Array.from(Deno.readDirSync(new URL("components", root)), (e) => e.name)
        .filter((name) => !name.endsWith("_test.ts"));
    assert.ok(files.length > 4);
    for (const file of files) {
      const text = await Deno.readTextFile(new URL(`${folder}/${file}`, root));
      for (
        const [, from] of text.matchAll(
          /(?:from|import|import\()\s*"([^"]+)"/g,
        )
      ) {
        assert.ok(
          !/^(fresh\b|\$fresh|jsr:|@fresh|https?:)/.test(from!),
          `${folder}/${file} imports ${from}`,
        );
      }
    }
  }
  const methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
  for (const [file, module] of Object.entries(routes)) {
    const name = file.split("/").at(-1)!;
    assert.match(
      name,
      /^(_app|_layout|_middleware|_404|_500|_error|[^_].*)\.tsx?$/,
      file,
    );
    for (const key of Object.keys(module)) {
      // These mean something to Fresh and nothing to this project's own host.
      assert.ok(
        !["config", "css", "handlers"].includes(key),
        `${file}: ${key}`,
      );
    }
    const { default: page, handler } = module;
    assert.ok(page !== undefined || handler !== undefined, file);
    const functions = [
      page ?? [],
      typeof handler === "object" ? Object.values(handler!) : handler ?? [],
    ].flat();
    for (const one of functions) {
      assert.equal(typeof one, "function", file);
      // Fresh calls with the context alone, and takes (req, ctx) for a function of the past.
      assert.ok((one as { length: number }).length <= 1, file);
    }
    if (typeof handler === "object") {
      for (const method of Object.keys(handler!)) {
        assert.ok(methods.includes(method), `${file}: ${method}`);
      }
    }
  }
  for (const [file, module] of Object.entries(islands)) {
    for (const [name, value] of Object.entries(module)) {
      assert.equal(typeof value, "function", `${file}: ${name}`);
      assert.match(name, /^[A-Z]/, file);
    }
  }
});

Deno.test("names of files become the patterns that Fresh makes of them", () => {
  // From the table and the tests of Fresh's own router.
  for (
    const [file, pattern] of [
      ["index.tsx", "/"],
      ["about.tsx", "/about"],
      ["blog/index.tsx", "/blog"],
      ["blog/[slug].tsx", "/blog/:slug"],
      ["blog/[slug]/comments.tsx", "/blog/:slug/comments"],
      ["old/[...path].tsx", "/old/:path*"],
      ["docs/[[version]]/index.tsx", "/docs{/:version}?"],
      ["(group)/page.ts", "/page"],
      ["a/(group)/b.ts", "/a/b"],
      ["[id]-x.ts", "/:id-x"],
      ["[id]@[part].ts", "/:id@:part"],
    ] as const
  ) assert.equal(pathPattern(file), pattern);
});

// What Fresh 2.3 says of itself, as far as routes see it. A type check of these lines is the test.
interface FreshContext<S> {
  readonly config: { readonly root: string; readonly basePath: string };
  readonly url: URL;
  req: Request;
  readonly route: string | null;
  readonly params: Record<string, string>;
  readonly state: S;
  data: unknown;
  error: unknown | null;
  readonly info: Deno.ServeHandlerInfo;
  readonly isPartial: boolean;
  next: () => Promise<Response>;
  redirect(pathOrUrl: string, status?: number): Response;
  Component: ComponentType;
}
interface FreshPage<D> {
  data: D;
  headers?: HeadersInit;
  status?: number;
}
type FreshHandler<D, S> = (
  ctx: FreshContext<S>,
) => Response | FreshPage<D> | Promise<Response | FreshPage<D>>;
type FreshProps<D, S> =
  & Pick<
    FreshContext<S>,
    | "config"
    | "url"
    | "req"
    | "params"
    | "info"
    | "state"
    | "isPartial"
    | "Component"
    | "error"
    | "route"
  >
  & { data: D };

Deno.test("the types of routes fit where Fresh's are wanted", () => {
  type State = { n: number };
  type Data = { text: string };
  const fits = <Wanted>() => <Given extends Wanted>(_?: Given): void => {};
  fits<FreshHandler<Data, State>>()<Handler<Data, State>>();
  fits<
    {
      [M in "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD"]?:
        FreshHandler<Data, State>;
    }
  >()<
    Handlers<Data, State>
  >();
  fits<(ctx: FreshContext<State>) => Response | Promise<Response>>()<
    Middleware<State>
  >();
  fits<(props: FreshProps<Data, State>) => VNode | null>()<
    (props: PageProps<Data, State>) => VNode | null
  >();
  fits<(props: FreshProps<unknown, State>) => VNode | null>()<
    (props: LayoutProps<State>) => VNode | null
  >();
  // @ts-expect-error: a handler of other data does not fit.
  fits<FreshHandler<Data, State>>()<Handler<{ text: number }, State>>();
});
