/**
 * Pages in a real browser, for tests: a server over a store in a folder of its own, and Chromium.
 * @module
 */
import assert from "node:assert/strict";
import fs from "node:fs";
import axe from "axe-core";
import { Cause, Effect, Exit, Scope } from "effect";
import type { Browser, BrowserType, Page } from "playwright-core";
import { makeSqliteStore, type SqliteStore } from "../plugins/sqlite/mod.ts";
import {
  makeDashboard,
  makeServices,
  serve,
  type ServiceOptions,
  type Services,
} from "./mod.ts";

/** Where Chromium is, if it is anywhere and may be started. */
export function findChromium(): string | undefined {
  if (Deno.permissions.querySync({ name: "run" }).state !== "granted") {
    return undefined;
  }
  const found = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
  ];
  return found.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}

/** Playwright looks into /proc as it loads, which Deno refuses to anything but all permissions. */
async function loadChromium(): Promise<BrowserType> {
  const { existsSync } = fs;
  fs.existsSync = (path) => {
    try {
      return existsSync(path);
    } catch {
      return false;
    }
  };
  return (await import("playwright-core")).chromium;
}

/** Starts Chromium. */
export async function launchChromium(executablePath: string): Promise<Browser> {
  return await (await loadChromium()).launch({
    executablePath,
    // The super-user of a container has no other sandbox.
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
}

/** How a page is looked at. */
export interface Look {
  /** Dark in place of light. */
  readonly dark?: boolean;
  /** Width in pixels; default 1280. */
  readonly width?: number;
  /** Height in pixels; default 800. */
  readonly height?: number;
  /** Without scripts. */
  readonly scriptless?: boolean;
  /** What its console may complain about all the same. */
  readonly tolerates?: RegExp;
}

/** A dashboard at work. */
export interface Site {
  /** Its address, without the last slash. */
  readonly base: string;
  /** File of its store. */
  readonly file: string;
  /** Its services. */
  readonly services: Services;
  /** Ends the server at once, as if it had been killed; what it returns starts another one there. */
  readonly kill: () => Promise<() => Promise<Services>>;
  /** Opens a page; what its console complains about fails the test. */
  readonly open: (path: string, look?: Look) => Promise<Page>;
}

/** How a site is set up. */
export interface SiteOptions extends Partial<ServiceOptions> {
  /** Fills the store before anything is served. */
  readonly fill?: (
    store: SqliteStore,
    file: string,
  ) => Effect.Effect<void, unknown>;
}

/** A server over a store in a folder of its own. */
export function makeSite(
  options: SiteOptions = {},
): Effect.Effect<Omit<Site, "open">, unknown, Scope.Scope> {
  return Effect.gen(function* () {
    const folder = yield* Effect.acquireRelease(
      Effect.promise(() => Deno.makeTempDir({ prefix: "tessera-dashboard-" })),
      (path) => Effect.promise(() => Deno.remove(path, { recursive: true })),
    );
    const file = `${folder}/runs.sqlite`;
    const store = yield* makeSqliteStore({ filename: file });
    if (options.fill !== undefined) yield* options.fill(store, file);
    const scope = yield* Effect.scope;
    let services: Services | undefined;
    /** Conversations outlive the socket: who is killed ends none of them in good order. */
    const start = Effect.fnUntraced(function* (port: number) {
      const socket = yield* Scope.fork(scope);
      const serving = yield* serve({
        host: "127.0.0.1",
        port,
        make: (port) =>
          Effect.map(
            makeServices({ store, access: { port }, ...options }),
            (made) =>
              makeDashboard(services = made, {
                onError: (error) => console.error(error),
              }),
          ).pipe(Effect.provideService(Scope.Scope, scope)),
      }).pipe(Effect.provideService(Scope.Scope, socket));
      return { port: serving.port, socket };
    });
    let { port, socket } = yield* start(0);
    return {
      base: `http://127.0.0.1:${port}`,
      file,
      services: services!,
      kill: async () => {
        await Effect.runPromise(Scope.close(socket, Exit.void));
        return async () => {
          ({ port, socket } = await Effect.runPromise(start(port)));
          return services!;
        };
      },
    };
  });
}

// To start Chromium takes longer than most of what is done in it.
let chromium: Promise<Browser> | undefined;
let closes = false;

/** The Chromium of a file's tests; their pages are gone when the scope ends. */
const sharedChromium = (executablePath: string) =>
  Effect.acquireRelease(
    Effect.promise(() => chromium ??= launchChromium(executablePath)),
    (browser) =>
      Effect.promise(() =>
        Promise.all(browser.contexts().map((context) => context.close()))
      ),
  );

/** A test in the browser; ignored, visibly, where there is none. */
export function browserTest(
  name: string,
  options: SiteOptions,
  body: (site: Site) => Promise<void>,
): void {
  const executablePath = findChromium();
  if (!closes) {
    closes = true;
    Deno.test.afterAll(async () => await (await chromium)?.close());
  }
  Deno.test({
    name: `browser: ${name}`,
    ignore: executablePath === undefined,
    fn: async () => {
      const program = Effect.gen(function* () {
        const site = yield* makeSite(options);
        const browser = yield* sharedChromium(executablePath!);
        const complaints: string[] = [];
        yield* Effect.tryPromise({
          try: () =>
            body({
              ...site,
              open: (path, look) =>
                openPage(browser, `${site.base}${path}`, look, complaints),
            }),
          catch: (error) => error,
        });
        assert.equal(complaints.length, 0, complaints.join("\n"));
      });
      const exit = await Effect.runPromiseExit(Effect.scoped(program));
      if (Exit.isFailure(exit)) throw Cause.squash(exit.cause);
    },
  });
}

const windowOf = ({ dark = false, width = 1280, height = 800 }: Look) => ({
  viewport: { width, height },
  colorScheme: dark ? "dark" as const : "light" as const,
});

/** Looks at an open page in another way, and lets it follow; whether scripts run stays as it was. */
export async function changeLook(
  page: Page,
  look: Pick<Look, "dark" | "width" | "height">,
): Promise<void> {
  const { viewport, colorScheme } = windowOf(look);
  await page.emulateMedia({ colorScheme });
  await page.setViewportSize(viewport);
  // What watches its own size is told in the frame, and paints in the one after it.
  await page.evaluate(() =>
    new Promise((resolve) =>
      requestAnimationFrame(() => requestAnimationFrame(resolve))
    )
  );
}

async function openPage(
  browser: Browser,
  address: string,
  look: Look = {},
  complaints: string[],
): Promise<Page> {
  const context = await browser.newContext({
    ...windowOf(look),
    javaScriptEnabled: !look.scriptless,
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    const text = message.text();
    if (message.type() !== "error" || look.tolerates?.test(text)) return;
    complaints.push(text);
  });
  await page.goto(address);
  return page;
}

/**
 * Fails with the violations that axe-core finds in a page, WCAG 2.2 AA among its rules; of all rules, or of
 * some.
 */
export async function checkAccessible(
  page: Page,
  rules?: readonly string[],
): Promise<void> {
  // Playwright's evaluate is not bound by the page's content security policy.
  if (await page.evaluate(() => !("axe" in globalThis))) {
    await page.evaluate(axe.source);
  }
  const violations = await page.evaluate(async (rules) => {
    const { axe } = globalThis as unknown as {
      readonly axe: {
        run(options: object): Promise<{
          readonly violations: readonly {
            readonly id: string;
            readonly help: string;
            readonly nodes: readonly { readonly html: string }[];
          }[];
        }>;
      };
    };
    const result = await axe.run({
      resultTypes: ["violations"],
      ...(rules === undefined ? {} : { runOnly: rules }),
    });
    return result.violations.map(({ id, help, nodes }) =>
      `${id}: ${help}: ${
        nodes.slice(0, 3).map(({ html }) => html.slice(0, 200)).join(" | ")
      }`
    );
  }, rules);
  assert.deepEqual(violations, [], `${page.url()} has violations`);
}

/** Whether a page is wider than its window, which makes people scroll sideways. */
export async function checkNoOverflow(page: Page): Promise<void> {
  const [content, room] = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return [scrollWidth, clientWidth] as const;
  });
  assert.ok(content <= room, `${page.url()} is ${content} wide in ${room}`);
}
