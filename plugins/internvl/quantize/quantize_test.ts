import assert from "node:assert/strict";
import { Effect, Fiber, Layer } from "effect";
import { CheckpointError } from "../../../nodes/errors.ts";
import { LanguageModel } from "../../../nodes/services.ts";
import { hostTensor } from "../../../nodes/tensor.ts";
import { Backend, ffiBackend } from "../../onnx/mod.ts";
import { expectTensors, openCheckpoint } from "../checkpoint.ts";
import { tileSize } from "../config.ts";
import { makeProjector, makeVisionEncoder } from "../graphs/encoder.ts";
import {
  allExpectedTensors,
  memoryEstimate,
  partSizes,
} from "../graphs/tensors.ts";
import type { ComputeType } from "../graphs/types.ts";
import { floats, openModel, relativeError } from "../graphs/testing.ts";
import {
  type RandomCheckpoint,
  randomCheckpoint,
  referenceLogits,
} from "../graphs/testing_checkpoint.ts";
import { visionGraph } from "../graphs/vision.ts";
import { graphSource } from "../graphs/weights.ts";
import { internvl } from "../mod.ts";
import { configJson, failure, random, withFolder } from "../testing.ts";
import { quantize, type QuantizeSettings } from "./mod.ts";
import { journalFile } from "./scheme.ts";
import { readMatrices } from "./testing.ts";

const nano = "models/nano";
const parent = await Deno.makeTempDir({ prefix: "tessera-quantize-" });
globalThis.addEventListener("unload", () => {
  Deno.removeSync(parent, { recursive: true });
});
let folders = 0;
/** A folder that is not there yet. */
const fresh = () => `${parent}/${++folders}`;

const make = (dir: string, out: string, settings: QuantizeSettings) =>
  Effect.runPromise(quantize(dir, out, { threads: 1, ...settings }));

/** Bytes of every file but the journal, by name. */
async function contents(dir: string): Promise<Record<string, string>> {
  const result: Record<string, string> = {};
  for await (const { name } of Deno.readDir(dir)) {
    const bytes = await Deno.readFile(`${dir}/${name}`);
    const hash = await crypto.subtle.digest("SHA-256", bytes);
    result[name] = new Uint8Array(hash).toHex();
  }
  return result;
}

const variants: readonly [string, Omit<QuantizeSettings, "weights">][] = [
  ["int4", { vision: "w8a8" }],
  ["int4", { vision: "int8", symmetric: false, blockSize: 64 }],
  ["int4", { vision: "int4", head: "int8", embedding: "int4" }],
  ["int8", { vision: "float", head: "float", embedding: "float" }],
  ["int8", { vision: "w8a8", symmetric: false, blockSize: 128 }],
  ["w8a8", { vision: "w8a8" }],
  ["int4", { prefill: "w8a8", head: "int8", embedding: "int8" }],
];

const { vocab_size: vocabSize }: { vocab_size: number } = JSON.parse(
  Deno.readTextFileSync(`${nano}/config.json`),
).llm_config;

/** Random weights whose vocabulary is that of nano's tokenizer, and widths that fill no block. */
function wordyCheckpoint(language: object, seed: number): RandomCheckpoint {
  const made = randomCheckpoint({
    language: { vocab_size: vocabSize, ...language },
  }, seed);
  const files: Record<string, string | Uint8Array> = { ...made.files };
  for (
    const name of [
      "tokenizer.model",
      "tokenizer_config.json",
      "added_tokens.json",
      "special_tokens_map.json",
    ]
  ) {
    files[name] = Deno.readFileSync(`${nano}/${name}`);
  }
  return { ...made, files };
}

const plain = wordyCheckpoint({ bias: true }, 1);
const tied = wordyCheckpoint({ tie_word_embeddings: true }, 2);

/** Of a family, with what it alone has: matrices that stand apart or together, norms of heads, other names. */
const family = (architecture: string, seed: number, language: object = {}) =>
  wordyCheckpoint({
    architectures: [architecture],
    rope_scaling: null,
    ...language,
  }, seed);
