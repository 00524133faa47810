import assert from "node:assert/strict";
import { basename } from "node:path";
import { Effect, Layer } from "effect";
import {
  LanguageModel,
  Projector,
  VisionEncoder,
} from "../../nodes/services.ts";
import { ffiBackend } from "../onnx/mod.ts";
import {
  type Checkpoint,
  expectTensors,
  openCheckpoint,
} from "./checkpoint.ts";
import { normalise, readGolden, relativeError } from "./graphs/testing.ts";
import { allExpectedTensors } from "./graphs/tensors.ts";
import { layoutName, layoutOf, layoutWith } from "./layouts.ts";
import { internvl } from "./mod.ts";
import { quantize, type QuantizeSettings } from "./quantize/mod.ts";
import {
  concat,
  failure,
  safetensors,
  type TensorSketch,
  withFolder,
} from "./testing.ts";

const golden = "hf-qwen3-f16";
const { folder, cases, tensors: expected } = await readGolden(golden);
const repack = await Effect.runPromise(openCheckpoint(folder));
const text = (name: string) => Deno.readTextFile(`${folder}/${name}`);
/** All of the folder but its weights. */
const papers = async (): Promise<Record<string, string>> => {
  const files: Record<string, string> = {};
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.startsWith("model")) files[name] = await text(name);
  }
  return files;
};

/** The tensors with their bytes. */
const numbers: Record<string, Required<TensorSketch>> = {};
for (const { name, shape } of repack.tensors.values()) {
  const { data } = await Effect.runPromise(repack.readTensor(name));
  const bytes = new Uint8Array(data.buffer);
  numbers[name] = { dtype: "F16", shape, bytes };
}

/** By other names. */
const renamed = (name: (old: string) => string) =>
  Object.fromEntries(
    Object.entries(numbers).map(([old, tensor]) => [name(old), tensor]),
  );

const open = (
  files: Record<string, string>,
  tensors: Record<string, TensorSketch>,
) =>
  withFolder(
    { ...files, "model.safetensors": safetensors(tensors) },
    async (dir) => {
      const checked = Effect.gen(function* () {
        const checkpoint = yield* openCheckpoint(dir);
        yield* expectTensors(
          checkpoint,
          allExpectedTensors(checkpoint.config),
        );
        return checkpoint;
      });
      const exit = await Effect.runPromiseExit(checked);
      return exit._tag === "Success"
        ? exit.value
        : (await failure(checked)).message.replaceAll(dir, "DIR");
    },
  );

Deno.test("names of files have one form, whoever wrote them", () => {
  const layout = layoutOf("InternVLForConditionalGeneration");
  const cases = [
    [
      "model.vision_tower.embeddings.cls_token",
      "vision_tower.embeddings.cls_token",
    ],
    [
      "model.multi_modal_projector.linear_1.bias",
      "multi_modal_projector.linear_1.bias",
    ],
    [
      "model.language_model.embed_tokens.weight",
      "language_model.model.embed_tokens.weight",
    ],
    [
      "language_model.layers.0.mlp.up_proj.weight",
      "language_model.model.layers.0.mlp.up_proj.weight",
    ],
    ["language_model.model.norm.weight", "language_model.model.norm.weight"],
    ["language_model.lm_head.weight", "language_model.lm_head.weight"],
    ["lm_head.weight", "language_model.lm_head.weight"],
  ] as const;
  for (const [stored, name] of cases) {
    assert.equal(layoutName(layout, stored), name);
    assert.equal(layoutName(layout, name), name);
  }
  const original = layoutOf("InternVLChatModel");
  assert.equal(layoutName(original, "lm_head.weight"), "lm_head.weight");
  assert.equal(layoutWith("model.vision_tower.x"), layout);
  assert.equal(layoutWith("mlp1.0.weight"), original);
  assert.equal(layoutWith("language_model.model.norm.weight"), undefined);
});

Deno.test("a folder is read by the names of every version", async () => {
  const files = await papers();
  const others = [
    (name: string) =>
      name.replace(/^language_model\.model\./, "model.language_model.")
        .replace(/^language_model\.lm_head/, "lm_head")
        .replace(/^(vision_tower|multi_modal)/, "model.$1"),
    (name: string) =>
      name.replace(/^language_model\.model\./, "language_model."),
  ];
  for (const other of others) {
    const checkpoint = await open(files, renamed(other)) as Checkpoint;
    assert.deepEqual(
      [...checkpoint.tensors.keys()].sort(),
      [...repack.tensors.keys()].sort(),
    );
    assert.deepEqual(checkpoint.config, repack.config);
  }
});

