import assert from "node:assert/strict";
import { ApiError } from "./errors.ts";
import { type KeepLimits, makeKeptResponses } from "./kept.ts";

const round = (id: string, said: string, previous: string | null = null) => ({
  id,
  previous,
  owner: "ada",
  response: { id },
  items: [said],
});

const keeping = (limits: Partial<KeepLimits> = {}) =>
  makeKeptResponses({
    maxKeptResponses: 3,
    maxKeptBytes: 10_000,
    ...limits,
  });

const status = (status: number) => (error: unknown) =>
  error instanceof ApiError && error.fields.status === status;

Deno.test("the least recently used answer leaves first; a later round uses those before it", () => {
  const kept = keeping();
  kept.put(round("a", "1"));
  kept.put(round("b", "2"));
  kept.put(round("c", "3", "a"));
  assert.deepEqual(kept.transcript("c", "ada"), ["1", "3"]);
  kept.put(round("d", "4"));
  assert.throws(() => kept.get("b", "ada"), status(404));
  assert.deepEqual(kept.get("a", "ada"), { id: "a" });
});

Deno.test("an item is found by its name as long as its answer is kept, by its owner", () => {
  const kept = keeping({ maxKeptResponses: 2 });
  kept.put({ ...round("a", "1"), named: new Map([["msg_1", { said: 1 }]]) });
  kept.put({ ...round("b", "2"), named: new Map([["msg_2", { said: 2 }]]) });
  assert.throws(() => kept.item("msg_1", "eve"), status(404));
  assert.throws(() => kept.item("msg_3", "ada"), status(404));
  // Whoever names an item uses its answer.
  assert.deepEqual(kept.item("msg_1", "ada"), { said: 1 });
  kept.put(round("c", "3"));
  assert.throws(() => kept.item("msg_2", "ada"), status(404));
  kept.delete("a", "ada");
  assert.throws(() => kept.item("msg_1", "ada"), status(404));
});

Deno.test("a round whose beginning is gone is gone", () => {
  const kept = keeping();
  kept.put(round("a", "1"));
  kept.put(round("b", "2", "a"));
  kept.delete("a", "ada");
  assert.throws(
    () => kept.transcript("b", "ada"),
    (error) =>
      status(400)(error) &&
      (error as ApiError).fields.code === "previous_response_not_found",
  );
});

Deno.test("bytes are bounded, those of deleted answers given back", () => {
  const kept = keeping({ maxKeptResponses: 100 });
  kept.put(round("small", "1"));
  kept.put(round("huge", "x".repeat(20_000)));
  assert.throws(() => kept.get("huge", "ada"), status(404));
  assert.deepEqual(kept.get("small", "ada"), { id: "small" });
  for (let i = 0; i < 50; i++) {
    kept.put(round(`${i}`, "x".repeat(6000)));
    kept.delete(`${i}`, "ada");
  }
  // Nothing had to leave for them.
  assert.deepEqual(kept.get("small", "ada"), { id: "small" });
  kept.put(round("a", "x".repeat(6000)));
  kept.put(round("b", "x".repeat(6000)));
  assert.throws(() => kept.get("a", "ada"), status(404));
});

Deno.test("what belongs to another is not there, and cannot be deleted", () => {
  const kept = keeping();
  kept.put(round("a", "1"));
  assert.throws(() => kept.get("a", "eve"), status(404));
  assert.throws(() => kept.delete("a", "eve"), status(404));
  assert.throws(() => kept.transcript("a", "eve"), status(400));
  assert.deepEqual(kept.get("a", "ada"), { id: "a" });
});

Deno.test("nothing is kept where nothing may be", () => {
  const kept = keeping({ maxKeptResponses: 0 });
  assert.ok(!kept.enabled);
  kept.put(round("a", "1"));
  assert.throws(() => kept.get("a", "ada"), status(404));
});
