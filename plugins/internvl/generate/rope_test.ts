import assert from "node:assert/strict";
import { Effect } from "effect";
import { decodeConfig, type LanguageConfig } from "../config.ts";
import { configJson } from "../testing.ts";
import { rotaryBase, type RotaryTable, RotaryTables } from "./rope.ts";

function language(changes: object): LanguageConfig {
  const json = configJson({
    language: { hidden_size: 64, max_position_embeddings: 100, ...changes },
  });
  return Effect.runSync(decodeConfig(json, "config.json")).language;
}

const dynamic = language({ rope_scaling: { type: "dynamic", factor: 3 } });
const linear = language({ rope_scaling: { type: "linear", factor: 4 } });
const plain = language({ rope_scaling: null });
const half = 8;

/** Checks one row against the definition. */
function assertRow(
  table: RotaryTable,
  position: number,
  base: number,
  angle = position,
): void {
  for (let i = 0; i < half; i++) {
    const turned = angle * base ** (-2 * i / (2 * half));
    assert.equal(table.cos[position * half + i], Math.fround(Math.cos(turned)));
    assert.equal(table.sin[position * half + i], Math.fround(Math.sin(turned)));
  }
}

const table = (
  config: LanguageConfig,
  promptLength: number,
  positions: number,
) =>
  Effect.runPromise(
    new RotaryTables(config).forPrompt(promptLength, positions),
  );

Deno.test("the base moves past max_position_embeddings with dynamic scaling only", () => {
  assert.equal(rotaryBase(dynamic, 100), 1e6);
  assert.equal(rotaryBase(dynamic, 150), 1e6 * (3 * 1.5 - 2) ** (16 / 14));
  assert.equal(rotaryBase(linear, 150), 1e6);
  assert.equal(rotaryBase(plain, 150), 1e6);
});

Deno.test("within the trained length every row has the plain base", async () => {
  const rows = await table(dynamic, 40, 100);
  for (const position of [0, 1, 39, 40, 99]) assertRow(rows, position, 1e6);
  assertRow(await table(plain, 120, 140), 139, 1e6);
});

Deno.test("linear scaling divides the positions", async () => {
  assertRow(await table(linear, 120, 140), 101, 1e6, 101 / 4);
});

Deno.test("a prompt past the trained length has the base of its length, each later token its own", async () => {
  const rows = await table(dynamic, 130, 192);
  for (const position of [0, 99, 129]) {
    assertRow(rows, position, rotaryBase(dynamic, 130));
  }
  for (const position of [130, 131, 191]) {
    assertRow(rows, position, rotaryBase(dynamic, position + 1));
  }
});

Deno.test("an answer that grows past the trained length keeps what was rotated before", async () => {
  const rows = await table(dynamic, 90, 128);
  for (const position of [0, 89, 99]) assertRow(rows, position, 1e6);
  for (const position of [100, 127]) {
    assertRow(rows, position, rotaryBase(dynamic, position + 1));
  }
});

Deno.test("plain rows are computed once and shared", async () => {
  const tables = new RotaryTables(dynamic);
  const first = await Effect.runPromise(tables.forPrompt(10, 64));
  assert.equal(await Effect.runPromise(tables.forPrompt(20, 32)), first);
  const longer = await Effect.runPromise(tables.forPrompt(20, 100));
  assert.notEqual(longer, first);
  assert.deepEqual(longer.cos.subarray(0, first.cos.length), first.cos);
  for (const position of [0, 63, 64, 99]) assertRow(longer, position, 1e6);
  const [a, b] = await Effect.runPromise(
    Effect.all([tables.forPrompt(200, 256), tables.forPrompt(5, 100)], {
      concurrency: 2,
    }),
  );
  assertRow(a, 199, rotaryBase(dynamic, 200));
  assert.equal(b, longer);
});

Deno.test("a long table leaves the event loop its turns", async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  try {
    // 65,536 rows of 8: sixteen slices.
    await table(plain, 1, 65_536);
  } finally {
    clearInterval(timer);
  }
  assert.ok(turns >= 3, `${turns} turns`);
});
