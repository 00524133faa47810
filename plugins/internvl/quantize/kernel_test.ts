import assert from "node:assert/strict";
import { Effect } from "effect";
import { type DType, hostTensor } from "../../../nodes/tensor.ts";
import {
  attribute,
  Backend,
  ffiBackend,
  GraphBuilder,
  type GraphValue,
} from "../../onnx/mod.ts";
import {
  MODULE,
  render,
  SOURCE,
} from "../../../tools/quantize/kernel_source.ts";
import { sha256 } from "../../../tools/assemblyscript.ts";
import { random } from "../testing.ts";
import { quantizeBlocks, quantizeBytes, type QuantizedRows } from "./kernel.ts";
import { KERNEL_SOURCE_SHA256, KERNEL_WASM } from "./kernel_wasm.ts";
import { type BlockScheme, w8a8Limit } from "./scheme.ts";
import { halfToNumber, unpackBlocks } from "./testing.ts";

const schemes: readonly BlockScheme[] = ([4, 8] as const).flatMap((bits) =>
  ([32, 64, 128] as const).flatMap((blockSize) =>
    [true, false].map((symmetric) => ({
      type: "blocks" as const,
      bits,
      blockSize,
      symmetric,
    }))
  )
);

const title = ({ bits, blockSize, symmetric }: BlockScheme) =>
  `int${bits} block ${blockSize}${symmetric ? "" : " asymmetric"}`;

/** Numbers that lie around zero as a weight's do. */
function bell(count: number, seed: number): Float32Array<ArrayBuffer> {
  const next = random(seed);
  return Float32Array.from(
    { length: count },
    () =>
      0.02 * Math.sqrt(-2 * Math.log(1 - next())) *
      Math.cos(2 * Math.PI * next()),
  );
}

const rowsOf = (x: Float32Array<ArrayBuffer>, columns: number) => ({
  bytes: x.slice().buffer,
  dtype: "float32" as const,
  columns,
});

/** What was lost, in float64 from what is stored. */
function lost(x: Float32Array, stored: Float64Array): number {
  return x.reduce((sum, value, i) => sum + (value - stored[i]!) ** 2, 0);
}

const unpack = (
  { numbers, scales, zeros }: QuantizedRows,
  rows: number,
  columns: number,
  scheme: BlockScheme,
) => unpackBlocks(numbers, scales, zeros, rows, columns, scheme);

/** The usual rounding: steps of the largest number, or of the range. */
function plainLoss(x: Float32Array, scheme: BlockScheme): number {
  const { bits, blockSize, symmetric } = scheme;
  let sum = 0;
  for (let at = 0; at < x.length; at += blockSize) {
    const block = x.subarray(at, at + blockSize);
    const low = Math.min(0, ...block);
    const range = Math.max(0, ...block) - low;
    const most = 2 ** (bits - 1) - 1;
    const step = symmetric
      ? Math.max(...block.map(Math.abs)) / most
      : range / (2 ** bits - 1);
    const zero = symmetric ? 0 : Math.round(-low / step);
    for (const value of block) {
      sum += (value - (Math.round(value / step + zero) - zero) * step) ** 2;
    }
  }
  return sum;
}

for (const scheme of schemes) {
  Deno.test(`${title(scheme)}: less is lost than by plain rounding, and it is counted`, () => {
    const [rows, columns] = [16, 512];
    const x = bell(rows * columns, 5);
    const packed = quantizeBlocks(rowsOf(x, columns), scheme);
    const loss = lost(x, unpack(packed, rows, columns, scheme));
    const all = x.reduce((sum, value) => sum + value * value, 0);
    assert.ok(Math.abs(packed.lost - loss) <= 1e-6 * all);
    assert.ok(Math.abs(packed.all - all) <= 1e-6 * all);
    const plain = plainLoss(x, scheme);
    // Four bits: the search gains a tenth and more; eight: not worse than the rounding of the scale.
    const limit = scheme.bits === 4 ? 0.93 : 1.02;
    assert.ok(loss < limit * plain, `${loss / plain} of plain rounding`);
  });

  Deno.test(`${title(scheme)}: odd blocks: zeros, one number, one sign, an outlier, a row's rest`, () => {
    const columns = 160;
    const half = new Float32Array(columns);
    const rows: Float32Array[] = [
      half,
      half.map((_, i) => i === 3 ? -0.5 : 0),
      half.map((_, i) => i === columns - 1 ? 0.25 : 0),
      half.map((_, i) => 0.1 + i / 1000),
      half.map((_, i) => -0.1 - i / 1000),
      half.map((_, i) => i === 40 ? 1000 : Math.sin(i)),
      half.map((_, i) => 1e-7 * Math.sin(i)),
      half.map(() => 1),
    ];
    const x = new Float32Array(rows.length * columns);
    rows.forEach((row, i) => x.set(row, i * columns));
    const packed = quantizeBlocks(rowsOf(x, columns), scheme);
    assert.ok(Number.isFinite(packed.lost));
    const back = unpack(packed, rows.length, columns, scheme);
    rows.forEach((row, r) => {
      const { blockSize } = scheme;
      for (let at = 0; at < columns; at += blockSize) {
        const block = row.subarray(at, at + blockSize);
        const range = Math.max(0, ...block) - Math.min(0, ...block);
        const size = Math.max(...block.map(Math.abs));
        // One step of the grid, a little for the scale in float16 (of the least numbers, much of it).
        const step = scheme.symmetric
          ? 2 * size / (2 ** scheme.bits - 2)
          : range / (2 ** scheme.bits - 1);
        block.forEach((value, i) => {
          const error = Math.abs(value - back[r * columns + at + i]!);
          const limit = 1.2 * step + 2 ** -25 * 2 ** scheme.bits;
          assert.ok(error <= limit, `row ${r}, ${i}: ${error} of ${limit}`);
        });
      }
    });
  });
}

