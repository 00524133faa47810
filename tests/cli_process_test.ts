/**
 * The command line as a process: what only a process has, such as signals, pipes and exit codes, and
 * one question to the embedded model from end to end. Few, because every start costs.
 */
import assert from "node:assert/strict";
import { tessera as start } from "./process_kit.ts";

const root = new URL("../", import.meta.url);
const picture = new URL("examples/images/shapes.png", root);

const tessera = (
  args: readonly string[],
  options: Omit<Deno.CommandOptions, "args"> = {},
): Deno.Command => start(args, { ...options, permissions: ["--allow-write"] });

async function output(
  args: readonly string[],
  options: Omit<Deno.CommandOptions, "args"> = {},
) {
  const { code, stdout, stderr } = await tessera(args, options).output();
  return {
    code,
    out: new TextDecoder().decode(stdout),
    err: new TextDecoder().decode(stderr),
  };
}

async function inFolder(
  body: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("the process: help and wrong arguments", async () => {
  const [help, wrong] = await Promise.all([
    output(["--help"]),
    output(["chat", "--imge", "a.png", "Q"]),
  ]);
  assert.deepEqual(help, {
    code: 0,
    out: Deno.readTextFileSync(
      new URL("./golden/cli/help.txt", import.meta.url),
    ),
    err: "",
  });
  assert.deepEqual(wrong, {
    code: 1,
    out: "",
    err:
      "tessera: there is no flag --imge; did you mean --image?\nTry: tessera chat --help\n",
  });
});

/** Lines that docs/cli.md shows below a command, but for those that are cut short there. */
function documented(command: string): string[] {
  const page = Deno.readTextFileSync(new URL("docs/cli.md", root));
  const [, shown] = page.split(`\`\`\`sh\n${command}\n\`\`\`\n\n\`\`\`text\n`);
  return shown!.split("```")[0]!.split("\n")
    .filter((line) => line !== "" && !line.includes("…"));
}

Deno.test("the process: inspect and quantize print what docs/cli.md shows", () =>
  inFolder(async (folder) => {
    const [inspected, quantized] = await Promise.all([
      output(["inspect", "models/nano"], { cwd: root }),
      output([
        ...["quantize", "--model", "models/nano", "--weights", "int4"],
        ...["--out", `${folder}/nano-int4`],
      ], { cwd: root }),
    ]);
    const printed = (out: string, lines: readonly string[]) => {
      assert.ok(lines.length > 3);
      const all = new Set(out.split("\n"));
      for (const line of lines) assert.ok(all.has(line), `${line}\n\n${out}`);
    };
    printed(inspected.out, documented("tessera inspect models/nano"));
    printed(
      quantized.out,
      documented(
        "tessera quantize --model models/nano --out nano-int4 --weights int4",
      ).filter((line) => !/ in \d+ ms$/.test(line)),
    );
  }));

Deno.test("the process: a question to nano, recorded under the folder it was asked in", async () => {
  await inFolder(async (folder) => {
    const args = ["chat", "--json", "--image", picture.pathname];
    const settings = ["--max-new-tokens", "24", "--dump", "dump"];
    const { code, out, err } = await output(
      [...args, ...settings, "What is in the picture?"],
      // As `deno task` starts it: elsewhere, with the folder it was typed in.
      { cwd: root, env: { TESSERA_CWD: folder } },
    );
    assert.equal(code, 0, err);
    assert.match(err, /^tessera: no --model given, so this is nano: [^\n]*\n$/);
    const result = JSON.parse(out);
    assert.ok(result.response.length > 0);
    assert.deepEqual(result.history, [
      ["<image>\nWhat is in the picture?", result.response],
    ]);
    assert.ok(result.usage.image_tokens > 0);
    assert.ok(result.usage.prompt_tokens > result.usage.image_tokens);
    assert.ok(result.usage.completion_tokens <= 24);
    for (
      const stage of ["load", "tile", "vision-encode", "prefill", "decode"]
    ) {
      assert.ok(result.timings[stage] >= 0, stage);
    }
    const runs = await output(["runs", "--json"], { cwd: folder });
    assert.equal(JSON.parse(runs.out).runs[0].run_id, result.run_id, runs.err);
    assert.equal(
      (await Deno.readTextFile(`${folder}/dump/prompt.txt`)).includes(
        "What is in the picture?",
      ),
      true,
    );
    for (
      const name of [
        "pixel_values.npy",
        "patch_features.npy",
        "visual_tokens.npy",
        "input_ids.npy",
        "first_logits.npy",
        "output_ids.npy",
      ]
    ) assert.ok((await Deno.stat(`${folder}/dump/${name}`)).size > 0, name);
  });
});

Deno.test("the process: runs of a store that may only be read", () =>
  inFolder(async (folder) => {
    const store = `${folder}/runs.sqlite`;
    const { code, out: made, err } = await output(
      ["chat", "--store", store, "--json", "Hello!"],
    );
    assert.equal(code, 0, err);
    const spare = await Deno.makeTempDir({ dir: folder });
    const listed = await start(["runs", "--store", store, "--json"], {
      permissions: [`--allow-write=${spare}`],
      env: { TMPDIR: spare },
    }).output();
    const [out, said] = [listed.stdout, listed.stderr].map((bytes) =>
      new TextDecoder().decode(bytes)
    );
    assert.equal(listed.code, 0, said);
    assert.equal(JSON.parse(out!).runs[0].run_id, JSON.parse(made).run_id);
    assert.deepEqual([...Deno.readDirSync(spare)], []);
  }));

Deno.test("the process: a batch is stopped by Ctrl-C and started again", async () => {
  await inFolder(async (folder) => {
    const ids = Array.from({ length: 40 }, (_, id) => id);
    const [input, answers] = [`${folder}/q.jsonl`, `${folder}/a.jsonl`];
    await Deno.writeTextFile(
      input,
      ids.map((id) => {
        const images = [picture.pathname];
        return JSON.stringify({
          id,
          images,
          question: `Is there a ring? ${id}`,
        });
      }).join("\n"),
    );
    const args = [
      ["batch", "--input", input, "--output", answers, "--store", "none"],
      ["--model", new URL("models/nano", root).pathname],
      ["--max-new-tokens", "8"],
    ].flat();
    const child = tessera(args).spawn();
    const watcher = Deno.watchFs(folder);
    for await (const _ of watcher) {
      if (await size(answers) > 0) break;
    }
    child.kill("SIGINT");
    const first = await child.output();
    assert.equal(first.code, 130);
    const done = readIds(answers);
    assert.ok(done.length > 0 && done.length < ids.length, `${done.length}`);

    const second = await output(args);
    assert.equal(second.code, 0, second.err);
    assert.match(second.err, /^tessera: \d+ of 40 questions (is|are) in /);
    assert.deepEqual(readIds(answers).sort((a, b) => a - b), ids);
  });
});

async function size(path: string): Promise<number> {
  try {
    return (await Deno.stat(path)).size;
  } catch {
    return 0;
  }
}

function readIds(path: string): number[] {
  const text = Deno.readTextFileSync(path);
  assert.ok(text.endsWith("\n"), "the last line is whole");
  return text.trimEnd().split("\n").map((line) => {
    const { id, response } = JSON.parse(line);
    assert.equal(typeof response, "string");
    return id;
  });
}

Deno.test({
  name: "the process: a reader that goes away ends it quietly",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    const child = tessera(["graph", "batch-chat", "--format", "json"]).spawn();
    await child.stdout.cancel();
    const [status, err] = await Promise.all([
      child.status,
      new Response(child.stderr).text(),
    ]);
    assert.equal(err, "");
    assert.equal(status.code, 141);
  },
});
