import assert from "node:assert/strict";
import { Effect, Exit } from "effect";
import { run, RunStore } from "../pipeline/mod.ts";
import { recordBatch } from "../plugins/sqlite/batches/test_kit.ts";
import {
  browserTest,
  changeLook,
  checkAccessible,
  checkNoOverflow,
  type SiteOptions,
} from "./browser_kit.ts";
import { madeUp, talkative } from "./runs_kit.ts";

const long = "Which of them is the largest, and by how much? ".repeat(15);
const word = "unbreakable".repeat(20);

const fill: SiteOptions["fill"] = (store) =>
  Effect.gen(function* () {
    const now = Date.now();
    for (let i = 90; i < 98; i++) {
      for (const event of madeUp(i, now - (98 - i) * 60_000)) {
        store.record(event);
      }
    }
    yield* recordBatch(store, "a", 8, {
      at: now,
      question: (i) => i === 2 ? long : i === 3 ? word : `What is ${i}?`,
    });
    yield* recordBatch(store, "b", 8, {
      at: now,
      answer: (i) => i % 2 === 0 ? "A blue circle." : word,
    });
    yield* recordBatch(store, "open", 3, { total: 5, at: now });
  });

const paths = [
  "/",
  "/?q=no+such+text",
  "/runs/made-00000096?node=decode",
  "/runs/made-00000097",
  "/runs/going?node=talk",
  "/runs/a-3",
  "/compare?run=made-00000096&run=made-00000097&run=a-3",
  "/latency",
  "/latency?window=day&stage=decode",
  "/batches",
  "/batches/a",
  "/batches/open",
  "/batches/compare?a=a&b=b",
  "/chat",
  "/pipelines",
  "/pipelines/chat",
  "/pipelines/batch-chat",
  "/sign-in",
];

browserTest(
  "every page: accessible in light, in dark and at 360 pixels, and never wider than its window",
  { fill },
  async ({ open, base, services }) => {
    const { chat, say } = talkative();
    const going = services.run(Effect.exit(Effect.provideService(
      run(chat, { question: long }, { runId: "going" }),
      RunStore,
      services.store,
    )));
    say(`one two ${word}`);
    const page = await open("/");
    for (const path of paths) {
      await page.goto(`${base}${path}`);
      for (
        const [look, rules] of [
          [{}, undefined],
          // Colours are what differs.
          [{ dark: true }, ["color-contrast"]],
          [{ width: 360 }, undefined],
        ] as const
      ) {
        await changeLook(page, look);
        await checkNoOverflow(page);
        await checkAccessible(page, rules);
      }
    }
    // A bar is there to be seen, however narrow the window is.
    await changeLook(page, { width: 320 });
    await page.goto(`${base}/runs/going`);
    const bar = await page.locator(".timeline .bar").first().boundingBox();
    assert.ok(bar!.width > 160, `a bar of the timeline has ${bar!.width}`);
    say("");
    assert.ok(Exit.isSuccess(await going));
  },
);
