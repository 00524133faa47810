import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { Effect } from "effect";
import { InternVL } from "../sdk/mod.ts";
import { makeSqliteStore } from "../plugins/sqlite/mod.ts";
import { browserTest, makeSite } from "./browser_kit.ts";

const picture = "examples/images/shapes.png";

Deno.test("pipelines: a form makes a run; no path comes from it; what is wrong is said beside what was typed", async () => {
  await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
    const store = yield* makeSqliteStore({ filename: ":memory:" });
    const model = yield* Effect.acquireRelease(
      Effect.promise(() => InternVL.load("models/nano", { store })),
      (model) => Effect.promise(async () => await model[Symbol.asyncDispose]()),
    );
    const { base, services } = yield* makeSite({
      store,
      load: () => Promise.resolve(model),
    });
    yield* Effect.promise(async () => {
      const page = await fetch(`${base}/pipelines/chat`);
      const html = await page.text();
      const csrf = /name="csrf" content="([^"]+)"/.exec(html)![1]!;
      const cookie = page.headers.get("set-cookie")!.split(";")[0]!;
      assert.match(html, /name="input\.settings\.maxNewTokens"/);
      assert.match(html, /name="param\.tile\.maxTiles"/);
      const post = async (
        name: string,
        fields: readonly (readonly [string, string | Blob])[],
      ) => {
        const form = new FormData();
        for (const [field, value] of fields) form.append(field, value);
        const response = await fetch(
          `${base}/pipelines/${name}?csrf=${encodeURIComponent(csrf)}`,
          {
            method: "POST",
            body: form,
            headers: { cookie },
            redirect: "manual",
          },
        );
        return {
          status: response.status,
          to: response.headers.get("location"),
          text: await response.text(),
        };
      };
      const settled = async (runId: string) => {
        for (;;) {
          const run = await services.run(store.get(runId));
          if (run !== undefined && run.status !== "running") return run;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      };
      const files = new Blob([new Uint8Array(await readFile(picture))]);
      const asked = await post("chat", [
        ["input.question", "What is in the picture?"],
        ["input.images", files],
        ["input.settings.maxNewTokens", "20"],
        ["param.tile.maxTiles", "1"],
      ]);
      assert.equal(asked.status, 303, asked.text);
      const run = await settled(asked.to!.slice("/runs/".length));
      assert.equal(run.status, "succeeded");
      assert.match(JSON.stringify(run.outputs), /red circle/);
      const { nodes } = run.document as {
        nodes: { id: string; params?: unknown }[];
      };
      assert.deepEqual(nodes.find(({ id }) => id === "tile")?.params, {
        maxTiles: 1,
      });

      const batch = await post("batch-chat", [
        ["input.samples.question", "What is it?\n\nHow many shapes are there?"],
        ["input.samples.images", files],
        ["input.settings.maxNewTokens", "8"],
      ]);
      assert.equal(batch.status, 303, batch.text);
      const batchId = batch.to!.slice("/runs/".length);
      assert.equal((await settled(batchId)).status, "succeeded");
      // The nodes inside are drawn with their states, and can be looked into.
      const inside = await (await fetch(
        `${base}/runs/${batchId}?node=${encodeURIComponent("answer/decode")}`,
      )).text();
      assert.match(inside, /aria-label="Graph of batch-chat: [^"]*decode done/);
      assert.match(inside, /data-node="answer\[0\]\/decode"/);
      const { items } = await services.run(store.batches.items(batchId));
      assert.deepEqual(items.map(({ question }) => question), [
        "What is it?",
        "How many shapes are there?",
      ]);

      // A path typed in where a file belongs is no file, and where JSON belongs is no path.
      const path = await post("chat", [
        ["input.question", "Look"],
        ["input.images", "/etc/passwd"],
      ]);
      const looked = await settled(path.to!.slice("/runs/".length));
      assert.deepEqual(looked.inputs.images, []);
      const text = await post("chat", [
        ["input.question", "Look"],
        ["input.images", new File(["root:x:0:0"], "passwd.png")],
      ]);
      assert.equal(text.status, 400);
      assert.match(text.text, /passwd\.png: the file is text, not a picture/);
      assert.match(text.text, />Look</);
      for (
        const [field, value, words] of [
          ["input.settings.maxNewTokens", "many", /is no whole number/],
          ["input.history", "[1", /this is no JSON/],
          ["input.history", '[["a"]]', /history/],
          ["param.tile.maxTiles", "99", /maxTiles/],
        ] as const
      ) {
        const refused = await post("chat", [["input.question", "Hi"], [
          field,
          value,
        ]]);
        assert.equal(refused.status, 400, field);
        assert.match(refused.text, words);
      }
      assert.equal((await post("none", [])).status, 404);
      assert.equal((await post("__proto__", [])).status, 404);
    });
  })));
});

browserTest("pipelines", {}, async ({ open }) => {
  const page = await open("/pipelines");
  assert.ok(await page.locator(".kind").count() > 12);
  await page.getByRole("link", { name: "batch-chat", exact: true }).click();
  await page.waitForURL(/batch-chat/);
  assert.equal(
    await page.locator(".graph .box.group", { hasText: "answer" }).count(),
    1,
  );
  assert.equal(
    await page.locator(".graph .box", { hasText: "vision-encode" }).count(),
    2, // of pictures, and of frames
  );
  const plain = await open("/pipelines/chat", { scriptless: true });
  assert.ok(await plain.getByRole("button", { name: "Run" }).isVisible());
});