Deno.test("a part of q, k and v that is missing or of a wrong shape is named, and a bias too many", async () => {
  const files = await papers();
  const name = "vision_tower.encoder.layer.1.attention.q_proj.weight";
  const { [name]: query, ...rest } = numbers;
  assert.equal(
    await open(files, rest),
    `DIR: 1 tensor is missing that config.json asks for: ${name}`,
  );
  assert.match(
    String(
      await open(files, { ...rest, [name]: { ...query!, shape: [16, 64] } }),
    ),
    /q_proj\.weight has shape \[16, 64\], config\.json asks for \[32, 32\]/,
  );
  const bias = name.replace(/weight$/, "bias");
  assert.match(
    String(
      await open(files, { ...numbers, [bias]: { dtype: "F16", shape: [32] } }),
    ),
    /q_proj\.bias is in .*, and config\.json asks for none/,
  );
  assert.match(
    String(
      await open(files, {
        ...numbers,
        "lm_head.weight": numbers["language_model.lm_head.weight"]!,
      }),
    ),
    /DIR: tensors language_model\.lm_head\.weight and lm_head\.weight are the same one/,
  );
  assert.match(
    String(
      await open(files, {
        ...numbers,
        "mlp1.0.bias": { dtype: "F16", shape: [1] },
      }),
    ),
    /mlp1\.0\.bias is a tensor of InternVLChatModel, but config\.json is of InternVLForConditionalGeneration/,
  );
});

Deno.test("without a head the embedding is one, unless config.json denies it", async () => {
  const files = await papers();
  const { "language_model.lm_head.weight": _, ...rest } = numbers;
  const tied = await open(files, rest) as Checkpoint;
  assert.equal(tied.config.language.tieWordEmbeddings, true);
  assert.equal(repack.config.language.tieWordEmbeddings, false);
  const config = JSON.parse(files["config.json"]!);
  assert.match(
    String(
      await open({
        ...files,
        "config.json": JSON.stringify({
          ...config,
          tie_word_embeddings: false,
        }),
      }, rest),
    ),
    /1 tensor is missing .*: language_model\.lm_head\.weight/,
  );
});

Deno.test("how pictures are cut belongs to the identity of a folder, and so does its chat template", async () => {
  const files = await papers();
  await withFolder(
    { ...files, "model.safetensors": safetensors(numbers) },
    async (dir) => {
      const digest = async () =>
        (await Effect.runPromise(openCheckpoint(dir))).digest;
      const seen = [await digest()];
      const path = `${dir}/preprocessor_config.json`;
      const json = JSON.parse(files["preprocessor_config.json"]!);
      await Deno.writeTextFile(
        path,
        JSON.stringify({ ...json, max_patches: 4 }),
      );
      seen.push(await digest());
      await Deno.writeTextFile(`${dir}/chat_template.jinja`, "{{ 1 }}");
      seen.push(await digest());
      assert.equal(new Set(seen).size, 3);
      await Deno.remove(path);
      await Deno.remove(`${dir}/processor_config.json`);
      const { message } = await failure(openCheckpoint(dir));
      assert.match(message, /preprocessor_config\.json is missing/);
    },
  );
});

/** Of the original layout the norms of q and k have the epsilon of the others, so that this must be theirs. */
const epsilon = 1e-6;

/** The repack with it. */
async function repacked(): Promise<Record<string, string | Uint8Array>> {
  const config = JSON.parse(await text("config.json"));
  config.vision_config.layer_norm_eps = epsilon;
  return {
    ...await papers(),
    "config.json": JSON.stringify(config),
    "model.safetensors": safetensors(numbers),
  };
}