const sources = {
  random: plain,
  tied,
  llama: family("LlamaForCausalLM", 5),
  qwen2: family("Qwen2ForCausalLM", 6, { tie_word_embeddings: true }),
  qwen3: family("Qwen3ForCausalLM", 7, { head_dim: 32 }),
  phi3: family("Phi3ForCausalLM", 8),
};
/** Enough to see every layout of numbers that stand side by side. */
const ofFamilies: readonly typeof variants[number][] = [
  ["int4", { vision: "int8", symmetric: false, blockSize: 64 }],
  ["int4", { prefill: "w8a8", head: "int8", embedding: "int8" }],
];

for (const [name, source] of Object.entries(sources)) {
  const own = name === "random" || name === "tied";
  for (const [weights, rest] of own ? variants : ofFamilies) {
    if (name === "tied" && rest.embedding !== rest.head) continue;
    const settings = { weights, ...rest } as QuantizeSettings;
    Deno.test(`${name}, ${JSON.stringify(settings)}: the graph computes with the numbers that are stored`, async () => {
      await withFolder(source.files, async (dir) => {
        const out = fresh();
        await make(dir, out, settings);
        const checkpoint = await Effect.runPromise(openCheckpoint(out));
        const numbers = new Map(source.numbers);
        for (const [name, matrix] of await readMatrices(checkpoint)) {
          numbers.set(name, matrix);
        }
        const next = random(4);
        const ids = Int32Array.from(
          { length: 12 },
          () => Math.floor(next() * vocabSize),
        );
        const logits = referenceLogits({ ...source, numbers }, ids);
        const plainLogits = referenceLogits(source, ids);
        const model = internvl(out, { threads: 1 }).pipe(
          Layer.provide(ffiBackend),
        );
        await Effect.runPromise(
          Effect.gen(function* () {
            const { generate } = yield* LanguageModel;
            const { firstLogits } = yield* generate({
              prompt: { text: "", ids, images: [], question: "" },
              visual: [],
              settings: { maxNewTokens: 1 },
            });
            // The activations are rounded to 8 bits on the way; a wrong layout would be all wrong.
            const error = relativeError(firstLogits.data, logits);
            assert.ok(error < 0.06, `${error} from the stored numbers`);
            const lost = relativeError(firstLogits.data, plainLogits);
            const small = weights === "int4" && rest.prefill === undefined;
            const limit = small ? 0.5 : 0.08;
            assert.ok(lost < limit, `${lost} lost of the original's`);
          }).pipe(Effect.provide(model)),
        );
      });
    });
  }
}

Deno.test("tower and projector: near the original's numbers, each tile whatever its neighbours", async () => {
  const read = (dir: string) =>
    Effect.runPromise(
      Effect.scoped(Effect.gen(function* () {
        const { checkpoint: { config }, vision, projector } = yield* openModel(
          dir,
        );
        const edge = tileSize(config);
        const next = random(8);
        const pixels = Float32Array.from(
          { length: 3 * 3 * edge * edge },
          () => 2 * next() - 1,
        );
        // The second tile is ten times as bright as the others.
        pixels.subarray(3 * edge * edge, 6 * edge * edge).forEach((x, i, all) =>
          all[i] = 10 * x
        );
        const tiles = (from: number, to: number) =>
          hostTensor(
            "float32",
            [to - from, 3, edge, edge],
            pixels.slice(from * 3 * edge * edge, to * 3 * edge * edge),
          );
        const { encode, stats } = makeVisionEncoder(vision, config);
        const { project } = makeProjector(projector, config);
        const run = Effect.fnUntraced(function* (from: number, to: number) {
          const tokens = yield* project(yield* encode(tiles(from, to)));
          return (yield* tokens.read) as Float32Array<ArrayBuffer>;
        });
        const together = yield* run(0, 3);
        const alone = [yield* run(0, 1), yield* run(1, 2), yield* run(2, 3)];
        // Of three requests at once, in one run, or in three where weights are in blocks.
        const { batches } = stats();
        const runs = config.quantization?.vision.type === "blocks" ? 3 : 1;
        const shared = yield* Effect.all([run(0, 1), run(1, 2), run(2, 3)], {
          concurrency: "unbounded",
        });
        assert.equal(stats().batches, batches + runs);
        return { together, alone, shared };
      })).pipe(Effect.provide(ffiBackend)),
    );
  const original = await read(nano);
  const limits = { w8a8: 0.06, int8: 0.03, int4: 0.3, float: 1e-6 };
  for (const vision of ["w8a8", "int8", "int4", "float"] as const) {
    const out = fresh();
    await make(nano, out, { weights: "int8", vision });
    const { together, alone, shared } = await read(out);
    const error = relativeError(together, original.together);
    assert.ok(error <= limits[vision], `${vision}: ${error}`);
    const size = alone[0]!.length;
    alone.forEach((tile, i) => {
      assert.deepEqual(shared[i], tile, vision);
      assert.deepEqual(
        together.subarray(i * size, (i + 1) * size),
        tile,
        vision,
      );
    });
  }
});

