import assert from "node:assert/strict";
import { type Bounds, shapeFor } from "./shape.ts";

const bounds: Bounds = { slots: 8, tokens: 4096, contextLength: 4000 };

Deno.test("shape: as many slots as there is memory for, of the longest sequence's length", () => {
  assert.deepEqual(shapeFor([100, 1000], bounds), { slots: 4, capacity: 1024 });
  assert.deepEqual(shapeFor([4000], bounds), { slots: 1, capacity: 4032 });
  assert.equal(shapeFor([4000, 1], bounds), undefined);
  assert.equal(shapeFor(new Array(9).fill(1), bounds), undefined);
});

Deno.test("shape: twice as long as now is needed where that costs no slot, never beyond the context", () => {
  assert.deepEqual(shapeFor([100], bounds), { slots: 8, capacity: 256 });
  assert.deepEqual(shapeFor([300], bounds), { slots: 8, capacity: 512 });
  assert.deepEqual(
    shapeFor([200], { ...bounds, contextLength: 200 }),
    { slots: 8, capacity: 256 },
  );
});

Deno.test("shape: an even number of slots where that is asked for, one where there is memory for no more", () => {
  const even = { ...bounds, even: true };
  assert.deepEqual(shapeFor([100], { ...even, slots: 1 }), {
    slots: 2,
    capacity: 256,
  });
  assert.deepEqual(shapeFor([1300], even), { slots: 2, capacity: 2048 });
  assert.deepEqual(shapeFor([4000], even), { slots: 1, capacity: 4032 });
  assert.equal(shapeFor([1300, 1300, 1300], even), undefined);
});
