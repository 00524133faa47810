import assert from "node:assert/strict";
import { Effect } from "effect";
import { CheckpointError } from "../../nodes/errors.ts";
import { expectTensors, openCheckpoint } from "./checkpoint.ts";
import { configJson, failure, safetensors, withFolder } from "./testing.ts";

const config = JSON.stringify(configJson());
const first = safetensors({
  "a.weight": {
    dtype: "F32",
    shape: [1, 2],
    bytes: new Uint8Array(new Float32Array([1.5, -2]).buffer),
  },
});
const second = safetensors({
  "b.weight": {
    dtype: "BF16",
    shape: [2],
    bytes: new Uint8Array(new Uint16Array([0x3fc0, 0xc000]).buffer),
  },
  "c.bias": { dtype: "F16", shape: [3] },
});
const index = (map: Record<string, unknown>) =>
  JSON.stringify({ metadata: { total_size: 18 }, weight_map: map });
const sharded = {
  "config.json": config,
  "model-00001-of-00002.safetensors": first,
  "model-00002-of-00002.safetensors": second,
  "model.safetensors.index.json": index({
    "a.weight": "model-00001-of-00002.safetensors",
    "b.weight": "model-00002-of-00002.safetensors",
    "c.bias": "model-00002-of-00002.safetensors",
  }),
};

const refusal = (files: Record<string, string | Uint8Array>) =>
  withFolder(files, async (dir) => {
    const error = await failure(openCheckpoint(dir));
    assert.ok(error instanceof CheckpointError);
    assert.ok(!error.message.includes("\n"), error.message);
    return error.message.replaceAll(dir, "DIR");
  });

Deno.test("one file and shards give the same tensors", async () => {
  const read = (dir: string) =>
    Effect.runPromise(Effect.gen(function* () {
      const checkpoint = yield* openCheckpoint(dir);
      const a = yield* checkpoint.readTensor("a.weight");
      const b = yield* checkpoint.readTensor("b.weight");
      return { checkpoint, a, b };
    }));
  await withFolder(sharded, async (dir) => {
    const { checkpoint, a, b } = await read(dir);
    assert.deepEqual([...checkpoint.tensors.keys()], [
      "a.weight",
      "b.weight",
      "c.bias",
    ]);
    assert.equal(
      checkpoint.tensors.get("b.weight")?.file,
      "model-00002-of-00002.safetensors",
    );
    assert.equal(checkpoint.totalBytes, 18);
    assert.equal(checkpoint.parameters, 7);
    assert.equal(checkpoint.files.length, 2);
    assert.deepEqual(a.shape, [1, 2]);
    assert.deepEqual([...a.data], [1.5, -2]);
    assert.equal(b.dtype, "bfloat16");
    assert.deepEqual([...b.data], [0x3fc0, 0xc000]);
    const absent = await failure(checkpoint.readTensor("z"));
    assert.match(absent.message, /there is no tensor "z"/);
  });
  const single = { "config.json": config, "model.safetensors": first };
  await withFolder(single, async (dir) => {
    const checkpoint = await Effect.runPromise(openCheckpoint(dir));
    assert.deepEqual(checkpoint.files, ["model.safetensors"]);
    assert.deepEqual(
      [...(await Effect.runPromise(checkpoint.readTensor("a.weight"))).data],
      [1.5, -2],
    );
  });
});

Deno.test("the digest follows config, weights and tokenizer", async () => {
  const files = { "config.json": config, "model.safetensors": first };
  await withFolder(files, async (dir) => {
    const digest = async () =>
      (await Effect.runPromise(openCheckpoint(dir))).digest;
    const seen = [await digest()];
    assert.match(seen[0]!, /^[0-9a-f]{64}$/);
    assert.equal(await digest(), seen[0]);
    await Deno.writeTextFile(`${dir}/tokenizer_config.json`, "{}");
    seen.push(await digest());
    await Deno.writeTextFile(`${dir}/config.json`, config + " ");
    seen.push(await digest());
    // Same size and header, other numbers: only the time of change tells.
    await Deno.utime(`${dir}/model.safetensors`, 1e9, 1e9);
    seen.push(await digest());
    await Deno.writeFile(
      `${dir}/model.safetensors`,
      safetensors({ "b.weight": { dtype: "F32", shape: [1, 2] } }),
    );
    await Deno.utime(`${dir}/model.safetensors`, 1e9, 1e9);
    seen.push(await digest());
    assert.equal(new Set(seen).size, seen.length);
  });
});

