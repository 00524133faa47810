import assert from "node:assert/strict";
import { Effect, Exit } from "effect";
import { run, RunStore } from "../pipeline/mod.ts";
import { eventsOf } from "../pipeline/store_contract.ts";
import { browserTest } from "./browser_kit.ts";
import { fillTable, madeUp, talkative } from "./runs_kit.ts";

browserTest(
  "runs: 100,000 of them, filtered, ordered, paged, compared, deleted, exported",
  {
    fill: (store, file) =>
      Effect.gen(function* () {
        const since = Date.now() - 100_000 * 10_000;
        for (let i = 0; i < 1000; i++) {
          for (const event of madeUp(i, since + i * 10_000)) {
            store.record(event);
          }
        }
        yield* store.flush("made-00000999");
        fillTable(file, 100_000, since);
      }),
  },
  async ({ open, base, services }) => {
    const page = await open("/");
    await page.waitForSelector("[data-hydrated=true]");
    const rows = page.locator("tbody tr");
    const ids = () =>
      rows.evaluateAll((all) => all.map((row) => row.getAttribute("data-run")));
    assert.equal(await rows.count(), 50);
    assert.equal((await ids())[0], "made-00099999");
    assert.match(await page.textContent(".segments") ?? "", /All 100,000/);
    await page.click("text=Next 50");
    assert.equal((await ids())[0], "made-00099949");
    await page.click("text=First page");
    await page.click("th >> text=Time");
    const times = await rows.locator("td:nth-child(10)").allTextContents();
    assert.deepEqual(times.slice(0, 2), ["2.80 s", "2.80 s"]);
    await page.fill("input[name=q]", "photos/31234.jpg");
    await page.click("button:text-is('Filter')");
    assert.deepEqual(await ids(), ["made-00031234"]);
    await page.goto(`${base}/?state=failed`);
    assert.ok(
      (await ids()).every((id) => Number(id!.slice(5)) % 1000 % 97 === 0),
    );

    // What can be done with several.
    await page.waitForSelector("[data-hydrated=true]");
    const [one, two] = await ids();
    await page.check(`input[value="${one}"]`);
    assert.ok(await page.isDisabled("button:text-is('Compare')"));
    await page.check(`input[value="${two}"]`);
    await page.click("button:text-is('Compare')");
    assert.match(await page.textContent("h1") ?? "", /Compare 2 runs/);
    assert.ok(await page.locator("tr.differs").count() > 0);
    await page.goBack();
    const exported = await services.run(
      Effect.promise(() =>
        page.evaluate(
          async (id) => await (await fetch(`/export?run=${id}`)).json(),
          one,
        )
      ),
    ) as { readonly runs: readonly { readonly run_id: string }[] };
    assert.deepEqual(exported.runs.map(({ run_id }) => run_id), [one]);
    await page.waitForSelector("[data-hydrated=true]");
    await page.check(`input[value="${one}"]`);
    page.once("dialog", (dialog) => dialog.accept());
    await page.click("button:text-is('Delete')");
    await page.waitForURL(`${base}/`);
    assert.equal(await services.run(services.store.get(one!)), undefined);
    assert.match(await page.textContent(".segments") ?? "", /All 99,999/);

    const plain = await open("/?q=photos/31235.jpg", { scriptless: true });
    assert.equal(await plain.locator("tbody tr").count(), 1);
  },
);

