/**
 * From `record` to the changed page in Chromium.
 * @module
 */
import { Effect } from "effect";
import type { Page } from "playwright-core";
import { findChromium, launchChromium } from "../dashboard/browser_kit.ts";
import { madeUp } from "../dashboard/runs_kit.ts";
import type { RunEvent } from "../pipeline/mod.ts";
import type { SqliteStore } from "../plugins/sqlite/mod.ts";

/** Milliseconds from `record` to the changed page, one for each event. */
export interface Painted {
  /** A part of an answer on the page of its run. */
  readonly answer: readonly number[];
  /** The same, written through another connection to the file. */
  readonly answerElsewhere: readonly number[];
  /** A new run in the table of runs. */
  readonly table: readonly number[];
}

const wait = (ms: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, ms));

const now = (): number => performance.timeOrigin + performance.now();

const begun = (runId: string): RunEvent =>
  ({ ...madeUp(1, Date.now())[0]!, runId }) as RunEvent;

/** The times of what a page was told, by its own clock; the clocks are those of one machine. */
async function until(
  page: Page,
  events: number,
): Promise<readonly number[]> {
  const seen = () =>
    page.evaluate(() =>
      (globalThis as unknown as { readonly seen: number[] }).seen
    );
  for (let i = 0; i < 500 && (await seen()).length < events; i++) {
    await wait(20);
  }
  const found = await seen();
  if (found.length < events) throw new Error("a page did not show every event");
  return found;
}

/** Parts of an answer say when they were recorded; the page notes how long ago that was. */
async function answer(
  page: Page,
  base: string,
  store: SqliteStore,
  runId: string,
  events: number,
): Promise<readonly number[]> {
  store.record(begun(runId));
  await Effect.runPromise(store.flush(runId));
  await page.goto(`${base}/runs/${runId}`);
  await page.waitForSelector("[data-hydrated=true]");
  await page.evaluate(() => {
    const seen: number[] = [];
    Object.assign(globalThis, { seen });
    new MutationObserver(() => {
      const at = performance.timeOrigin + performance.now();
      const told = document.querySelector(".answer")!.textContent!
        .match(/\d+\.\d+(?= )/g) ?? [];
      for (const time of told.slice(seen.length)) seen.push(at - Number(time));
    }).observe(document, {
      subtree: true,
      childList: true,
      characterData: true,
    });
  });
  await wait(300);
  for (let seq = 1; seq <= events; seq++) {
    store.record({
      _tag: "NodeProgress",
      runId,
      seq,
      at: Date.now(),
      node: "decode",
      port: "text",
      delta: `${now().toFixed(3)} `,
    });
    await wait(45);
  }
  return await until(page, events);
}

async function table(
  page: Page,
  base: string,
  store: SqliteStore,
  events: number,
): Promise<readonly number[]> {
  await page.goto(base);
  await page.waitForSelector("[data-hydrated=true]");
  await page.evaluate(() => {
    const seen: number[] = [];
    const known = new Set<string>();
    Object.assign(globalThis, { seen });
    new MutationObserver(() => {
      const at = performance.timeOrigin + performance.now();
      for (const row of document.querySelectorAll("[data-run^=at-]")) {
        const id = row.getAttribute("data-run")!;
        if (known.has(id)) continue;
        known.add(id);
        seen.push(at - Number(id.slice(3)));
      }
    }).observe(document, { subtree: true, childList: true });
  });
  await wait(300);
  for (let i = 0; i < events; i++) {
    store.record(begun(`at-${now().toFixed(3)}`));
    await wait(130);
  }
  return await until(page, events);
}

/** Measures in Chromium; nothing where there is none. */
export async function painted(
  base: string,
  store: SqliteStore,
  other: SqliteStore,
): Promise<Painted | undefined> {
  const path = findChromium();
  if (path === undefined) return undefined;
  const browser = await launchChromium(path);
  try {
    const page = await browser.newPage();
    return {
      answer: await answer(page, base, store, "painted", 100),
      answerElsewhere: await answer(page, base, other, "painted-far", 100),
      table: await table(page, base, store, 40),
    };
  } finally {
    await browser.close();
  }
}
