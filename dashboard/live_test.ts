import assert from "node:assert/strict";
import { Effect } from "effect";
import { recordBatch } from "../plugins/sqlite/batches/test_kit.ts";
import { answered } from "../plugins/sqlite/metrics/test_kit.ts";
import type { LatencyReport } from "../plugins/sqlite/mod.ts";
import type { ShownBatch, ShownBatches } from "./batches.ts";
import { makeSite } from "./browser_kit.ts";
import type { Services } from "./mod.ts";
import { afterChange, type ShownChange } from "./shown.ts";

interface Sent {
  readonly id: number;
  // deno-lint-ignore no-explicit-any
  readonly data: ShownChange<any, any>;
}

/** Reads a stream event by event. */
function read(address: string, headers: HeadersInit = {}) {
  const stop = new AbortController();
  const events = async function* (): AsyncGenerator<Sent> {
    const response = await fetch(address, { headers, signal: stop.signal });
    // A proxy must not hold events back.
    assert.equal(response.headers.get("x-accel-buffering"), "no");
    const { body } = response;
    let text = "";
    for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      for (let end; (end = text.indexOf("\n\n")) >= 0;) {
        const event = /^id: (\d+)\ndata: (.*)$/.exec(text.slice(0, end));
        text = text.slice(end + 2);
        if (event !== null) {
          yield { id: Number(event[1]), data: JSON.parse(event[2]!) };
        }
      }
    }
  }();
  return {
    next: async () => (await events.next()).value as Sent,
    stop: () => {
      stop.abort();
      return events.next().then(() => {}, () => {});
    },
  };
}

const withSite = (
  body: (site: { base: string; services: Services }) => Promise<void>,
) =>
  Effect.runPromise(Effect.scoped(Effect.gen(function* () {
    const site = yield* makeSite({
      fill: (store) => recordBatch(store, "a", 3, { total: 5 }),
    });
    yield* Effect.promise(() => body(site));
  })));

Deno.test("live: a batch is sent whole once, then what is different; who comes back gets what he missed", () =>
  withSite(async ({ base, services: { store, run } }) => {
    const address = `${base}/batches/a/live`;
    const stream = read(address);
    const first = await stream.next();
    assert.deepEqual(first.data.order, ["0", "1", "2"]);
    assert.equal(first.data.parts![1].answer, "A circle.");
    assert.equal(first.data.head.batch.total, 5);

    await run(recordBatch(store, "a", 4, { from: 3, total: 5 }));
    let shown: ShownBatch = afterChange(
      { head: { batch: null }, parts: [] },
      first.data,
    );
    const changed = new Set<string>();
    let last = first;
    while (shown.head.batch?.counts.succeeded !== 4) {
      last = await stream.next();
      for (const key of Object.keys(last.data.parts ?? {})) changed.add(key);
      shown = afterChange(shown, last.data);
    }
    assert.deepEqual([...changed], ["3"]);
    assert.deepEqual(shown.parts.map(([key]) => key), ["0", "1", "2", "3"]);

    // Nothing is missed by one who was away, and nothing told twice.
    await stream.stop();
    await run(recordBatch(store, "a", 5, { from: 4, total: 5 }));
    const back = read(address, { "last-event-id": String(last.id) });
    const missed = await back.next();
    assert.deepEqual(Object.keys(missed.data.parts!), ["4"]);
    const early = read(address, { "last-event-id": String(first.id) });
    assert.deepEqual(Object.keys((await early.next()).data.parts!), ["3", "4"]);
    // One who says that he saw the future begins anew, and does not hold up the others.
    const odd = read(`${address}?seen=${Number.MAX_SAFE_INTEGER}`);
    assert.equal((await odd.next()).data.order!.length, 5);
    await run(store.removeAll(await run(store.batches.runIds("a"))));
    for (const one of [back, early, odd]) {
      assert.deepEqual((await one.next()).data, {
        head: { batch: null },
        order: [],
      });
      await one.stop();
    }
  }));

Deno.test("live: the table of batches and the figures, from the moment the page was made", () =>
  withSite(async ({ base, services: { store, run } }) => {
    const now = Date.now();
    const table = read(`${base}/batches/live?seen=${now}`);
    const figures = read(`${base}/latency/live?model=other&seen=${now}`);
    // The first event of a stream that begins now, or was sent again because the server knew nothing yet.
    let batches: ShownBatches = { head: null, parts: [] };
    let report: LatencyReport | undefined;
    await run(recordBatch(store, "b", 2));
    for (const event of answered("other", { at: now, model: "other" })) {
      store.record(event);
    }
    while (batches.parts.length < 2) {
      batches = afterChange(batches, (await table.next()).data);
    }
    while (report?.runs.n !== 1) report = (await figures.next()).data.head;
    await Promise.all([table.stop(), figures.stop()]);
    assert.deepEqual(report.models.includes("other"), true);
  }));

Deno.test("live: a run's viewer who saw what never was begins anew", () =>
  withSite(async ({ base }) => {
    const stream = read(`${base}/runs/a-1/live?seen=1000000`);
    assert.equal((await stream.next()).id, 0);
    await stream.stop();
  }));
