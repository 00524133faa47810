import assert from "node:assert/strict";
import { writeGguf } from "./gguf.ts";

const shape = {
  layers: 2,
  hiddenSize: 64,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  intermediateSize: 128,
  vocabSize: 300,
  maxPositionEmbeddings: 512,
};

/** The header, read as the format's description says. */
function readGguf(bytes: Uint8Array<ArrayBuffer>) {
  const view = new DataView(bytes.buffer);
  let at = 4;
  const u32 = () => view.getUint32((at += 4) - 4, true);
  const u64 = () => Number(view.getBigUint64((at += 8) - 8, true));
  const text = () => {
    const length = u64();
    return new TextDecoder().decode(bytes.subarray(at, at += length));
  };
  const value = (type: number): unknown => {
    if (type === 4 || type === 5) return u32();
    if (type === 6) return view.getFloat32((at += 4) - 4, true);
    if (type === 8) return text();
    assert.equal(type, 9);
    const inner = u32();
    return Array.from({ length: u64() }, () => value(inner));
  };
  const version = u32();
  const tensorCount = u64();
  const meta = Object.fromEntries(
    Array.from({ length: u64() }, () => [text(), value(u32())]),
  );
  const tensors = Array.from({ length: tensorCount }, () => ({
    name: text(),
    extents: Array.from({ length: u32() }, u64),
    type: u32(),
    offset: u64(),
  }));
  return { version, meta, tensors, start: Math.ceil(at / 32) * 32 };
}

Deno.test("a GGUF file of noise has every tensor of its shape, each where the header says", async () => {
  const path = await Deno.makeTempFile({ suffix: ".gguf" });
  try {
    await writeGguf(path, shape);
    const bytes = await Deno.readFile(path);
    assert.equal(new TextDecoder().decode(bytes.subarray(0, 4)), "GGUF");
    const { version, meta, tensors, start } = readGguf(bytes);
    assert.equal(version, 3);
    assert.equal(meta["llama.block_count"], 2);
    assert.equal(meta["llama.attention.head_count_kv"], 2);
    assert.equal((meta["tokenizer.ggml.tokens"] as string[]).length, 300);
    assert.equal(tensors.length, 3 + 2 * 9);
    const view = new DataView(bytes.buffer);
    let next = 0;
    for (const { name, extents, type, offset } of tensors) {
      assert.equal(offset, next, name);
      const count = extents.reduce((a, b) => a * b);
      if (type === 0) {
        assert.equal(view.getFloat32(start + offset, true), 1, name);
        next += count * 4;
      } else {
        // A scale that is a number, and a row of whole blocks.
        assert.equal(extents[0] % 32, 0, name);
        const scale = view.getFloat16(start + offset, true);
        assert.ok(scale > 0.004 && scale < 0.005, `${name}: ${scale}`);
        next += count / 32 * 18;
      }
      next = Math.ceil(next / 32) * 32;
    }
    assert.equal(bytes.length, start + next);
  } finally {
    await Deno.remove(path);
  }
});
