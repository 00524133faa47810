import assert from "node:assert/strict";
import { indexPackets, keyBefore, type PacketFacts } from "./video_index.ts";

/** `12K` is a key packet at time 12, `5D` a hidden one at 5, `?` one without a time. */
const packets = (text: string): PacketFacts[] =>
  text.split(" ").map((word) => ({
    pts: word.startsWith("?") ? undefined : parseInt(word),
    key: word.includes("K"),
    discard: word.includes("D"),
  }));

Deno.test("frames are ordered by their time", () => {
  assert.deepEqual(indexPackets(packets("0K 3 1 2 4K 6 5")), {
    count: 7,
    times: [0, 1, 2, 3, 4, 5, 6],
    keys: [0, 4],
  });
});

Deno.test("what an edit list hides is no frame, but decoding may begin there", () => {
  assert.deepEqual(indexPackets(packets("-3KD -1D -2D 0 2 1")), {
    count: 3,
    times: [0, 1, 2],
    keys: [-3],
  });
});

Deno.test("packets that lost what they depend on are no frames", () => {
  // Cut in the middle: nothing before the first key, nothing that it shows before itself.
  assert.deepEqual(indexPackets(packets("5 4 9K 7 8 10 11")), {
    count: 3,
    times: [9, 10, 11],
    keys: [9],
  });
});

Deno.test("missing or equal times leave only counting", () => {
  assert.deepEqual(indexPackets(packets("?K ? 0 1")), {
    count: 4,
    times: undefined,
    keys: [],
  });
  assert.deepEqual(indexPackets(packets("0K 1 1 2")), {
    count: 4,
    times: undefined,
    keys: [0],
  });
});

Deno.test("no packets and no keys", () => {
  assert.equal(indexPackets([]).count, 0);
  assert.deepEqual(indexPackets(packets("0 1 2")).times, [0, 1, 2]);
});

Deno.test("the key before a time", () => {
  const keys = [0, 10, 20];
  const times = [-1, 0, 9, 10, 25];
  assert.deepEqual(times.map((t) => keyBefore(keys, t)), [-1, 0, 0, 1, 2]);
});
