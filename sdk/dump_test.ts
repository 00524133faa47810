import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Effect } from "effect";
import { Prompt, Tiles, VisualTokens } from "../nodes/ports.ts";
import { hostTensor } from "../nodes/tensor.ts";
import type { PortType } from "../pipeline/mod.ts";
import { dumpTo } from "./dump.ts";

const tiles = (first: number) => ({
  pixels: hostTensor("float32", [1, 3, 1, 1], Float32Array.of(first, 0, 0)),
  grid: [1, 1] as const,
  thumbnail: false,
});

/** Shape in the header, and the numbers. */
async function readNpy(path: string): Promise<[string, number[]]> {
  const bytes = await readFile(path);
  const header = bytes.readUInt16LE(8);
  const text = bytes.toString("latin1", 10, 10 + header);
  const body = new Uint8Array(bytes.subarray(10 + header)).buffer;
  return [
    /'shape': (\(.*?\))/.exec(text)![1]!,
    text.includes("<f4")
      ? [...new Float32Array(body)]
      : [...new BigInt64Array(body)].map(Number),
  ];
}

Deno.test("a dump holds what passed the ports, in prompt order", async () => {
  const dir = await mkdtemp(join(tmpdir(), "tessera-dump-"));
  try {
    const dump = dumpTo(dir);
    const see = (node: string, port: PortType, value: unknown) =>
      dump.onValue(node, "out", port, value);
    await Effect.runPromise(
      Effect.all([
        // Elements may arrive in any order; a picture's grid gives way to its joined set.
        see("tile[0]", Tiles, tiles(9)),
        see("join-tiles[1]", Tiles, tiles(3)),
        see("join-tiles[0]", Tiles, tiles(2)),
        see("tile-frames[0]", Tiles, tiles(1)),
        see(
          "project[0]",
          VisualTokens,
          hostTensor("float32", [1, 1, 1], Float32Array.of(5)),
        ),
        see("prompt-template", Prompt, {
          text: "Hello",
          ids: Int32Array.of(1, 7),
          images: [],
          question: "Hello",
        }),
        dump.write,
      ]),
    );
    assert.deepEqual((await readdir(dir)).toSorted(), [
      "input_ids.npy",
      "pixel_values.npy",
      "ports.json",
      "prompt.txt",
      "visual_tokens.npy",
    ]);
    assert.deepEqual(await readNpy(join(dir, "pixel_values.npy")), [
      "(3, 3, 1, 1)",
      [1, 0, 0, 2, 0, 0, 3, 0, 0],
    ]);
    assert.deepEqual(await readNpy(join(dir, "input_ids.npy")), ["(2,)", [
      1,
      7,
    ]]);
    const ports = JSON.parse(await readFile(join(dir, "ports.json"), "utf8"));
    assert.equal(ports["prompt-template.out"].preview.text, "Hello");
  } finally {
    await rm(dir, { recursive: true });
  }
});

Deno.test("the questions of a batch get a folder each", async () => {
  const dir = await mkdtemp(join(tmpdir(), "tessera-dump-"));
  try {
    const dump = dumpTo(join(dir, "new"));
    await Effect.runPromise(
      Effect.andThen(
        dump.onValue(
          "answer[1]/project[0]",
          "tokens",
          VisualTokens,
          hostTensor("float32", [1], Float32Array.of(5)),
        ),
        dump.write,
      ),
    );
    assert.deepEqual(await readdir(join(dir, "new", "answer-1")), [
      "ports.json",
      "visual_tokens.npy",
    ]);
  } finally {
    await rm(dir, { recursive: true });
  }
});

Deno.test("a file that cannot be written whole is not there in part", async () => {
  const dir = await mkdtemp(join(tmpdir(), "tessera-dump-"));
  try {
    await mkdir(join(dir, "visual_tokens.npy"));
    const dump = dumpTo(dir);
    const error = await Effect.runPromise(
      Effect.flip(Effect.andThen(
        dump.onValue(
          "project",
          "tokens",
          VisualTokens,
          hostTensor("float32", [1], Float32Array.of(5)),
        ),
        dump.write,
      )),
    );
    assert.ok(
      error.message.startsWith(`the dump could not be written to ${dir}: `),
    );
    assert.doesNotMatch(error.message, /EISDIR|rename|\.part/);
    assert.deepEqual(await readdir(dir), ["visual_tokens.npy"]);
  } finally {
    await rm(dir, { recursive: true });
  }
});