Deno.test("a Git LFS pointer and a link to nothing are named, whichever file they stand for", async () => {
  const files = { "config.json": config, "model.safetensors": first };
  const pointer = "version https://git-lfs.github.com/spec/v1\n" +
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 9\n";
  for (const name of ["config.json", "model.safetensors"]) {
    assert.equal(
      await refusal({ ...files, [name]: pointer }),
      `DIR/${name} is a Git LFS pointer: the file itself was not downloaded; git lfs pull does that`,
    );
  }
  // As a copy of the Hugging Face cache's folder of links, without its blobs.
  const names = [
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "tokenizer.model",
  ];
  for (const name of names) {
    await withFolder(files, async (dir) => {
      await Deno.remove(`${dir}/${name}`).catch(() => {});
      if (name.includes("index")) await Deno.remove(`${dir}/model.safetensors`);
      await Deno.symlink("../../blobs/gone", `${dir}/${name}`);
      const { message } = await failure(openCheckpoint(dir));
      assert.equal(
        message,
        `${dir}/${name} is a link to ../../blobs/gone, which is not there`,
      );
    });
  }
});

Deno.test("what is missing or damaged in a folder is named", async () => {
  const none = await failure(openCheckpoint("no/such/folder"));
  assert.match(none.message, /^there is no folder no\/such\/folder$/);
  assert.match(
    await refusal({ "config.json": "{" }),
    /^DIR\/config\.json is not JSON: /,
  );
  assert.match(
    await refusal({ "config.json": "[]" }),
    /^DIR\/config\.json must hold a JSON object/,
  );
  assert.match(
    await refusal({ "config.json": new Uint8Array([0x7b, 0xff]) }),
    /^DIR\/config\.json is not UTF-8 text/,
  );
  const deep = "[".repeat(70) + "]".repeat(70);
  assert.match(
    await refusal({ "config.json": `{"template":"\\"[[","x":${deep}}` }),
    /^DIR\/config\.json is nested deeper than 64 levels/,
  );
  assert.match(
    await refusal({ "config.json": config }),
    /^DIR has neither model\.safetensors nor model\.safetensors\.index\.json/,
  );
  assert.match(
    await refusal({ "config.json": config, "pytorch_model.bin": "x" }),
    /weights as PyTorch pickles; convert them to safetensors/,
  );
});

Deno.test("a path that is no folder is named as such", async () => {
  const messages = await Promise.all(
    ["", "models/none", "deno.json", "OpenGVLab/InternVL-Chat-V1-5"].map((
      dir,
    ) => Effect.runPromise(Effect.flip(openCheckpoint(dir)))),
  );
  assert.deepEqual(messages.map(({ message }) => message), [
    "the checkpoint folder's path is empty",
    "there is no folder models/none",
    "deno.json is a file; a checkpoint is a folder",
    // Not where the first part is a folder here, as above: that is a path with a mistake in it.
    "there is no folder OpenGVLab/InternVL-Chat-V1-5; a checkpoint of Hugging Face is downloaded first: " +
    "hf download OpenGVLab/InternVL-Chat-V1-5 --local-dir FOLDER",
  ]);
});

Deno.test("an index that does not fit its shards is refused", async () => {
  const { "model-00002-of-00002.safetensors": _, ...oneShard } = sharded;
  assert.match(
    await refusal(oneShard),
    /^DIR\/model-00002-of-00002\.safetensors is missing/,
  );
  const withIndex = (map: Record<string, unknown>) =>
    refusal({ ...sharded, "model.safetensors.index.json": index(map) });
  assert.match(
    await withIndex({
      "a.weight": "model-00001-of-00002.safetensors",
      "z.weight": "model-00001-of-00002.safetensors",
    }),
    /places tensor "z\.weight" in model-00001-of-00002\.safetensors, which does not have it/,
  );
  assert.match(
    await withIndex({
      "a.weight": "model-00001-of-00002.safetensors",
      "b.weight": "model-00001-of-00002.safetensors",
      "c.bias": "model-00002-of-00002.safetensors",
    }),
    /places tensor "b\.weight" in model-00001-of-00002\.safetensors, but model-00002-of-00002\.safetensors has it/,
  );
  assert.match(
    await withIndex({ "a.weight": 3 }),
    /the file of tensor "a\.weight" must be a string/,
  );
  assert.match(await withIndex({}), /names 0 weight files/);
  assert.match(
    await refusal({ ...sharded, "model.safetensors.index.json": "{}" }),
    /weight_map must be an object/,
  );
  assert.match(
    await refusal({
      ...sharded,
      "model-00002-of-00002.safetensors": first,
      "model.safetensors.index.json": index({
        "a.weight": "model-00001-of-00002.safetensors",
        x: "model-00002-of-00002.safetensors",
      }),
    }),
    /tensor "a\.weight" is in both model-00001-of-00002\.safetensors and model-00002/,
  );
});

Deno.test("no name leads out of the folder", async () => {
  for (
    const name of [
      "../w.safetensors",
      "/etc/hostname",
      "sub/../../w.safetensors",
      "./w.safetensors",
      "C:w.safetensors",
      "a\\..\\w.safetensors",
      "a\0b",
      "",
    ]
  ) {
    assert.match(
      await refusal({
        "config.json": config,
        "model.safetensors.index.json": index({ "a.weight": name }),
      }),
      /leads out of the checkpoint folder/,
      name,
    );
  }
});