Deno.test("numbers that are none make the loss none, and so do scales past float16", () => {
  for (const bad of [NaN, Infinity, -Infinity, 1e9]) {
    for (const scheme of schemes) {
      const x = bell(256, 1);
      x[77] = bad;
      const { lost, all } = quantizeBlocks(rowsOf(x, 128), scheme);
      assert.ok(!Number.isFinite(lost + all), `${bad} ${title(scheme)}`);
    }
    const x = bell(256, 1);
    x[77] = bad;
    const { lost, all } = quantizeBytes(rowsOf(x, 128));
    assert.ok(!Number.isFinite(lost + all), `${bad} w8a8`);
  }
});

Deno.test("w8a8: int8 within its limit, column by column, a scale a row", () => {
  const [rows, columns] = [24, 96];
  const x = bell(rows * columns, 9);
  x.fill(0, 0, columns);
  const { numbers, scales, lost: counted } = quantizeBytes(rowsOf(x, columns));
  const bytes = new Int8Array(numbers.buffer);
  assert.ok(bytes.every((q) => Math.abs(q) <= w8a8Limit));
  assert.ok(bytes.some((q) => Math.abs(q) === w8a8Limit));
  const back = Float64Array.from(x, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    return bytes[column * rows + row]! * halfToNumber(scales[row]!);
  });
  assert.ok(Math.abs(lost(x, back) - counted) < 1e-9);
  const all = x.reduce((sum, value) => sum + value * value, 0);
  assert.ok(Math.sqrt(counted / all) < 0.02);
});

Deno.test("rows of every float type, filled up or not, quantize alike", () => {
  // Numbers that bfloat16 and float16 both have.
  const next = random(2);
  const x = Float32Array.from(
    { length: 5 * 208 },
    () => Math.round(next() * 255 - 128) / 64,
  );
  const words = Uint16Array.from(
    new Uint32Array(x.buffer),
    (bits) => bits >>> 16,
  );
  for (const columns of [208, 16, 8, 5]) {
    const rows = [
      { bytes: x.slice().buffer, dtype: "float32", columns },
      { bytes: words.slice().buffer, dtype: "bfloat16", columns },
      { bytes: Float16Array.from(x).buffer, dtype: "float16", columns },
    ] as const;
    for (const scheme of schemes) {
      const [first, ...others] = rows.map((of) => quantizeBlocks(of, scheme));
      for (const other of others) assert.deepEqual(other, first);
    }
    const [first, ...others] = rows.map(quantizeBytes);
    for (const other of others) assert.deepEqual(other, first);
  }
});

Deno.test("the committed kernel was compiled from the committed source", async () => {
  assert.equal(
    await sha256(await Deno.readFile(SOURCE)),
    KERNEL_SOURCE_SHA256,
    "kernel.as was changed: run tools/quantize/build_kernel.ts",
  );
  const wasm = Uint8Array.fromBase64(KERNEL_WASM);
  assert.equal(
    await Deno.readTextFile(MODULE),
    await render(wasm),
    "kernel_wasm.ts was edited by hand",
  );
});

/** Runs one operator on constants: what ONNX Runtime itself reads in the packed numbers. */
async function compute(
  build: (graph: GraphBuilder) => GraphValue,
  shape: readonly number[],
): Promise<Float32Array> {
  const graph = new GraphBuilder({ name: "operator" });
  const go = graph.input("go", "float32", [1]);
  const value = graph.node("Add", [build(graph), go]);
  graph.output("y", value, "float32", shape);
  const run = Effect.gen(function* () {
    const session = yield* (yield* Backend).load({ bytes: graph.build() }, {
      threads: 1,
    });
    const zero = hostTensor("float32", [1], new Float32Array(1));
    const { y } = yield* session.run({ go: zero });
    return (yield* y!.read) as Float32Array;
  });
  return await Effect.runPromise(
    Effect.scoped(run).pipe(Effect.provide(ffiBackend)),
  );
}