/** The same numbers in the original layout: other names, and one matrix of queries, keys and values. */
async function original(): Promise<Record<string, string | Uint8Array>> {
  const tensors: Record<string, TensorSketch> = {};
  for (const [old, tensor] of Object.entries(numbers)) {
    const part = /^(.*\.attention)\.([qkv])_proj\.weight$/.exec(old);
    const name = old
      .replace("vision_tower.encoder.layer.", "vision_model.encoder.layers.")
      .replace("vision_tower.embeddings", "vision_model.embeddings")
      .replace("cls_token", "class_embedding")
      .replace("position_embeddings", "position_embedding")
      .replace("patch_embeddings.projection", "patch_embedding")
      .replace("lambda_", "ls")
      .replace("layernorm_before", "norm1")
      .replace("layernorm_after", "norm2")
      .replace("attention.projection_layer", "attn.proj")
      .replace(/\.attention\.(q|k)_norm/, ".attn.$1_norm")
      .replace("multi_modal_projector.layer_norm", "mlp1.0")
      .replace("multi_modal_projector.linear_1", "mlp1.1")
      .replace("multi_modal_projector.linear_2", "mlp1.3");
    if (part === null) tensors[name] = tensor;
    if (part?.[2] !== "q") continue;
    const [rows, columns] = tensor.shape as [number, number];
    tensors[
      `${
        part[1]!.replace(
          "vision_tower.encoder.layer",
          "vision_model.encoder.layers",
        ).replace(/attention$/, "attn")
      }.qkv.weight`
    ] = {
      dtype: "F16",
      shape: [3 * rows, columns],
      bytes: concat(
        ["q", "k", "v"].map((x) =>
          numbers[`${part[1]}.${x}_proj.weight`]!.bytes
        ),
      ),
    };
  }
  const { text_config, vision_config: v, downsample_ratio } = JSON.parse(
    await text("config.json"),
  );
  const { "chat_template.jinja": _, ...files } = await papers();
  return {
    ...files,
    "config.json": JSON.stringify({
      architectures: ["InternVLChatModel"],
      downsample_ratio,
      ps_version: "v2",
      template: "internvl2_5",
      dynamic_image_size: true,
      use_thumbnail: true,
      force_image_size: 56,
      llm_config: text_config,
      vision_config: {
        hidden_size: v.hidden_size,
        num_hidden_layers: v.num_hidden_layers,
        num_attention_heads: v.num_attention_heads,
        intermediate_size: v.intermediate_size,
        norm_type: v.norm_type,
        layer_norm_eps: epsilon,
        image_size: v.image_size[0],
        patch_size: v.patch_size[0],
        qk_normalization: true,
        qkv_bias: false,
      },
    }),
    "model.safetensors": safetensors(tensors),
  };
}

/** What a folder makes of the golden picture: visual tokens, first logits, ids. */
const answer = (dir: string) =>
  Effect.gen(function* () {
    const set = "tall";
    const features = yield* (yield* VisionEncoder).encode(
      normalise(expected.get(`tiles/${set}`)!),
    );
    const visual = yield* (yield* Projector).project(features);
    const { inputIds } = cases.find(({ pictureSet }) => pictureSet === set)!;
    const ids = Int32Array.from(inputIds);
    const context = repack.config.imageTokenId!;
    const { firstLogits } = yield* (yield* LanguageModel).generate({
      prompt: {
        text: "",
        question: "",
        ids,
        images: [{
          start: ids.indexOf(context),
          length: ids.filter((id) => id === context).length,
          tiles: features.shape[0]!,
        }],
      },
      visual: [visual],
      settings: { maxNewTokens: 4 },
    });
    return {
      visual: (yield* visual.read) as Float32Array,
      logits: firstLogits.data as Float32Array,
    };
  }).pipe(
    Effect.provide(
      internvl(dir, { threads: 1 }).pipe(Layer.provide(ffiBackend)),
    ),
    Effect.runPromise,
  );

Deno.test("both layouts give the same numbers, quantized ones too, and a repack stays one", async () => {
  const variants: readonly QuantizeSettings[] = [
    { weights: "int4", vision: "w8a8", prefill: "w8a8" },
    { weights: "int8", vision: "int4", symmetric: false, blockSize: 32 },
  ];
  await withFolder(
    await original(),
    async (chat) =>
      withFolder(await repacked(), async (dir) => {
        const float = await answer(dir);
        assert.deepEqual(float, await answer(chat));
        for (const [i, settings] of variants.entries()) {
          const quantized = async (from: string) => {
            const out = `${from}/../${basename(from)}-${i}`;
            await Effect.runPromise(
              quantize(from, out, { threads: 1, ...settings }),
            );
            return out;
          };
          const made = [await quantized(dir), await quantized(chat)] as const;
          try {
            const ours = await answer(made[0]);
            assert.deepEqual(ours, await answer(made[1]));
            const lost = relativeError(ours.visual, float.visual);
            assert.ok(lost > 1e-4 && lost < 0.2, `${lost} lost of the tokens`);
            const less = relativeError(ours.logits, float.logits);
            assert.ok(less > 1e-4 && less < 0.5, `${less} lost of the logits`);
            const { architectures } = JSON.parse(
              await Deno.readTextFile(`${made[0]}/config.json`),
            );
            assert.deepEqual(architectures, [repack.config.architecture]);
          } finally {
            for (const out of made) await Deno.remove(out, { recursive: true });
          }
        }
      }),
  );
});