Deno.test("in 16 bits, as on a GPU, the tower's bytes are unpacked and give the same", async () => {
  const out = fresh();
  await make(nano, out, { weights: "int4", vision: "w8a8" });
  await Effect.runPromise(
    Effect.scoped(Effect.gen(function* () {
      const checkpoint = yield* openCheckpoint(out);
      const source = yield* graphSource(checkpoint);
      const edge = tileSize(checkpoint.config);
      const pixels = hostTensor(
        "float32",
        [1, 3, edge, edge],
        Float32Array.from({ length: 3 * edge * edge }, (_, i) => Math.sin(i)),
      );
      const backend = yield* Backend;
      const features: Float32Array<ArrayBuffer>[] = [];
      for (const dtype of ["float32", "float16"] as const) {
        // The CPU provider computes a 16-bit graph by casts.
        const session = yield* backend.load(visionGraph(source, { dtype }));
        const outputs = yield* session.run({ pixel_values: pixels });
        features.push(yield* floats(outputs.patch_features!));
      }
      const error = relativeError(features[1]!, features[0]!);
      assert.ok(error < 0.03, `${error}`);
    })).pipe(Effect.provide(ffiBackend)),
  );
});

Deno.test("the folder is a checkpoint with all that belongs to it", async () => {
  const out = fresh();
  const progress: number[] = [];
  const result = await make(nano, out, {
    weights: "int4",
    shardBytes: 1 << 20,
    onProgress: ({ done, total }) => progress.push(done / total),
  });
  assert.deepEqual(progress, [...progress].sort((a, b) => a - b));
  assert.equal(progress.at(-1), 1);
  const names = [...Deno.readDirSync(out)].map(({ name }) => name).sort();
  const taken = [...Deno.readDirSync(nano)].map(({ name }) => name)
    .filter((name) => name !== "model.safetensors");
  assert.deepEqual(
    names,
    [...taken, ...result.files, "model.safetensors.index.json"].sort(),
  );
  assert.ok(result.files.length > 2);
  for (const file of result.files) {
    assert.ok(Deno.statSync(`${out}/${file}`).size < 1.5 * 2 ** 20);
  }
  const checkpoint = await Effect.runPromise(openCheckpoint(out));
  assert.equal(checkpoint.digest, result.digest);
  assert.equal(checkpoint.totalBytes, result.bytes);
  await Effect.runPromise(
    expectTensors(checkpoint, allExpectedTensors(checkpoint.config)),
  );
  const { relativeError: lost } = result.roles.language;
  assert.ok(lost! > 0.05 && lost! < 0.1, `${lost}`);
  const sizes = Object.values(result.roles);
  assert.ok(sizes.reduce((sum, { bytes }) => sum + bytes, 0) <= result.bytes);

  // The same numbers, whatever the number of workers and however they are shared out.
  const other = fresh();
  await make(nano, other, { weights: "int4", shardBytes: 1 << 20, threads: 3 });
  assert.deepEqual(await contents(other), await contents(out));
});