function close(actual: Float32Array, expected: Float64Array, limit: number) {
  assert.equal(actual.length, expected.length);
  const size = Math.sqrt(expected.reduce((sum, x) => sum + x * x, 0));
  actual.forEach((value, i) =>
    assert.ok(
      Math.abs(value - expected[i]!) <= limit * size,
      `${i}: ${value}, ${expected[i]} expected`,
    )
  );
}

const floats = (words: Uint16Array) => Float32Array.from(words, halfToNumber);

for (const scheme of schemes) {
  Deno.test(`${title(scheme)}: ONNX Runtime unpacks what the documentation says`, async () => {
    // Not a multiple of any block: the last one is filled up.
    const [rows, columns] = [16, 208];
    const packed = quantizeBlocks(
      rowsOf(bell(rows * columns, 3), columns),
      scheme,
    );
    const expected = unpack(packed, rows, columns, scheme);
    const { bits, blockSize } = scheme;
    const blocks = Math.ceil(columns / blockSize);
    const blob = blockSize * bits / 8;
    const inputs = (graph: GraphBuilder, shape: readonly number[]) => ({
      numbers: graph.constant("uint8", shape, packed.numbers),
      scales: graph.constant("float32", [rows, blocks], floats(packed.scales)),
      zeros: packed.zeros === undefined ? [] : [
        graph.constant(
          "uint8",
          [rows, packed.zeros.length / rows],
          packed.zeros,
        ),
      ],
    });
    // The unit matrix times the weight's transpose is that transpose.
    const unit = new Float32Array(columns * columns);
    for (let i = 0; i < columns; i++) unit[i * columns + i] = 1;
    const product = await compute((graph) => {
      const { numbers, scales, zeros } = inputs(graph, [rows, blocks, blob]);
      return graph.node("MatMulNBits", [
        graph.constant("float32", [columns, columns], unit),
        numbers,
        scales,
        ...zeros,
      ], {
        domain: "com.microsoft",
        attributes: {
          K: attribute.int(columns),
          N: attribute.int(rows),
          bits: attribute.int(bits),
          block_size: attribute.int(blockSize),
          // Float accumulation: the layout is in question here, not the speed.
          accuracy_level: attribute.int(1),
        },
      });
    }, [columns, rows]);
    const transposed = Float64Array.from(
      { length: rows * columns },
      (_, i) => expected[(i % rows) * columns + Math.floor(i / rows)]!,
    );
    close(product, transposed, 1e-6);
    const looked = await compute((graph) => {
      const { numbers, scales, zeros } = inputs(graph, [rows, blocks * blob]);
      const ids = BigInt64Array.from([3n, 0n, 15n, 3n]);
      return graph.node("GatherBlockQuantized", [
        numbers,
        graph.constant("int64", [4], ids),
        scales,
        ...zeros,
      ], {
        domain: "com.microsoft",
        attributes: {
          gather_axis: attribute.int(0),
          quantize_axis: attribute.int(1),
          block_size: attribute.int(blockSize),
          bits: attribute.int(bits),
        },
      });
    }, [4, blocks * blockSize]);
    for (const [i, row] of [3, 0, 15, 3].entries()) {
      const start = i * blocks * blockSize;
      close(
        looked.subarray(start, start + columns),
        expected.subarray(row * columns, (row + 1) * columns),
        1e-6,
      );
      // What fills the last block up means zero.
      assert.ok(
        looked.subarray(start + columns, start + blocks * blockSize)
          .every((value) => value === 0),
      );
    }
  });
}

Deno.test("w8a8: the largest weights and activations do not saturate", async () => {
  // On x86 without VNNI pairs of products are added in 16 bits.
  const [depth, width] = [64, 16];
  const constant = <D extends DType>(
    graph: GraphBuilder,
    dtype: D,
    shape: number[],
    data: Parameters<GraphBuilder["constant"]>[2],
  ) => graph.constant(dtype, shape, data as never);
  for (const [weight, byte] of [[64, 255], [-64, 255], [64, 1], [-64, 1]]) {
    const product = await compute((graph) => {
      const one = constant(graph, "float32", [], Float32Array.of(1));
      return graph.node("MatMulIntegerToFloat", [
        constant(
          graph,
          "uint8",
          [2, depth],
          new Uint8Array(2 * depth).fill(byte!),
        ),
        constant(
          graph,
          "int8",
          [depth, width],
          new Int8Array(depth * width).fill(weight!),
        ),
        one,
        constant(graph, "float32", [width], new Float32Array(width).fill(1)),
        constant(graph, "uint8", [], Uint8Array.of(128)),
      ], { domain: "com.microsoft" });
    }, [2, width]);
    assert.deepEqual(
      new Set(product),
      new Set([depth * weight! * (byte! - 128)]),
    );
  }
});
