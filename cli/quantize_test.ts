import assert from "node:assert/strict";
import { displayWidth } from "effect/cli/CliOutput";
import { sdkModels } from "./models.ts";
import { quantizeLine } from "./quantize.ts";
import { fakeShell, runCli } from "./testing.ts";

const picture = "examples/images/shapes.png";
const quiet = ["--store", "none"];

async function inFolder(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("quantize: every command reads what it has written", async () => {
  await inFolder(async (dir) => {
    const out = `${dir}/int8`;
    const made = await runCli([
      ...["quantize", "--model", "models/nano", "--out", out],
      ...["--weights", "int8", "--json"],
    ]);
    assert.equal(made.code, 0, made.err);
    // On a slow machine it tells how far it is.
    assert.match(made.err, /^(tessera: quantize .*\n)*$/);
    const result = JSON.parse(made.out);
    assert.equal(result.dir, out);
    assert.ok(result.bytes < 0.6 * result.bytes_before);
    assert.deepEqual(result.parts.vision.scheme, { type: "w8a8" });
    const { relative_error: lost } = result.parts.language;
    assert.ok(lost > 0.001 && lost < 0.01, `${lost}`);

    const { load } = sdkModels;
    const ask = async (model: string, ...rest: string[]) => {
      const outcome = await runCli(
        ["chat", "-m", model, ...quiet, "-i", picture, ...rest],
        { load },
      );
      assert.equal(outcome.code, 0, outcome.err);
      return outcome.out;
    };
    const question = "What is in the picture?";
    const answer = await ask("models/nano", question);
    assert.equal(await ask(out, "--dump", `${dir}/dump`, question), answer);
    const { vocab_size } =
      JSON.parse(await Deno.readTextFile(`${out}/config.json`)).llm_config;
    const { size } = await Deno.stat(`${dir}/dump/first_logits.npy`);
    assert.ok(size > 4 * vocab_size, `${size} bytes of logits`);

    const inspected = await runCli(["inspect", out]);
    assert.equal(inspected.code, 0, inspected.err);
    assert.match(
      inspected.out,
      /\nquantized +vision w8a8, language int8 block/,
    );
    const before = await runCli(["inspect", "models/nano"]);
    const [, parameters] = /\nlanguage +([\d,]+) .* float16/.exec(before.out)!;
    assert.match(
      inspected.out,
      new RegExp(`\nlanguage +${parameters} .* int8`),
    );
    assert.match(inspected.out, /\nNothing is missing\.\n$/);

    const input = `${dir}/in.jsonl`;
    const output = `${dir}/out.jsonl`;
    const image = await Deno.realPath(picture);
    await Deno.writeTextFile(
      input,
      JSON.stringify({ id: 1, images: [image], question }),
    );
    const batch = await runCli(
      ["batch", "-m", out, ...quiet, "--input", input, "--output", output],
      { load },
    );
    assert.equal(batch.code, 0, batch.err);
    const [line] = (await Deno.readTextFile(output)).split("\n");
    assert.equal(JSON.parse(line!).response, answer.trim());

    const ran = await runCli([
      ...["run", "chat", "-m", out, ...quiet],
      ...["--input", `images=${picture}`, "--input", `question=${question}`],
    ], { load });
    assert.equal(ran.code, 0, ran.err);
    assert.equal(JSON.parse(ran.out).outputs.completion.text, answer.trim());

    const again = await runCli([
      ...["quantize", "--model", out, "--out", `${dir}/x`, "--weights", "int4"],
    ]);
    assert.equal(again.code, 1);
    assert.equal(
      again.err,
      `tessera: ${out} is quantized already; quantize the original\n`,
    );
  });
});

Deno.test("quantize: a table for people, and one line for what is wrong", async () => {
  await inFolder(async (dir) => {
    const base = ["quantize", "--model", "models/nano", "--out", `${dir}/q`];
    const shell = fakeShell({ terminal: true });
    const made = await runCli([
      ...[...base, "--weights", "int4", "--block", "64", "--asymmetric"],
      ...["--vision", "float", "--head", "int8", "--embedding", "float"],
    ], { shell });
    assert.equal(made.code, 0, made.err);
    assert.match(made.out, /\nvision .* float\n/);
    assert.match(made.out, /\nlanguage .* int4 block 64 asymmetric\n/);
    assert.match(made.out, /\nhead .* int8 block 64 asymmetric\n/);
    assert.match(made.out, /MiB became .* MiB in /);
    // The bar was painted, and wiped.
    assert.match(made.err, /quantize [█·]/u);
    assert.ok(made.err.endsWith("\r\x1b[K"));

    const wrong: [string[], RegExp][] = [
      [[...base], /--weights is missing/],
      [["quantize", "--out", dir, "--weights", "int4"], /--model is missing/],
      [[...base, "--weights", "int5"], /expected int4, int8, w8a8/],
      [[...base, "--weights", "int4", "--block", "16"], /expected 32, 64, 128/],
      [
        [...base, "--weights", "int4", "--symmetric", "--asymmetric"],
        /are both given/,
      ],
      [[...base, "--weights", "int4"], /finished quantization already/],
      [[...base, "--weights", "int4", "--resume"], /nothing to resume/],
      [
        ["quantize", "-m", `${dir}/none`, "--out", dir, "--weights", "int4"],
        /there is no folder/,
      ],
    ];
    for (const [args, message] of wrong) {
      const outcome = await runCli(args);
      assert.equal(outcome.code, 1);
      const [first = ""] = outcome.err.split("\n");
      assert.match(first, message);
      assert.ok(!/\n\s+at /.test(outcome.err));
    }
  });
});

Deno.test("quantize: stopped by Ctrl-C it says how to go on", async () => {
  await inFolder(async (dir) => {
    const controller = new AbortController();
    const shell = fakeShell({ terminal: true });
    const { warn } = shell;
    const outcome = await runCli(
      [
        "quantize",
        "-m",
        "models/nano",
        "--out",
        `${dir}/q`,
        "--weights",
        "int4",
      ],
      {
        signal: controller.signal,
        shell: Object.assign(shell, {
          warn: (text: string) => {
            warn(text);
            controller.abort();
          },
        }),
      },
    );
    assert.equal(outcome.code, 130);
    assert.match(
      outcome.err,
      /stopped; the same command with --resume goes on/,
    );
    const resumed = await runCli([
      ...["quantize", "-m", "models/nano", "--out", `${dir}/q`],
      ...["--weights", "int4", "--resume"],
    ]);
    assert.equal(resumed.code, 0, resumed.err);
  });
});

Deno.test("quantize: the line says how far, how fast and how long", () => {
  const progress = {
    done: 30 * 2 ** 30,
    total: 50 * 2 ** 30,
    resumed: 10 * 2 ** 30,
    finished: 3,
    files: 9,
  };
  const line = quantizeLine(progress, 200_000, 79);
  assert.match(line, /30\.0 GiB\/50\.0 GiB +102 MiB\/s +3:20 left$/);
  for (const columns of [10, 40, 79, 200]) {
    const text = quantizeLine(progress, 200_000, columns);
    assert.ok(columns < 50 || displayWidth(text) <= columns, text);
  }
  assert.match(
    quantizeLine({ ...progress, done: 0, resumed: 0 }, 0, 79),
    /· 0 B\/50\.0 GiB$/,
  );
});
