import assert from "node:assert/strict";
import { Effect } from "effect";
import { makeSqliteStore } from "../plugins/sqlite/mod.ts";
import { eventsOf } from "../pipeline/store_contract.ts";
import { InternVL } from "../sdk/mod.ts";
import { runAgain } from "./jobs.ts";
import { makeDashboard, makeServices } from "./mod.ts";

Deno.test("a run is repeated from its recorded inputs, and says whose repetition it is; what cannot be is said", async () => {
  await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
    const store = yield* makeSqliteStore({ filename: ":memory:" });
    const model = yield* Effect.acquireRelease(
      Effect.promise(() => InternVL.load("models/nano", { store })),
      (model) => Effect.promise(async () => await model[Symbol.asyncDispose]()),
    );
    const access = { port: 80 };
    const services = yield* makeServices({
      store,
      access,
      load: () => Promise.resolve(model),
    });
    const showing = yield* makeServices({ store, access });
    const host = makeDashboard(services);
    yield* Effect.promise(async () => {
      const first = await model.chat({
        question: "What is in the picture?",
        images: ["examples/images/shapes.png"],
        generation: { maxNewTokens: 6 },
        attributes: {
          kept: "yes",
          batch: { id: "b", name: "b", index: 0, item: "0" },
        },
      });
      for (const event of eventsOf("bare", 1000, {})) store.record(event);
      await services.run(store.flush("bare"));
      const page = await host(new Request("http://localhost/"));
      const cookie = page.headers.get("set-cookie")!.split(";")[0]!;
      const csrf = /name="csrf" content="([^"]+)"/.exec(await page.text())![1]!;
      const again = async (...ids: string[]) => {
        const body = new URLSearchParams({ action: "rerun", csrf });
        for (const id of ids) body.append("run", id);
        const response = await host(
          new Request("http://localhost/runs/actions", {
            method: "POST",
            headers: { cookie },
            body,
          }),
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
      const done = await again(first.runId);
      assert.equal(done.status, 303);
      const second = decodeURIComponent(
        /^\/runs\/([^/]+)$/.exec(done.to ?? "")![1]!,
      );
      assert.notEqual(second, first.runId);
      const one = await settled(first.runId);
      const two = await settled(second);
      assert.equal(two.status, "succeeded");
      assert.deepEqual(two.inputs, one.inputs);
      const text = (outputs: unknown) =>
        (outputs as { completion: { text: string } }).completion.text;
      assert.equal(text(two.outputs), text(one.outputs));
      assert.equal(two.attributes.again, first.runId);
      assert.equal(two.attributes.kept, "yes");
      // A repetition is no question of the batch.
      assert.equal(two.attributes.batch, undefined);
      // Pixels are repeated as pixels, and beside a video as well.
      const side = 32;
      const data = new Uint8Array(side * side * 3).fill(200);
      const both = await model.chat({
        question: "Is it the same?",
        video: { source: "examples/videos/moving.mp4", segments: 2 },
        images: [{ width: side, height: side, data }],
        generation: { maxNewTokens: 6 },
      });
      const redone = await settled(
        decodeURIComponent((await again(both.runId)).to!.split("/").at(-1)!),
      );
      assert.equal(redone.status, "succeeded", JSON.stringify(redone.error));
      assert.equal(text(redone.outputs), both.response);
      // Of a repetition, too, and of several at once.
      assert.equal((await again(second, first.runId)).to, "/");

      const never = await again(first.runId, "never");
      assert.deepEqual([never.status, never.to], [409, null]);
      assert.match(never.text, /^1 of 2 begun\. there is no such run/);
      assert.match(
        (await again("bare")).text,
        /the inputs of this run were not kept/,
      );
      await assert.rejects(runAgain(showing, first.runId), {
        message: "this dashboard has no model",
      });
    });
  })));
});