browserTest(
  "a run appears, its answer streams, and it is cancelled",
  {},
  async ({ open, base, services }) => {
    const { chat, say } = talkative();
    const start = (runId: string) =>
      services.run(Effect.exit(Effect.provideService(
        run(chat, { question: "say <b>it</b>" }, { runId }),
        RunStore,
        services.store,
      )));
    const list = await open("/");
    await list.waitForSelector("[data-hydrated=true]");
    const first = start("first");
    await list.waitForSelector("tr[data-run=first] .state.running");
    const page = await open("/runs/first?node=talk");
    await page.waitForSelector("[data-hydrated=true]");
    assert.equal(await page.textContent("h1"), "say <b>it</b>");
    await page.waitForSelector(".graph .box.running");
    say("one ");
    await page.waitForSelector(".answer:has-text('one')");
    say("<img src=x onerror=alert(1)> two");
    await page.waitForSelector(".answer:has-text('onerror=alert(1)> two')");
    assert.equal(await page.locator(".answer img").count(), 0);
    // Who comes later, or without scripts, sees what has been said.
    const late = await open("/runs/first", { scriptless: true });
    assert.match(await late.textContent(".answer") ?? "", /one .* two/);
    say("");
    await page.waitForSelector("[data-status=succeeded]");
    await list.waitForSelector("tr[data-run=first] .state.succeeded");
    assert.ok(Exit.isSuccess(await first));
    const plain = await open("/runs/first?node=upper", { scriptless: true });
    assert.match(
      await plain.textContent("[data-node=upper]") ?? "",
      /SAY <B>IT<\/B>/,
    );

    const second = start("second");
    await list.click("tr[data-run=second] a");
    await list.waitForSelector("[data-hydrated=true]");
    await list.click("button:text-is('Cancel')");
    await list.waitForSelector("[data-status=interrupted]");
    assert.ok(Exit.isFailure(await second));
    // However fast they come, none is lost on the way into the table.
    await list.goto(base);
    await list.waitForSelector("[data-hydrated=true]");
    for (let i = 0; i < 40; i++) {
      services.store.record(
        eventsOf(`more-${i}`, Date.now(), { unfinished: true })[0]!,
      );
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    await list.waitForFunction(() =>
      document.querySelectorAll("tr[data-run^=more-]").length === 40
    );
    const missing = await open("/runs/first");
    await missing.waitForSelector("[data-hydrated=true]");
    // Nothing goes at one click: who says no still has it.
    const asked: string[] = [];
    missing.on("dialog", (dialog) => {
      asked.push(dialog.message());
      return asked.length === 1 ? dialog.dismiss() : dialog.accept();
    });
    await missing.click("button:text-is('Delete')");
    assert.ok(await services.run(services.store.get("first")));
    await missing.click("button:text-is('Delete')");
    await missing.waitForURL(`${base}/`);
    assert.deepEqual(asked, Array(2).fill("Delete this run for good?"));
    assert.equal(await services.run(services.store.get("first")), undefined);
  },
);

browserTest(
  "a run in another process is seen as it goes",
  {
    fill: (store) => {
      store.record(eventsOf("theirs", Date.now(), { unfinished: true })[0]!);
      return store.flush("theirs");
    },
  },
  async ({ open, file }) => {
    const { makeSqliteStore } = await import("../plugins/sqlite/mod.ts");
    const page = await open("/runs/theirs");
    await page.waitForSelector("[data-hydrated=true]");
    await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
      const other = yield* makeSqliteStore({ filename: file });
      other.record({
        _tag: "NodeProgress",
        runId: "theirs",
        seq: 1,
        at: Date.now(),
        node: "talk",
        port: "text",
        delta: "from afar",
      });
      yield* other.flush("theirs");
    })));
    await page.waitForSelector(".answer:has-text('from afar')");
  },
);

browserTest(
  "a table without runs fills while it is looked at; times are those of the browser on every page, texts run as their script does",
  {},
  async ({ open, base, services: { store } }) => {
    const whole = await open("/");
    const found = await open("/?q=wanted");
    const none = "text=No run has been recorded yet";
    for (const page of [whole, found]) {
      await page.waitForSelector("[data-hydrated=true]");
      await page.waitForSelector(none);
    }
    const at = Date.UTC(2026, 0, 2, 19, 30);
    const text = "\u05e9\u05dc\u05d5\u05dd.";
    for (const event of eventsOf("wanted", at, { text })) store.record(event);
    for (const page of [whole, found]) {
      await page.waitForSelector("tr[data-run=wanted]");
      assert.equal(await page.locator(none).count(), 0);
    }
    const abroad = await (await whole.context().browser()!.newContext({
      timezoneId: "Asia/Kolkata",
    })).newPage();
    for (const path of ["/", "/runs/wanted"]) {
      await abroad.goto(`${base}${path}`);
      await abroad.locator("time", { hasText: "2026-01-03 01:00:00" })
        .waitFor();
    }
    // So are days that are asked for.
    await abroad.goto(base);
    await abroad.waitForSelector("[data-hydrated=true]");
    for (const name of ["From", "To"]) {
      await abroad.getByLabel(name, { exact: true }).fill("2026-01-03");
    }
    await abroad.getByRole("button", { name: "Filter" }).click();
    await abroad.waitForURL(/zone=Asia/);
    await abroad.waitForSelector("tr[data-run=wanted]");
    await abroad.goto(`${base}/runs/wanted`);
    // In a script that runs from right to left the full stop ends it on the left.
    const [first, stop] = await abroad.evaluate(() => {
      const text = document.querySelector("h1")!.firstChild!;
      return [0, 4].map((at) => {
        const letter = document.createRange();
        letter.setStart(text, at);
        letter.setEnd(text, at + 1);
        return letter.getBoundingClientRect().left;
      });
    });
    assert.ok(stop! < first!);
  },
);
