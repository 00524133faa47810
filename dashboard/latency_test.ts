import assert from "node:assert/strict";
import { Effect } from "effect";
import { answered } from "../plugins/sqlite/metrics/test_kit.ts";
import type { LatencyReport } from "../plugins/sqlite/mod.ts";
import { browserTest, makeSite, type SiteOptions } from "./browser_kit.ts";

const fill: SiteOptions["fill"] = (store) =>
  Effect.gen(function* () {
    for (let i = 0; i < 40; i++) {
      const run = {
        at: Date.now() - i * 60_000,
        model: i % 2 === 0 ? "nano" : "large",
        loadCached: i % 3 === 0,
      };
      for (const event of answered(`r${i}`, run)) store.record(event);
    }
    yield* store.flush("r0");
  });

Deno.test("latency: the page has its figures in it, its data is JSON, odd addresses do no harm", async () => {
  await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
    const { base } = yield* makeSite({ fill });
    yield* Effect.promise(async () => {
      const page = await (await fetch(`${base}/latency?model=nano`)).text();
      assert.match(page, /<dd class="figure">20<\/dd>/);
      assert.match(page, /stage=decode/);
      const data = await (await fetch(
        `${base}/latency/data?window=day&model=large`,
      )).json() as LatencyReport;
      assert.deepEqual([data.window, data.runs.n], ["day", 20]);
      const odd = await fetch(
        `${base}/latency?window=__proto__&model=${
          encodeURIComponent("<script>alert(1)</script>")
        }&stage=%00`,
      );
      assert.equal(odd.status, 200);
      assert.ok(!(await odd.text()).includes("<script>alert"));
    });
  })));
});

browserTest("latency", { fill }, async ({ open, services }) => {
  const page = await open("/latency");
  await page.waitForSelector("[data-hydrated=true] canvas");
  await page.getByRole("link", { name: "prefill" }).click();
  await page.getByText("Stage prefill").waitFor();
  assert.match(page.url(), /stage=prefill/);

  // What happens meanwhile appears.
  for (const event of answered("new", { at: Date.now() })) {
    services.store.record(event);
  }
  await services.run(services.store.flush("new"));
  await page.locator(".figure", { hasText: /^41$/ }).waitFor();

  const plain = await open("/latency?window=day", { scriptless: true });
  await plain.locator(".figure", { hasText: /^41$/ }).waitFor();
});
