import assert from "node:assert/strict";
import { Effect, Exit, Scope } from "effect";
import { eventsOf } from "../pipeline/store_contract.ts";
import { openSqlite } from "../plugins/sqlite/client.ts";
import { makeSignals } from "../plugins/sqlite/signals.ts";
import { browserTest, makeSite } from "./browser_kit.ts";
import { afterSeen, emptyView } from "./run_view.ts";

const minutes = 60_000;

browserTest(
  "a long computation of a living process is not lost, whatever time the browser thinks it is",
  {
    fill: (store) => {
      // Two that said their last word long ago; the process of one of them is alive.
      for (const id of ["alive", "lost"]) {
        store.record(
          eventsOf(id, Date.now() - 10 * minutes, { unfinished: true })[0]!,
        );
      }
      return Effect.all([store.flush("alive"), store.flush("lost")]);
    },
  },
  async ({ open, base, file, services: { store } }) => {
    const page = await open("/");
    await page.waitForSelector("[data-hydrated=true]");
    await page.waitForSelector("tr[data-run=alive] .state.lost");
    const own = await open("/runs/alive");
    await own.waitForSelector(".run-facts .state.lost");
    const scope = Effect.runSync(Scope.make());
    try {
      const sql = await Effect.runPromise(
        Scope.provide(openSqlite({ filename: file }), scope),
      );
      const process = await Effect.runPromise(
        Scope.provide(makeSignals(sql, 200), scope),
      );
      process.onCancel("alive", () => {});
      // Pages that are open hear it.
      await page.waitForSelector("tr[data-run=alive] .state.running");
      await own.waitForSelector(".run-facts .state.running");
      await page.waitForSelector("tr[data-run=lost] .state.lost");
      // A clock that is wrong by an hour.
      await page.addInitScript(() => {
        const right = Date.now;
        Date.now = () => right() + 3_600_000;
      });
      for (const path of ["/runs/alive", "/"]) {
        await page.goto(`${base}${path}`);
        await page.waitForSelector("[data-hydrated]");
        // The clock of a page ticks twice a second and more.
        await page.waitForTimeout(700);
        assert.equal(await page.locator(".state.running").count(), 1, path);
        assert.match(await page.locator("main").innerText(), /(?<!h )1\d min/);
      }
      await page.waitForSelector("tr[data-run=lost] .state.lost");
      // How it ends from outside is seen as well.
      await Effect.runPromise(store.removeAll(["alive"]));
      await own.waitForSelector("text=This run has been deleted");
    } finally {
      await Effect.runPromise(Scope.close(scope, Exit.void));
    }
  },
);

browserTest(
  "pages say that they hear nothing, and go on by themselves, also after a proxy's error",
  {
    fill: (store) => {
      store.record(eventsOf("going", Date.now(), { unfinished: true })[0]!);
      return store.flush("going");
    },
  },
  async ({ open, kill }) => {
    const tolerates = /net::ERR_|status of 50[23]/;
    const pages = [];
    for (
      const path of ["/", "/runs/going", "/batches", "/latency"]
    ) {
      const page = await open(path, { tolerates });
      await page.waitForSelector("[data-hydrated=true]");
      pages.push(page);
    }
    const restart = await kill();
    const said = "text=The connection is lost";
    for (const page of pages) await page.waitForSelector(said);
    // What answers before the server itself is there ends an event stream for good, for the browser.
    for (const page of pages) {
      await page.route(
        /\/live/,
        (route) => route.fulfill({ status: 502, body: "Bad gateway" }),
      );
      await page.waitForResponse(/\/live/);
    }
    const { store } = await restart();
    for (const page of pages) await page.unroute(/\/live/);
    for (const page of pages) {
      await page.locator(said).waitFor({ state: "detached" });
    }
    for (const event of eventsOf("later", Date.now())) store.record(event);
    await pages[0]!.waitForSelector("tr[data-run=later]");
  },
);

Deno.test("a run's stream says how the run stands, beside its events", () =>
  Effect.runPromise(Effect.scoped(Effect.gen(function* () {
    const { base, services } = yield* makeSite({
      fill: (store) => {
        store.record(eventsOf("r", 5, { unfinished: true })[0]!);
        return store.flush("r");
      },
    });
    const seen = yield* Effect.promise(async () => {
      const stop = new AbortController();
      const { body } = await fetch(`${base}/runs/r/live?seen=0`, {
        signal: stop.signal,
      });
      let text = "";
      for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        const match = /event: seen\ndata: (.*)\n\n/.exec(text);
        if (match !== null) return JSON.parse(match[1]!);
      }
    });
    assert.deepEqual(seen, { status: "running", updatedAt: 5 });
    // Ended by somebody else, since nobody has heard of it for long.
    assert.ok(yield* services.store.cancel("r"));
    const ended = yield* services.store.summary("r");
    const view = afterSeen(emptyView(5), ended!);
    assert.equal(view.status, "interrupted");
    assert.equal(view.error?.message, "its process ended without a word");
  }))));
