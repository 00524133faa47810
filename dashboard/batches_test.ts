import assert from "node:assert/strict";
import { Effect } from "effect";
import { recordBatch } from "../plugins/sqlite/batches/test_kit.ts";
import { browserTest, makeSite, type SiteOptions } from "./browser_kit.ts";

const fill: SiteOptions["fill"] = (store) =>
  Effect.gen(function* () {
    yield* recordBatch(store, "a", 70, {
      question: (i) => i === 5 ? "=HYPERLINK(1)" : `What is ${i}?`,
      answer: (i) => i === 3 ? `<img src=x onerror=alert(1)>` : "A red circle.",
    });
    yield* recordBatch(store, "b", 70, {
      question: (i) => i === 5 ? "=HYPERLINK(1)" : `What is ${i}?`,
      answer: (i) => i % 2 === 0 ? "A blue circle." : "A red circle.",
    });
    yield* recordBatch(store, "open", 3, { total: 5, at: Date.now() });
  });

Deno.test("batches: pages, downloads and deletion without a browser", async () => {
  await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
    const { base } = yield* makeSite({ fill });
    yield* Effect.promise(async () => {
      const get = async (path: string) => {
        const response = await fetch(`${base}${path}`);
        return { status: response.status, text: await response.text() };
      };
      const batch = await get("/batches/a");
      assert.match(batch.text, /rel="next"/);
      assert.ok(!batch.text.includes("<img src=x"));
      assert.match(batch.text, /&lt;img src=x/);
      const filtered = await get("/batches/a?state=failed");
      assert.equal(filtered.text.match(/class="panel card"/g)?.length, 10);
      for (const path of ["/batches/none", "/batches/compare?a=a&b=none"]) {
        assert.equal((await get(path)).status, 404, path);
      }
      assert.equal((await get("/batches/none/export")).status, 404);

      const csv = (await get("/batches/a/export?format=csv")).text;
      const rows = csv.trimEnd().split("\r\n");
      assert.equal(rows.length, 71);
      assert.match(rows[6]!, /,'=HYPERLINK\(1\),/);
      const jsonl = (await get("/batches/a/export?format=jsonl&text=circle"))
        .text.trimEnd().split("\n").map((line) => JSON.parse(line));
      assert.equal(jsonl.length, 59); // 70 without ten failures and the odd answer
      assert.equal(jsonl[4].question, "=HYPERLINK(1)");

      // A deletion needs the page's token.
      const refused = await fetch(`${base}/batches/a/delete`, {
        method: "POST",
      });
      assert.equal(refused.status, 403);
      await refused.body?.cancel();
      const page = await fetch(`${base}/batches/a`);
      const csrf = /name="csrf" content="([^"]+)"/.exec(await page.text())![1]!;
      const gone = await fetch(`${base}/batches/a/delete`, {
        method: "POST",
        headers: {
          cookie: page.headers.get("set-cookie")!.split(";")[0]!,
          "x-csrf-token": csrf,
        },
        redirect: "manual",
      });
      assert.equal(gone.status, 303);
      await gone.body?.cancel();
      assert.equal((await get("/batches/a")).status, 404);
      assert.equal((await get("/runs/a-1")).status, 404);
    });
  })));
});

browserTest("batches", { fill }, async ({ open, services }) => {
  const list = await open("/batches");
  await list.waitForSelector("[data-hydrated=true]");
  assert.equal(await list.locator("tbody tr").count(), 3);
  await list.close();

  // A batch at work fills while one looks at it.
  const page = await open("/batches/open");
  await page.getByText("3 / 5").waitFor();
  await services.run(
    recordBatch(services.store, "open", 5, { at: Date.now(), from: 3 }),
  );
  await page.getByText("5 / 5").waitFor();
  assert.equal(await page.locator(".card").count(), 5);

  const grid = await open("/batches/a");
  await grid.waitForSelector("[data-hydrated=true]");
  await grid.getByLabel("State").selectOption("failed");
  await grid.getByRole("button", { name: "Show" }).click();
  await grid.waitForURL(/state=failed/);
  assert.equal(await grid.locator(".card").count(), 10);
  await grid.getByRole("button", { name: "Compare" }).click();
  await grid.waitForURL(/compare/);
  assert.deepEqual(
    await grid.locator("tbody tr").nth(0).locator("del, ins").allTextContents(),
    ["red", "blue"],
  );

  const plain = await open("/batches/compare?a=a&b=b&only=different", {
    scriptless: true,
  });
  assert.equal(await plain.locator("tbody tr").count(), 31);
});