Deno.test("a second set for prompts: written beside the first, read only by who asks, counted once", async () => {
  const one = fresh();
  const both = fresh();
  const first = await make(nano, one, { weights: "int4" });
  const second = await make(nano, both, { weights: "int4", prefill: "w8a8" });
  assert.equal(second.bytesBefore, first.bytesBefore);
  assert.equal(first.roles.prefill, undefined);
  const { language, prefill } = second.roles;
  assert.deepEqual(language, first.roles.language);
  assert.equal(prefill!.parameters, language.parameters);
  assert.equal(second.bytes, first.bytes + prefill!.bytes);
  assert.ok(prefill!.relativeError! < language.relativeError! / 3);
  const open = (dir: string) => Effect.runPromise(openCheckpoint(dir));
  const [small, large] = [await open(one), await open(both)];
  for (const name of small.tensors.keys()) assert.ok(large.tensors.has(name));
  const sizes = (checkpoint: typeof small) =>
    partSizes(checkpoint.config, checkpoint.tensors).language;
  assert.equal(sizes(large).parameters, sizes(small).parameters);
  assert.equal(sizes(large).bytes, sizes(small).bytes + prefill!.bytes);
  const memory = (checkpoint: typeof small, dtype: ComputeType) =>
    memoryEstimate(checkpoint.config, checkpoint.tensors, { dtype });
  const [without, with8] = [memory(small, "float32"), memory(large, "float32")];
  assert.equal(without.prefill, 0);
  assert.deepEqual(with8.weights, without.weights);
  assert.equal(with8.total, without.total + with8.prefill);
  // Scales are float32 in memory, and head and norms are held twice.
  assert.ok(with8.prefill > prefill!.bytes);
  assert.ok(with8.prefill < prefill!.bytes + without.weights.language / 2);
  // Of no use on a GPU, and not loaded there.
  assert.equal(memory(large, "float16").total, memory(small, "float16").total);
});

Deno.test("killed in the midst, it is no checkpoint; resumed, it is the same as uninterrupted", async () => {
  const whole = fresh();
  const shardBytes = 250_000;
  await make(nano, whole, { weights: "int4", shardBytes });
  const out = fresh();
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--node-modules-dir=manual",
      "--allow-read",
      "--allow-env",
      "--allow-sys",
      `--allow-write=${out}`,
      new URL("./kill_child.ts", import.meta.url).pathname,
      nano,
      out,
      String(shardBytes),
    ],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let said = "";
  for await (const chunk of child.stdout) {
    said += new TextDecoder().decode(chunk);
    if (said.split("\n").length > 3) break;
  }
  child.kill("SIGKILL");
  await child.status;
  assert.ok(!said.includes("undefined") && said !== "");
  assert.match(
    (await failure(openCheckpoint(out))).message,
    /unfinished quantization/,
  );
  // Neither by mistake over it, nor on with something else.
  const settings = { weights: "int4", shardBytes, threads: 1 } as const;
  const refusals: [QuantizeSettings, RegExp][] = [
    [
      settings,
      /unfinished quantization; resume it \(--resume\), or force a new one/,
    ],
    [{ ...settings, weights: "int8", resume: true }, /with other settings/],
    [{ ...settings, resume: true, force: true }, /both resumed and replaced/],
  ];
  for (const [settings, message] of refusals) {
    const error = await failure(quantize(nano, out, settings));
    assert.ok(error instanceof CheckpointError);
    assert.match(error.message, message);
  }
  // What a crash may leave besides: half a line, a shard that has lost bytes since it was noted.
  const journal = `${out}/${journalFile}`;
  const lines = (await Deno.readTextFile(journal)).split("\n");
  const noted = lines.slice(1, -1).map((line) => JSON.parse(line).file);
  assert.ok(noted.length >= 2);
  await Deno.writeTextFile(journal, '{"file":"mod', { append: true });
  const damaged = await Deno.readFile(`${out}/${noted[0]}`);
  damaged[damaged.length - 1]! ^= 1;
  await Deno.writeFile(`${out}/${noted[0]}`, damaged);
  let resumed = 0;
  const noting: string[] = [];
  await make(nano, out, {
    ...settings,
    resume: true,
    onProgress: (progress) => {
      resumed = progress.resumed;
      noting.push(Deno.readTextFileSync(journal));
    },
  });
  assert.ok(resumed > 0);
  // A second crash finds whole lines again.
  const last = noting.at(-1)!.split("\n").slice(0, -1);
  assert.ok(last.length > noted.length);
  for (const line of last) JSON.parse(line);
  assert.deepEqual(await contents(out), await contents(whole));
});

