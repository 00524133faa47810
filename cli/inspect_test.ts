import assert from "node:assert/strict";
import { displayWidth } from "effect/cli/CliOutput";
import type { Inspection } from "./inspect.ts";
import { fakeShell, runCli } from "./testing.ts";

async function altered(
  change: (config: {
    llm_config: Record<string, unknown>;
    vision_config: Record<string, unknown>;
    template: string;
  }) => void,
): Promise<string> {
  const folder = await Deno.makeTempDir();
  for await (const { name } of Deno.readDir("models/nano")) {
    await Deno.copyFile(`models/nano/${name}`, `${folder}/${name}`);
  }
  const config = JSON.parse(await Deno.readTextFile(`${folder}/config.json`));
  change(config);
  await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
  return folder;
}

Deno.test("nano: its facts, and nothing missing", async () => {
  const { code, out, err } = await runCli(["inspect", "models/nano", "--json"]);
  assert.deepEqual([code, err], [0, ""]);
  const found: Inspection = JSON.parse(out);
  const config = JSON.parse(await Deno.readTextFile("models/nano/config.json"));
  const added = JSON.parse(
    await Deno.readTextFile("models/nano/added_tokens.json"),
  );
  assert.equal(found.architecture, "InternVLChatModel");
  assert.equal(found.tile_size, config.force_image_size);
  assert.equal(found.special_tokens["<IMG_CONTEXT>"], added["<IMG_CONTEXT>"]);
  assert.deepEqual(found.problems, []);
  const { layers, kv_heads, hidden_size, heads } = found.language;
  const perToken = 2 * Number(layers) * Number(kv_heads) *
    (Number(hidden_size) / Number(heads));
  assert.deepEqual(
    found.memory.map((row) => [
      row.dtype,
      row.cache_dtype,
      row.cache_per_token,
      row.total - row.weights - row.activations,
    ]),
    [
      ["float32", "float32", 4],
      ["float32", "float16", 2],
      ["float32", "int8", 1],
      ["float16", "float16", 2],
    ].map(([dtype, cache, bytes]) => [
      dtype,
      cache,
      perToken * Number(bytes),
      perToken * Number(bytes) * found.context_length,
    ]),
  );
  // The weights lie in one file: header and parameters, two bytes each.
  const { size } = await Deno.stat("models/nano/model.safetensors");
  const stored = Object.values(found.parts).reduce(
    (sum, part) => sum + part.bytes,
    0,
  );
  assert.ok(stored < size && stored > size * 0.9, `${stored} of ${size}`);
});

Deno.test("for people, also on a narrow terminal", async () => {
  const plain = await runCli(["inspect", "models/nano"]);
  assert.match(plain.out, /\nNothing is missing\.\n$/);
  const shell = fakeShell({ terminal: true, columns: 60 });
  const narrow = await runCli(["inspect", "models/nano"], { shell });
  for (const line of narrow.out.split("\n")) {
    assert.ok(displayWidth(line) <= 60, line);
  }
});

Deno.test("what is wrong is named, all of it, and the code is 1", async () => {
  const folder = await altered((config) => {
    config.llm_config.intermediate_size = 500;
    config.llm_config.num_hidden_layers = 5;
    config.template = "no-such-template";
  });
  try {
    const { code, out, err } = await runCli(["inspect", folder, "--json"]);
    assert.equal(code, 1);
    const { problems }: Inspection = JSON.parse(out);
    assert.ok(
      problems.some((problem) =>
        /w1\.weight .*has shape \[512, 256\], config\.json asks for \[500, 256\]/
          .test(problem)
      ),
    );
    assert.ok(
      problems.some((problem) => /layers\.4\..*is missing/.test(problem)),
    );
    assert.ok(problems.some((problem) => /no-such-template/.test(problem)));
    assert.match(err, /^tessera: .* cannot be loaded: .*\(and \d+ more\)\n$/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("what loading refuses is a problem here, too", async () => {
  const folder = await altered((config) => {
    Object.assign(config.llm_config, {
      num_attention_heads: 32,
      num_key_value_heads: 8,
    });
    config.vision_config.norm_type = "rms_norm";
  });
  try {
    const { code, out } = await runCli(["inspect", folder, "--json"]);
    assert.equal(code, 1);
    const { problems, notes }: Inspection = JSON.parse(out);
    assert.match(problems[0]!, /config\.json: .*heads of width 8; multiples/);
    assert.match(problems[1]!, /norm1\.bias is in .* asks for none/);
    assert.deepEqual(notes, []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a folder that is no checkpoint", async () => {
  const { code, out, err } = await runCli(["inspect", "examples"]);
  assert.deepEqual([code, out], [1, ""]);
  assert.match(err, /^tessera: examples\/config\.json is missing/);
});