Deno.test("a symbolic link out of the folder is refused, into the hub cache's blobs it is not", async () => {
  await withFolder({ outside: first }, async (dir) => {
    const snapshot = `${dir}/models--x/snapshots/0123`;
    await Deno.mkdir(snapshot, { recursive: true });
    await Deno.mkdir(`${dir}/models--x/blobs`);
    await Deno.writeTextFile(`${snapshot}/config.json`, config);
    const link = `${snapshot}/model.safetensors`;
    await Deno.symlink("../../../outside", link);
    const error = await failure(openCheckpoint(snapshot));
    assert.match(error.message, /is a symbolic link out of the checkpoint/);
    await Deno.remove(link);
    await Deno.writeFile(`${dir}/models--x/blobs/abc`, first);
    await Deno.symlink("../../blobs/abc", link);
    const checkpoint = await Effect.runPromise(openCheckpoint(snapshot));
    assert.equal(checkpoint.tensors.size, 1);
  });
});

Deno.test("tensors of the other layout than config.json's are named with both", async () => {
  for (
    const name of [
      "model.vision_tower.embeddings.cls_token",
      "vision_tower.encoder.layer.0.lambda_1",
      "model.multi_modal_projector.linear_1.weight",
    ]
  ) {
    assert.equal(
      await refusal({
        "config.json": config,
        "model.safetensors": safetensors({
          [name]: { dtype: "F32", shape: [1] },
        }),
      }),
      `DIR: ${name} is a tensor of InternVLForConditionalGeneration, but config.json is of InternVLChatModel`,
    );
  }
});

Deno.test("a bias that the graph would do without is refused, other surplus is not", async () => {
  await withFolder({
    "config.json": config,
    "model.safetensors": safetensors({
      "a.weight": { dtype: "F32", shape: [2] },
      "a.bias": { dtype: "F32", shape: [2] },
      "b.bias": { dtype: "F32", shape: [2] },
    }),
  }, async (dir) => {
    const checkpoint = await Effect.runPromise(openCheckpoint(dir));
    const weight = { name: "a.weight", shape: [2] };
    const error = await failure(expectTensors(checkpoint, [weight]));
    assert.equal(error.tensor, "a.bias");
    assert.match(
      error.message,
      /a\.bias is in model\.safetensors, and config\.json asks for none/,
    );
    const bias = { name: "a.bias", shape: [2] };
    await Effect.runPromise(expectTensors(checkpoint, [weight, bias]));
  });
});

Deno.test("a decoder's layer behind the last that config.json asks for is refused", async () => {
  const norm = (part: string, layer: number) =>
    `${part}.layers.${layer}.attention_norm.weight`;
  const decoder = (layer: number) => norm("language_model.model", layer);
  const tensor = { dtype: "F32", shape: [2] } as const;
  await withFolder({
    "config.json": config,
    "model.safetensors": safetensors({
      [decoder(0)]: tensor,
      [decoder(1)]: tensor,
      [norm("vision_model.encoder", 0)]: tensor,
      [norm("vision_model.encoder", 1)]: tensor,
    }),
  }, async (dir) => {
    const checkpoint = await Effect.runPromise(openCheckpoint(dir));
    const expected = (...names: readonly string[]) =>
      expectTensors(checkpoint, names.map((name) => ({ name, shape: [2] })));
    const error = await failure(expected(decoder(0)));
    assert.equal(error.tensor, decoder(1));
    assert.match(error.message, /it is not the config\.json of these weights$/);
    await Effect.runPromise(expected(decoder(0), decoder(1)));
    // The vision tower's own graph, with a layer that `select_layer` passes over.
    await Effect.runPromise(expected(norm("vision_model.encoder", 0)));
  });
});

Deno.test("expected tensors: both shapes of a wrong one, the first of the missing", async () => {
  await withFolder(sharded, async (dir) => {
    const checkpoint = await Effect.runPromise(openCheckpoint(dir));
    await Effect.runPromise(expectTensors(checkpoint, [
      { name: "a.weight", shape: [1, 2] },
      { name: "c.bias", shape: [3] },
    ]));
    for (const shape of [[2, 1], [2], [1, 2, 1]]) {
      const wrong = await failure(
        expectTensors(checkpoint, [{ name: "a.weight", shape }]),
      );
      assert.equal(wrong.tensor, "a.weight");
      assert.ok(
        wrong.message.endsWith(
          `tensor a.weight has shape [1, 2], config.json asks for [${
            shape.join(", ")
          }]`,
        ),
        wrong.message,
      );
    }
    const missing = (count: number) =>
      failure(expectTensors(
        checkpoint,
        Array.from({ length: count }, (_, i) => ({ name: `m${i}`, shape: [] })),
      ));
    assert.match((await missing(1)).message, /1 tensor is missing .*: m0$/);
    assert.match(
      (await missing(9)).message,
      /9 tensors are missing .*: m0, m1, m2 and 6 more$/,
    );
  });
});