Deno.test("interrupted, it stops at once and can be resumed or replaced", async () => {
  const out = fresh();
  const settings = {
    weights: "int8",
    shardBytes: 200_000,
    threads: 2,
  } as const;
  const started = Promise.withResolvers<void>();
  const fiber = Effect.runFork(quantize(nano, out, {
    ...settings,
    onProgress: () => started.resolve(),
  }));
  await started.promise;
  await Effect.runPromise(Fiber.interrupt(fiber));
  assert.ok((await failure(openCheckpoint(out))) instanceof CheckpointError);
  await make(nano, out, { ...settings, resume: true });
  const whole = await contents(out);
  assert.match(
    (await failure(quantize(nano, out, { ...settings, resume: true }))).message,
    /nothing to resume/,
  );
  assert.match(
    (await failure(quantize(nano, out, settings))).message,
    /finished quantization already; --force makes a new one/,
  );
  await make(nano, out, { ...settings, force: true });
  assert.deepEqual(await contents(out), whole);
});

Deno.test("by force from another model, nothing of the first one is read any more", async () => {
  const first = fresh();
  await Deno.mkdir(first);
  for (const { name } of Deno.readDirSync(nano)) {
    await Deno.copyFile(`${nano}/${name}`, `${first}/${name}`);
  }
  for (const name of ["tokenizer.json", "conversation.py", "README.md"]) {
    await Deno.writeTextFile(`${first}/${name}`, "{}");
  }
  const [out, alone] = [fresh(), fresh()];
  await make(first, out, { weights: "int8" });
  await make(nano, out, { weights: "int8", force: true });
  await make(nano, alone, { weights: "int8" });
  const { "README.md": notes, ...rest } = await contents(out);
  assert.ok(notes !== undefined, "what people wrote stays");
  assert.deepEqual(rest, await contents(alone));
});

Deno.test("of an original that changes meanwhile no copy is called finished", async () => {
  const dir = fresh();
  await Deno.mkdir(dir);
  for (const { name } of Deno.readDirSync(nano)) {
    await Deno.copyFile(`${nano}/${name}`, `${dir}/${name}`);
  }
  const out = fresh();
  const error = await failure(quantize(dir, out, {
    weights: "int8",
    threads: 1,
    onProgress: ({ finished }) => {
      if (finished === 0) Deno.utimeSync(`${dir}/model.safetensors`, 1, 1);
    },
  }));
  assert.ok(error instanceof CheckpointError, `${error}`);
  assert.match(error.message, /was changed while it was read/);
  assert.match(
    (await failure(openCheckpoint(out))).message,
    /unfinished quantization/,
  );
});

Deno.test("a second writer is refused while the first is at work", async () => {
  const out = fresh();
  const settings = {
    weights: "int8",
    shardBytes: 200_000,
    threads: 1,
  } as const;
  const started = Promise.withResolvers<void>();
  const fiber = Effect.runFork(quantize(nano, out, {
    ...settings,
    onProgress: () => started.resolve(),
  }));
  await started.promise;
  const error = await failure(
    quantize(nano, out, { ...settings, resume: true }),
  );
  assert.match(error.message, /is being written by another/);
  await Effect.runPromise(Fiber.interrupt(fiber));
});

