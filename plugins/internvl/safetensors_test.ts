import assert from "node:assert/strict";
import { Effect } from "effect";
import { CheckpointError } from "../../nodes/errors.ts";
import {
  headerLength,
  maxHeaderBytes,
  parseSafetensorsHeader,
  readSafetensorsHeader,
} from "./safetensors.ts";
import { fuzzSafetensors } from "./safetensors_fuzz.ts";
import { failure, safetensors, withFolder, withHeader } from "./testing.ts";

const place = (fileSize: number) => ({
  path: "dir/w.safetensors",
  file: "w.safetensors",
  fileSize,
});

/** The message that a header with this JSON is refused with; the file holds `data` bytes of numbers. */
async function refusal(header: string, data = 0): Promise<CheckpointError> {
  const bytes = new TextEncoder().encode(header);
  const error = await failure(
    parseSafetensorsHeader(bytes, place(8 + bytes.length + data)),
  );
  assert.ok(error instanceof CheckpointError);
  assert.match(error.message, /^dir\/w\.safetensors: /);
  assert.ok(!error.message.includes("\n"));
  return error;
}

Deno.test("a file's header gives names, dtypes, shapes and places", async () => {
  const file = safetensors({
    b: { dtype: "BF16", shape: [2, 3] },
    a: { dtype: "F32", shape: [] },
    empty: { dtype: "F16", shape: [0, 4] },
  });
  await withFolder({ "model.safetensors": file }, async (dir) => {
    const header = await Effect.runPromise(
      readSafetensorsHeader(dir, "model.safetensors"),
    );
    const start = file.length - 16;
    assert.deepEqual(header.tensors, [
      {
        name: "b",
        dtype: "bfloat16",
        shape: [2, 3],
        file: "model.safetensors",
        offset: start,
        length: 12,
      },
      {
        name: "a",
        dtype: "float32",
        shape: [],
        file: "model.safetensors",
        offset: start + 12,
        length: 4,
      },
      {
        name: "empty",
        dtype: "float16",
        shape: [0, 4],
        file: "model.safetensors",
        offset: start + 16,
        length: 0,
      },
    ]);
    assert.equal(header.fileSize, file.length);
    assert.deepEqual(header.bytes, file.slice(8, start));
  });
});

Deno.test("spaces behind the header's JSON are padding", async () => {
  const bytes = new TextEncoder().encode("{}      ");
  assert.deepEqual(
    await Effect.runPromise(
      parseSafetensorsHeader(bytes, place(8 + bytes.length)),
    ),
    [],
  );
});

Deno.test("the header's length is bounded by the format and by the file", async () => {
  const prefix = (value: bigint) => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    return bytes;
  };
  assert.equal(await Effect.runPromise(headerLength("f", prefix(12n), 20)), 12);
  const beyond = await failure(headerLength("f", prefix(13n), 20));
  assert.match(
    beyond.message,
    /f is truncated: the header claims 13 bytes, 12 follow/,
  );
  const huge = await failure(
    headerLength("f", prefix(BigInt(maxHeaderBytes) + 1n), 2 ** 40),
  );
  assert.match(huge.message, /claims 100000001 bytes, at most 100000000/);
  const absurd = await failure(headerLength("f", prefix(2n ** 64n - 1n), 20));
  assert.match(absurd.message, /claims 18446744073709551615 bytes/);
});

Deno.test("short, missing and foreign files are refused", async () => {
  await withFolder(
    {
      "short.safetensors": new Uint8Array(7),
      "cut.safetensors": safetensors({ a: { dtype: "F32", shape: [4] } })
        .slice(0, -3),
    },
    async (dir) => {
      const message = async (file: string) =>
        (await failure(readSafetensorsHeader(dir, file))).message;
      assert.match(
        await message("short.safetensors"),
        /short\.safetensors has 7 bytes/,
      );
      assert.match(
        await message("absent.safetensors"),
        /absent\.safetensors is missing/,
      );
      assert.match(
        await message("cut.safetensors"),
        /tensor "a": its numbers end at byte \d+ but the file has \d+: it is truncated/,
      );
    },
  );
});

Deno.test("what a header may not say", async () => {
  const entry = (changes: object) =>
    JSON.stringify({
      t: { dtype: "F32", shape: [2], data_offsets: [0, 8], ...changes },
    });
  const cases: [header: string, data: number, message: RegExp][] = [
    ["[]", 0, /does not start with '\{'/],
    [" {}", 0, /does not start with '\{'/],
    ["{", 0, /damaged safetensors header/],
    ["{}x", 0, /damaged safetensors header/],
    ['{"t":1}', 0, /tensor "t": its header entry is not an object/],
    [
      entry({ dtype: "I64" }),
      16,
      /tensor "t": dtype "I64" is not supported; F32, F16, BF16, U8 and I8 are/,
    ],
    [entry({ dtype: 3 }), 8, /dtype "3" is not supported/],
    [entry({ shape: [2.5] }), 8, /shape must be/],
    [entry({ shape: [-2] }), 8, /shape must be/],
    [entry({ shape: "2" }), 8, /shape must be/],
    [entry({ shape: Array(9).fill(1) }), 8, /more than 8 dimensions/],
    [
      entry({ shape: [2 ** 40, 2 ** 40, 0] }),
      8,
      /shape is too large/,
    ],
    [
      entry({ shape: [3] }),
      8,
      /F32 \[3\] needs 12 bytes, data_offsets hold 8/,
    ],
    [entry({ data_offsets: [8, 0] }), 8, /two rising whole numbers/],
    [entry({ data_offsets: [0] }), 8, /two rising whole numbers/],
    [entry({ data_offsets: [-8, 0] }), 8, /two rising whole numbers/],
    [entry({}), 4, /numbers end at byte \d+ but the file has/],
    [entry({}), 9, /1 bytes after the last tensor belong to none/],
    [
      entry({ data_offsets: [4, 12] }),
      12,
      /4 bytes before its numbers belong to no tensor/,
    ],
    [
      '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
      8,
      /tensor "b": its numbers overlap/,
    ],
    [
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
      8,
      /the header has "a" twice/,
    ],
    [
      '{"a":{"dtype":"F32","shape":[1],"shape":[2],"data_offsets":[0,8]}}',
      8,
      /the header has "shape" twice/,
    ],
    [`{"a":${"[".repeat(9)}`, 0, /nested deeper than 8 levels/],
  ];
  for (const [header, data, message] of cases) {
    assert.match((await refusal(header, data)).message, message, header);
  }
  assert.equal((await refusal(entry({ shape: [3] }), 8)).tensor, "t");
});

Deno.test("a header that is not UTF-8 is refused", async () => {
  const bytes = withHeader('{"a":"x"}').slice(8);
  bytes[6] = 0xff;
  const error = await failure(
    parseSafetensorsHeader(bytes, place(8 + bytes.length)),
  );
  assert.match(error.message, /the header is not UTF-8/);
});

Deno.test("a very long foreign name is cut in the message", async () => {
  const error = await refusal(JSON.stringify({ ["x".repeat(5000)]: 1 }));
  assert.ok(error.message.length < 300);
});

Deno.test("mutated headers are refused or read right", async () => {
  const outcome = await fuzzSafetensors(500, 1);
  // Some mutations only rename a tensor, so both outcomes must be seen.
  assert.ok(outcome.refused > 300, JSON.stringify(outcome));
  assert.ok(outcome.accepted > 5, JSON.stringify(outcome));
});