Deno.test("what cannot be done is refused before anything is written", async () => {
  const full = fresh();
  await Deno.mkdir(full);
  await Deno.writeTextFile(`${full}/notes.txt`, "mine");
  const quantized = fresh();
  await make(nano, quantized, { weights: "int8" });
  const file = `${parent}/file`;
  await Deno.writeTextFile(file, "");
  const link = fresh();
  await Deno.symlink(await Deno.realPath(nano), link);
  const refusals: [string, string, unknown, RegExp][] = [
    [nano, nano, {}, /is the checkpoint itself/],
    [nano, link, {}, /is the checkpoint itself/],
    [nano, `${link}/x/y`, {}, /is inside the checkpoint/],
    [nano, `${nano}/../nano/x`, {}, /is inside the checkpoint/],
    [nano, "", {}, /path is empty/],
    [nano, full, {}, /is not empty and holds no quantization of ours/],
    [nano, full, { force: true }, /is not empty and holds no quantization/],
    [nano, full, { resume: true }, /is not empty and holds no quantization/],
    [nano, file, {}, /\/file is a file; give a new or an empty folder$/],
    [nano, `${file}/x`, {}, /a part of the path is a file/],
    [quantized, fresh(), {}, /is quantized already/],
    ["nowhere", fresh(), {}, /no folder nowhere/],
    [nano, fresh(), { weights: "int3" }, /quantize: .*weights/s],
    [nano, fresh(), { blockSize: 48 }, /quantize: .*blockSize/s],
    [nano, fresh(), { vision: "w4a4" }, /quantize: .*vision/s],
    [nano, fresh(), { prefill: "int8" }, /quantize: .*prefill/s],
    [nano, fresh(), { weights: "w8a8", prefill: "w8a8" }, /so already/],
    [nano, fresh(), { threads: 0 }, /threads is 0/],
    [nano, fresh(), { shardBytes: 1.5 }, /shardBytes is 1.5/],
  ];
  for (const [dir, out, settings, message] of refusals) {
    const error = await failure(
      quantize(dir, out, { weights: "int4", ...settings as object }),
    );
    assert.ok(error instanceof CheckpointError, `${error}`);
    assert.match(error.message, message);
    assert.ok(!error.message.includes("\n"), error.message);
  }
  assert.deepEqual([...Deno.readDirSync(full)].map(({ name }) => name), [
    "notes.txt",
  ]);
  await withFolder(tied.files, async (dir) => {
    const error = await failure(
      quantize(dir, fresh(), {
        weights: "int4",
        head: "int8",
        embedding: "int4",
      }),
    );
    assert.match(error.message, /head is its embedding table/);
  });
});

Deno.test("a weight that is no number is named, and no checkpoint is left", async () => {
  const bad = randomCheckpoint();
  const name = "language_model.model.layers.1.feed_forward.w2.weight";
  const bytes = bad.files["model.safetensors"] as Uint8Array;
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(
    new TextDecoder().decode(bytes.subarray(8, 8 + length)),
  );
  new DataView(bytes.buffer).setFloat32(
    8 + length + header[name].data_offsets[0] + 40,
    NaN,
    true,
  );
  await withFolder(bad.files, async (dir) => {
    const out = fresh();
    const error = await failure(quantize(dir, out, { weights: "int4" }));
    assert.ok(error instanceof CheckpointError);
    assert.equal(error.tensor, name);
    assert.match(error.message, /not finite or too large/);
    assert.ok((await failure(openCheckpoint(out))) instanceof CheckpointError);
  });
});

Deno.test("a damaged folder is refused with its file and tensor", async () => {
  const whole = fresh();
  await make(nano, whole, {
    weights: "int4",
    symmetric: false,
    blockSize: 32,
  });
  const json = JSON.parse(await Deno.readTextFile(`${whole}/config.json`));
  const { quantization_config: quantization } = json;
  const open = (dir: string) =>
    failure(Effect.flatMap(
      openCheckpoint(dir),
      (checkpoint) =>
        expectTensors(checkpoint, allExpectedTensors(checkpoint.config)),
    ));
  const configs: [unknown, RegExp][] = [
    [{ ...quantization, quant_method: "awq" }, /of "awq"; only what/],
    [{ ...quantization, version: 2 }, /version "2".*reads version 1/],
    [{ ...quantization, vision: undefined }, /vision/],
    [{ ...quantization, head: { type: "w8a8" } }, /head/],
    [
      {
        ...quantization,
        language: { ...quantization.language, block_size: 0 },
      },
      /block_size/,
    ],
    [
      {
        ...quantization,
        language: { ...quantization.language, block_size: 64 },
      },
      /wqkv\.qweight has shape/,
    ],
    [
      { ...quantization, language: { ...quantization.language, bits: 8 } },
      /wqkv\.qweight has shape/,
    ],
    [
      {
        ...quantization,
        language: { ...quantization.language, symmetric: true },
      },
      /wqkv\.qzeros is in model-.*, and config\.json asks for none/,
    ],
    [{ ...quantization, prefill: { type: "w8a8" } }, /missing.*prefill/],
    [{ ...quantization, prefill: { type: "float" } }, /prefill/],
    [{ ...quantization, vision: { type: "float" } }, /missing.*qkv\.weight/],
    [
      { ...quantization, language: { type: "w8a8" } },
      /wqkv\.qweight has shape/,
    ],
    ["int4", /must be an object/],
    [[], /must be an object/],
  ];
  for (const [value, message] of configs) {
    const dir = fresh();
    await Deno.mkdir(dir);
    for await (const { name } of Deno.readDir(whole)) {
      await Deno.symlink(`${whole}/${name}`, `${dir}/${name}`).catch(() => {});
      if (/safetensors/.test(name)) {
        await Deno.remove(`${dir}/${name}`);
        await Deno.link(`${whole}/${name}`, `${dir}/${name}`);
      }
    }
    await Deno.remove(`${dir}/config.json`);
    await Deno.writeTextFile(
      `${dir}/config.json`,
      JSON.stringify({ ...json, quantization_config: value }),
    );
    const error = await open(dir);
    assert.ok(error instanceof CheckpointError, `${error}`);
    assert.match(error.message, message);
    assert.ok(!error.message.includes("\n"), error.message);
  }
  // The header says floats where bytes are wanted.
  const [shard] = [...Deno.readDirSync(whole)].map(({ name }) => name)
    .filter((name) => name.endsWith(".safetensors"));
  const bytes = await Deno.readFile(`${whole}/${shard}`);
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, 60_000));
  const at = text.search(/"U8","shape":\[256,8,16\]/);
  assert.ok(at > 0);
  bytes.set(new TextEncoder().encode('"I8"'), at);
  await Deno.writeFile(`${whole}/${shard}`, bytes);
  assert.match(
    (await open(whole)).message,
    /is of type int8, config.json asks for uint8/,
  );
  await Deno.truncate(`${whole}/${shard}`, bytes.length - 10);
  assert.match((await open(whole)).message, /truncated or damaged/);
});

Deno.test("of a model with fewer layers in use, the others are left out", async () => {
  const checkpoint = randomCheckpoint({ top: { select_layer: -2 } });
  await withFolder(checkpoint.files, async (dir) => {
    const out = fresh();
    const { bytes, bytesBefore } = await make(dir, out, { weights: "int8" });
    assert.ok(bytes < bytesBefore);
    const { tensors } = await Effect.runPromise(openCheckpoint(out));
    assert.ok(
      ![...tensors.keys()].some((name) => name.includes("encoder.layers.1.")),
    );
  });
  assert.ok(configJson().select_layer === undefined);
});
