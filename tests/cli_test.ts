/**
 * The command line from arguments to exit code, on doubles: what is printed where, and what is asked of
 * the model. What needs a process of its own is in `cli_process_test.ts`.
 */
import { Effect } from "effect";
import assert from "node:assert/strict";
import { CheckpointError, MediaError } from "../nodes/errors.ts";
import {
  observe,
  run as runPipeline,
  type RunResult,
  StoreError,
} from "../pipeline/mod.ts";
import type { Model } from "../cli/models.ts";
import {
  echo,
  fakeModel,
  fakeShell,
  type Outcome,
  runCli,
} from "../cli/testing.ts";
import { OutputError } from "../cli/faults.ts";
import { printable } from "../cli/text.ts";

const picture = "examples/images/shapes.png";
/** Runs are not recorded: these tests write nowhere they did not make. */
const quiet = ["--store", "none"];

function oneError(outcome: Outcome, message: RegExp): void {
  assert.equal(outcome.code, 1, outcome.err);
  const [first = "", ...rest] = outcome.err.trimEnd().split("\n");
  assert.match(first, message);
  assert.ok(first.startsWith("tessera: "), first);
  assert.ok(
    rest.every((line) => line.startsWith("Try: ")),
    `more than one line: ${outcome.err}`,
  );
  assert.ok(!/\n\s+at /.test(outcome.err), "a stack trace");
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

Deno.test("chat: the answer on stdout, nothing else in a pipe", async () => {
  const model = fakeModel();
  const outcome = await runCli(
    ["chat", "--model", "DIR", ...quiet, "--image", picture, "What is it?"],
    { model },
  );
  assert.deepEqual(
    { code: outcome.code, out: outcome.out, err: outcome.err },
    { code: 0, out: "You asked: What is it?\n", err: "" },
  );
  assert.equal(outcome.loads[0]!.dir, "DIR");
  assert.equal(outcome.loads[0]!.store, "memory");
  assert.deepEqual(model.requests[0]!.images, [picture]);
  assert.equal(model.requests[0]!.history, undefined);
  assert.ok(model.disposed());
});

Deno.test("chat: every flag reaches the model", async () => {
  await inFolder(async (folder) => {
    const history = `${folder}/h.json`;
    await Deno.writeTextFile(history, `{"history":[["<image>\\nq","a"]]}`);
    const model = fakeModel();
    const outcome = await runCli(
      // deno-fmt-ignore
      [
        "chat", "-m", "DIR", "-i", picture, "-i", "examples/images/one.jpg",
        "--history", history, "--max-tiles", "12", "--min-tiles", "2",
        "--num-patches", "7, 5", "--system", "Be brief.", "--max-new-tokens", "9",
        "--do-sample", "--temperature", "0.5", "--top-k", "0", "--top-p", "0.9",
        "--min-p", "0.05", "--repetition-penalty", "1.1", "--seed", "42",
        "--stop", "END", "--stop", "FIN", "--device", "cuda", "--device-id", "0,1", "--threads", "3",
        "--backend", "napi", "--store", "memory", "--dump", `${folder}/dump`,
        "--slots", "5", "--kv-cache", "64", "--speculate", "6", "--wide-from", "4", "--",
        "-why?",
      ],
      { model },
    );
    assert.equal(outcome.code, 0, outcome.err);
    const [load] = outcome.loads;
    assert.equal(load!.device, "cuda");
    assert.deepEqual(load!.deviceId, { vision: 0, language: 1 });
    assert.equal(load!.threads, 3);
    assert.equal(load!.backend, "napi");
    assert.deepEqual(load!.engine, {
      slots: 5,
      kvCacheBytes: 64 * 2 ** 20,
      speculate: { tokens: 6 },
      wideFrom: 4,
    });
    const { onEvent: _, signal: __, ...request } = model.requests[0]!;
    assert.deepEqual(request, {
      question: "-why?",
      images: [picture, "examples/images/one.jpg"],
      history: [["<image>\nq", "a"]],
      numPatchesList: [7, 5],
      maxTiles: 12,
      minTiles: 2,
      systemMessage: "Be brief.",
      dump: `${folder}/dump`,
      generation: {
        maxNewTokens: 9,
        doSample: true,
        temperature: 0.5,
        topK: 0,
        topP: 0.9,
        minP: 0.05,
        repetitionPenalty: 1.1,
        seed: 42,
        stop: ["END", "FIN"],
      },
    });
  });
});

Deno.test("chat --json: one object and nothing else", async () => {
  const outcome = await runCli(
    ["chat", "-m", "DIR", ...quiet, "--json", "Hello"],
  );
  assert.equal(outcome.err, "");
  assert.deepEqual(JSON.parse(outcome.out), {
    response: "You asked: Hello",
    history: [["Hello", "You asked: Hello"]],
    usage: { prompt_tokens: 1034, image_tokens: 1024, completion_tokens: 5 },
    finish_reason: "stop",
    timings: { "load": 1.235, "vision-encode": 20, "decode": 40 },
    run_id: "run-1",
  });
  assert.deepEqual(Object.keys(JSON.parse(outcome.out)), [
    "response",
    "history",
    "usage",
    "finish_reason",
    "timings",
    "run_id",
  ]);
});

Deno.test("failures: a line on stderr, JSON on stdout with --json, code 1", async () => {
  const load = () =>
    Promise.reject(
      new CheckpointError({ message: "DIR/config.json is missing;\nreally" }),
    );
  const plain = await runCli(["chat", "-m", "DIR", ...quiet, "Q"], { load });
  oneError(plain, /^tessera: DIR\/config\.json is missing; really$/);
  assert.equal(plain.out, "");
  const json = await runCli(["chat", "-m", "DIR", ...quiet, "--json", "Q"], {
    load,
  });
  oneError(json, /config\.json is missing/);
  assert.deepEqual(JSON.parse(json.out), {
    error: {
      tag: "CheckpointError",
      message: "DIR/config.json is missing; really",
    },
  });
  const usage = await runCli(["chat", "--json", "--top-p", "2", "Q"]);
  assert.equal(JSON.parse(usage.out).error.tag, "UsageError");
});

Deno.test("a defect says that it is one, without its stack", async () => {
  const outcome = await runCli(["chat", "-m", "DIR", ...quiet, "Q"], {
    model: fakeModel(() => {
      throw new TypeError("x is not a function");
    }),
  });
  oneError(
    outcome,
    /^tessera: unexpected: TypeError: x is not a function .*TESSERA_DEBUG=1/,
  );
});

/** A device has no end, and a pipe perhaps no beginning: neither is read. */
const special: [string[], RegExp][] = [
  [["chat", "-i", "/dev/null", "Q"], /picture \/dev\/null is no regular file/],
  [
    ["video", "--video", "/dev/null", "Q"],
    /video \/dev\/null is no regular file/,
  ],
  [
    ["chat", "--history", "/dev/null", "Q"],
    /history \/dev\/null is no regular file/,
  ],
  [["run", "/dev/null"], /document \/dev\/null is no regular file/],
  [["graph", "/dev/null"], /document \/dev\/null is no regular file/],
  [
    ["graph", "chat", "--plugin", "/dev/null"],
    /plugin \/dev\/null is no regular file/,
  ],
  [
    ["batch", "--input", "/dev/null", "--output", "o"],
    /input \/dev\/null is no regular file/,
  ],
  [["runs", "--store", "/dev/null"], /store \/dev\/null is no regular file/],
];

Deno.test("wrong arguments: what is wrong and what is meant", async () => {
  const cases: [string[], RegExp][] = [
    [["caht"], /there is no command caht; did you mean chat\?/],
    [
      ["chat", "--imge", "a"],
      /there is no flag --imge; did you mean --image\?/,
    ],
    [["chat", "a", "b"], /unexpected "b"; put a question in quotes/],
    [["inspect", "a", "b"], /^tessera: unexpected "b"$/],
    [
      ["chat", "--device", "tpu", "Q"],
      /--device "tpu": expected cpu, cuda, webgpu$/,
    ],
    [
      ["chat", "--device-id", "a", "Q"],
      /--device-id "?a"?: expected an index of a GPU/,
    ],
    [["chat", "--image"], /--image has no value$/],
    [["chat", "--image", "", "Q"], /--image has no value$/],
    [["chat", "--model", "", "Q"], /--model has no value$/],
    [["chat", "--dump", "", "Q"], /--dump has no value$/],
    [["chat", "--store", "", "Q"], /--store has no value$/],
    [["chat", "--temperature", "--", "Q"], /--temperature has no value$/],
    [["inspect", ""], /DIR has no value$/],
    [["graph", ""], /PIPELINE has no value$/],
    [["runs", ""], /ID has no value$/],
    [
      ["chat", "-i", "-dash.png", "Q"],
      /there is no flag -dash\.png; as the value of -i it is written -i=-dash\.png/,
    ],
    [
      ["chat", "--regex", "-?[0-9]+", "Q"],
      /there is no flag -\?\[0-9\]\+; as the value of --regex it is written --regex='-\?\[0-9\]\+', and/,
    ],
    [["chat", "--stop", "-x", "Q"], /is written --stop=-x, and a question/],
    [["help"], /there is no command help; --help tells about all commands/],
    [["runs", "--store", "none"], /--store none keeps nothing/],
    [
      ["batch", "--input", "-", "--output", "a.jsonl"],
      /--input must be a file: .*\.\/- is one of that name/,
    ],
    [
      ["batch", "--input", "q.jsonl", "--output", "-"],
      /--output must be a file/,
    ],
    [["chat", "-how?"], /there is no flag -how\?; .* stands after --$/],
    [
      ["chat", "-i", "https://example.org/a.png", "Q"],
      /picture https:\/\/example\.org\/a\.png is an address; only local files are read/,
    ],
    [
      ["chat", "-m", "A", "-m", "B", "Q"],
      /--model is given 2 times; it takes one value/,
    ],
    [["chat", "--max-tiles", "41", "Q"], /--max-tiles "41": .*at most 40/],
    [["chat", "--max-tiles", "0", "Q"], /--max-tiles "0": .*at least 1/],
    [["chat", "--max-tiles", "x", "Q"], /--max-tiles "x": expected a number/],
    [
      ["chat", "--temperature", "0", "Q"],
      /--temperature "0": .*greater than 0/,
    ],
    [
      ["chat", "--min-tiles", "5", "--max-tiles", "2", "Q"],
      /--min-tiles 5 is more than --max-tiles 2/,
    ],
    [
      ["chat", "--num-patches", "7;7", "Q"],
      /"7;7" is no list of tile counts such as 7,7/,
    ],
    [["chat", ""], /the question is empty/],
    [["chat", " \n"], /the question is empty/],
    [["chat"], /no question: give one in quotes/],
    [
      ["chat", "-i", "no/such.png", "Q"],
      /cannot read picture no\/such\.png: there is no such file/,
    ],
    [
      ["chat", "-i", "caf\ufffd.png", "Q"],
      /no such file; a name that is not UTF-8 cannot be given, so rename/,
    ],
    [["chat", "-i", "examples", "Q"], /picture examples is a folder/],
    [
      ["chat", "--history", "no.json", "Q"],
      /cannot read history no\.json: there is no such file/,
    ],
    [
      ["chat", "--history", "deno.json", "Q"],
      /history deno\.json must be a list of \[question, answer\] pairs/,
    ],
    [["chat", "--history", picture, "Q"], /history .*shapes\.png is no JSON/],
    [["video", "Q"], /--video is missing/],
    [["video", "--video", "v.mp4", "Q"], /cannot read video v\.mp4/],
    [
      ["video", "--video", picture, "--start", "3", "--end", "3", "Q"],
      /--end 3 must be later than --start 3/,
    ],
    [
      ["video", "--video", picture, "--segments", "0", "Q"],
      /--segments "0": expected 1 to 4,096/,
    ],
    [["batch", "--input", "a"], /--output is missing/],
    [["batch", "--input", "a", "--output", "a"], /the same file/],
    [
      ["graph", "vidoe-chat"],
      /there is no pipeline vidoe-chat.*did you mean video-chat\?/,
    ],
    [
      ["graph", "no.json"],
      /cannot read document no\.json: there is no such file/,
    ],
    [["graph", "deno.json"], /^tessera: deno\.json: /],
    [
      ["run", "chat", "--input", "qestion=x"],
      /has no input qestion; did you mean question\?/,
    ],
    [
      ["run", "chat", "--input", "question"],
      /"question" is not of the form name=value/,
    ],
    [["run", "chat"], /needs --input question=…/],
    [
      ["run", "chat", "--input", "question=a", "--input", "question=b"],
      /takes one value/,
    ],
    [[
      "run",
      "chat",
      "--input",
      "question=a",
      "--input",
      'settings={"topK":"x"}',
    ], /input settings: .* is no GenerationSettings/],
    [["run", "chat", "--plugin", "./deno.json"], /plugin/],
    [
      ["run", "chat", "--plugin", "./no.ts"],
      /cannot read plugin .*no\.ts: there is no such file/,
    ],
    [
      ["batch", "--input", "README.md", "--output", "no/such/folder/a"],
      /line 1 is no JSON/,
    ],
    ...(Deno.build.os === "windows" ? [] : special),
  ];
  for (const [args, message] of cases) {
    const outcome = await runCli(args);
    oneError(outcome, message);
    assert.equal(outcome.out, "", args.join(" "));
    assert.equal(outcome.loads.length, 0, `loaded a model: ${args.join(" ")}`);
  }
});

Deno.test("run: what a plugin's node throws is told as the plugin's, what ours throws is not", async () => {
  await inFolder(async (folder) => {
    const plugin = `${folder}/plugin.ts`;
    const document = `${folder}/document.json`;
    await Deno.writeTextFile(
      plugin,
      `import { defineNode, definePlugin, Text } from "@tessera/sdk";
      const boom = defineNode({
        kind: "boom",
        inputs: { text: Text },
        outputs: { text: Text },
        run: () => { throw new RangeError("no such page"); },
      });
      export default definePlugin({ name: "pages", nodes: [boom] });`,
    );
    await Deno.writeTextFile(
      document,
      JSON.stringify({
        format: "tessera/pipeline",
        version: 1,
        name: "mine",
        inputs: { text: { port: "Text" } },
        nodes: [{
          id: "page",
          kind: "boom",
          inputs: { text: { input: "text" } },
        }],
        outputs: { text: { node: "page", port: "text" } },
      }),
    );
    const model: Model = {
      ...fakeModel(),
      run: (pipeline, inputs, options) =>
        Effect.runPromise(
          observe(
            runPipeline(pipeline, inputs),
            (event) => options?.onEvent?.(event),
          ) as Effect.Effect<RunResult, never>,
        ) as never,
    };
    const args = ["run", document, "--plugin", plugin, "--input", "text=a"];
    oneError(
      await runCli([...args, ...quiet, "-m", "DIR"], { model }),
      /^tessera: node "page": "boom" of plugin "pages" failed unexpectedly: no such page \(/,
    );
    const ours = ["run", "chat", "--input", "question=a", ...quiet, "-m", "D"];
    oneError(
      await runCli(ours, { model: fakeModel() }),
      /the fake runs no chat \(a defect of Tessera/,
    );
  });
});

Deno.test("settings that do nothing are named", async () => {
  const outcome = await runCli(
    ["chat", "-m", "DIR", ...quiet, "--seed", "1", "--top-k", "3", "Q"],
  );
  assert.equal(outcome.code, 0);
  assert.equal(
    outcome.err,
    "tessera: --top-k, --seed have no effect without --do-sample\n",
  );
});

Deno.test("the embedded model says what it is", async () => {
  const outcome = await runCli(["chat", ...quiet, "Q"]);
  assert.equal(outcome.code, 0);
  assert.match(outcome.loads[0]!.dir, /models\/nano$/);
  assert.match(
    outcome.err,
    /^tessera: no --model given, so this is nano: [^\n]*\n$/,
  );
});

Deno.test("a question from standard input", async () => {
  const model = fakeModel();
  const shell = fakeShell({ stdin: "What\nis it?\n" });
  await runCli(["chat", "-m", "DIR", ...quiet, "-"], { model, shell });
  assert.equal(model.requests[0]!.question, "What\nis it?");
});

Deno.test("a dump that cannot be written is found out before the model is loaded", async () => {
  const file = "examples/images/one.jpg";
  const dump = `${file}/dump`;
  for (
    const args of [
      ["chat", "--dump", dump, "Q"],
      ["video", "--dump", dump, "--video", "examples/videos/moving.mp4", "Q"],
      ["run", "chat", "--dump", dump, "--input", "question=Q"],
    ]
  ) {
    const { code, err, loads } = await runCli([...args, ...quiet]);
    assert.equal(code, 1);
    assert.match(err, /^tessera: cannot write the dump to examples/m);
    assert.equal(loads.length, 0);
  }
});

Deno.test("a picture from standard input", async () => {
  const stdin = new Uint8Array([0x89, 0x50]);
  const ask = (args: readonly string[], terminal = false, bytes = stdin) =>
    runCli(["chat", "-m", "DIR", ...quiet, ...args], {
      model,
      shell: fakeShell({ stdin: bytes, terminal }),
    });
  const model = fakeModel();
  const image = "examples/images/one.jpg";
  for (const name of ["-", "/dev/stdin"]) {
    await ask(["-i", image, "-i", name, "Q"]);
    assert.deepEqual(model.requests.pop()!.images, [image, {
      name: "standard input",
      bytes: stdin,
    }]);
  }
  for (
    const [args, terminal, bytes, reason] of [
      [["-i", "-", "-"], false, stdin, /standard input is asked for more than/],
      [["-i", "-", "-i", "-", "Q"], false, stdin, /more than once/],
      [["-i", "-", "Q"], true, stdin, /standard input, which is a terminal/],
      [["-i", "-"], false, stdin, /^tessera: no question/],
      [["-i", "-", "Q"], false, new Uint8Array(), /no picture on standard inp/],
    ] as const
  ) {
    const { code, err } = await ask(args, terminal, bytes);
    assert.equal(code, 1);
    assert.match(err, reason);
  }
  assert.equal(model.requests.length, 0);
});

Deno.test("in a pipe, too, an answer has no control characters", async () => {
  const outcome = await runCli(["chat", "-m", "DIR", ...quiet, "Q"], {
    model: fakeModel(() => "red\x1b[31m\tand\n\x9b2Jblue\r"),
  });
  assert.equal(outcome.out, "red[31m\tand\n2Jblue\n");
});

Deno.test("on a terminal the answer streams, stripped of control characters", async () => {
  const hostile = "red\x1b[31m\x1b]0;owned\x07 and \x9b2Jblue\r\u202e!";
  const shell = fakeShell({ terminal: true, colors: true });
  await runCli(["chat", "-m", "DIR", ...quiet, "Q"], {
    shell,
    model: fakeModel(() => hostile),
  });
  assert.equal(shell.out(), "red[31m]0;owned and 2Jblue!\n");
  // Our own control sequences only: repainting and a dim line.
  assert.equal(
    // deno-lint-ignore no-control-regex
    printable(shell.err().replace(/\r\x1b\[K|\x1b\[[02]m/g, "")),
    // deno-lint-ignore no-control-regex
    shell.err().replace(/\r\x1b\[K|\x1b\[[02]m/g, ""),
  );
  assert.match(
    shell.err(),
    /1,034 prompt tokens \(1,024 of pictures\), 5 tokens \(100 a second\)/,
  );
  const json = fakeShell({ terminal: true });
  await runCli(["chat", "-m", "DIR", ...quiet, "--json", "Q"], {
    shell: json,
    model: fakeModel(() => hostile),
  });
  assert.equal(printable(json.out()), json.out());
  assert.equal(JSON.parse(json.out()).response, hostile);
});

Deno.test("hostile names stay on their line", async () => {
  const outcome = await runCli(["chat", "-i", "a\x1b[2J\nb.png", "Q"]);
  assert.equal(
    outcome.err,
    "tessera: cannot read picture a[2J b.png: there is no such file\n",
  );
});

Deno.test("Ctrl-C: code 130, the model is released", async () => {
  const controller = new AbortController();
  const model = fakeModel((request) =>
    new Promise((_, reject) => {
      request.signal!.addEventListener(
        "abort",
        () => reject(request.signal!.reason),
      );
      controller.abort();
    })
  );
  const outcome = await runCli(["chat", "-m", "DIR", ...quiet, "Q"], {
    model,
    signal: controller.signal,
  });
  assert.equal(outcome.code, 130);
  assert.equal(outcome.err, "");
  assert.ok(model.disposed());
});

Deno.test("Ctrl-C while the model loads", async () => {
  for (const late of [false, true]) {
    const controller = new AbortController();
    const model = fakeModel();
    const outcome = await runCli(["chat", "-m", "DIR", ...quiet, "Q"], {
      signal: controller.signal,
      load: (_dir, { signal }) => {
        queueMicrotask(() => controller.abort());
        return new Promise((resolve, reject) =>
          signal!.addEventListener(
            "abort",
            () => late ? resolve(model) : reject(signal!.reason),
          )
        );
      },
    });
    assert.equal(outcome.code, 130);
    assert.equal(model.disposed(), late);
    assert.equal(model.requests.length, 0);
  }
});

Deno.test("video: the clip as the flags say", async () => {
  const model = fakeModel();
  await runCli(
    // deno-fmt-ignore
    [
      "video", "-m", "DIR", ...quiet, "--video", picture, "--segments", "4",
      "--start", "1.5", "--end", "2", "What happens?",
    ],
    { model },
  );
  assert.deepEqual(model.requests[0]!.video, {
    source: picture,
    segments: 4,
    start: 1.5,
    end: 2,
  });
  assert.equal(model.requests[0]!.question, "What happens?");
});

const lines = (path: string) =>
  Deno.readTextFileSync(path).trimEnd().split("\n").map((line) =>
    JSON.parse(line)
  );

Deno.test("batch: a line for each question, errors in their lines, code 1", async () => {
  await inFolder(async (folder) => {
    const [input, output] = [`${folder}/q.jsonl`, `${folder}/a.jsonl`];
    await Deno.writeTextFile(
      input,
      [1, 2, 3, 4].map((id) =>
        JSON.stringify({ id, images: ["x.png"], question: `Q${id}` })
      ).join("\n"),
    );
    const model = fakeModel((request) => {
      if (request.question === "Q2") {
        throw new MediaError({ message: "x.png is no\npicture" });
      }
      return echo(request);
    });
    const args = ["batch", "-m", "DIR", ...quiet, "--input", input];
    const outcome = await runCli(
      [...args, "--output", output, "--concurrency", "1"],
      { model },
    );
    assert.equal(outcome.code, 1);
    assert.equal(outcome.out, "");
    assert.match(
      outcome.err,
      /^tessera: 4 of 4 questions in .*, 1 failed\n$/,
    );
    assert.deepEqual(lines(output), [
      answered(1),
      {
        id: 2,
        error: { tag: "MediaError", message: "x.png is no picture" },
      },
      answered(3),
      answered(4),
    ]);
    assert.deepEqual(model.requests[0]!.images, [`${folder}/x.png`]);
    // In the run store they are one batch.
    const batches = model.requests.map(({ attributes }) =>
      attributes!.batch as {
        id: string;
        name: string;
        item: number;
        total: number;
      }
    );
    assert.equal(new Set(batches.map(({ id }) => id)).size, 1);
    assert.deepEqual(
      batches.map(({ name, item, total }) => [name, item, total]),
      [1, 2, 3, 4].map((item) => ["a.jsonl", item, 4]),
    );

    // A second start: nothing to do, nothing loaded.
    const again = await runCli([...args, "--output", output]);
    assert.equal(again.code, 0);
    assert.equal(again.loads.length, 0);
    assert.match(
      again.err,
      /4 of 4 questions are in .* already \(1 as errors; --retry-failed/,
    );

    const retried = fakeModel();
    const retry = await runCli(
      [...args, "--output", output, "--retry-failed"],
      {
        model: retried,
      },
    );
    assert.equal(retry.code, 0);
    assert.deepEqual(retried.requests.map(({ question }) => question), ["Q2"]);
    assert.deepEqual(lines(output), [1, 3, 4, 2].map(answered));
  });
});

function answered(id: number) {
  return {
    id,
    response: `You asked: Q${id}`,
    usage: { prompt_tokens: 1034, image_tokens: 1024, completion_tokens: 5 },
    finish_reason: "stop",
    timings: { "load": 1.235, "vision-encode": 20, "decode": 40 },
    run_id: "run-1",
  };
}

Deno.test("batch: after a crash the half line goes, and the rest is asked", async () => {
  await inFolder(async (folder) => {
    const [input, output] = [`${folder}/q.jsonl`, `${folder}/a.jsonl`];
    await Deno.writeTextFile(
      input,
      `{"id":"a","question":"Qa"}\n{"id":"b","question":"Qb"}\n`,
    );
    await Deno.writeTextFile(
      output,
      `{"id":"a","response":"kept"}\n{"id":"b","respo`,
    );
    const model = fakeModel();
    const outcome = await runCli(
      ["batch", "-m", "DIR", ...quiet, "--input", input, "--output", output],
      { model },
    );
    assert.equal(outcome.code, 0);
    assert.match(outcome.err, /ended in half a line; 16 bytes cut away/);
    assert.deepEqual(model.requests.map(({ question }) => question), ["Qb"]);
    assert.deepEqual(
      lines(output).map(({ id, response }) => [id, response]),
      [["a", "kept"], ["b", "You asked: Qb"]],
    );
  });
});

Deno.test("help and version that cannot be written are failures", async () => {
  for (const args of [["--help"], ["chat", "--help"], ["--version"]]) {
    const shell = fakeShell();
    const full = {
      ...shell,
      write: () => Effect.fail(new OutputError("the disk is full")),
    };
    const outcome = await runCli(args, { shell: full });
    assert.equal(outcome.code, 1);
    assert.equal(outcome.err, "tessera: the disk is full\n");
  }
});

Deno.test("batch: Ctrl-C keeps what is done; bad input asks nothing", async () => {
  await inFolder(async (folder) => {
    const [input, output] = [`${folder}/q.jsonl`, `${folder}/a.jsonl`];
    await Deno.writeTextFile(
      input,
      `{"id":1,"question":"Q1"}\n{"id":2,"question":"Q2"}\n`,
    );
    const controller = new AbortController();
    const args = ["batch", "-m", "DIR", ...quiet, "--input", input];
    const outcome = await runCli(
      [...args, "--output", output, "--concurrency", "1"],
      {
        signal: controller.signal,
        model: fakeModel((request) => {
          if (request.question === "Q2") controller.abort();
          return echo(request);
        }),
      },
    );
    assert.equal(outcome.code, 130);
    assert.match(outcome.err, /^tessera: 1 of 2 questions in /);
    assert.deepEqual(lines(output).map(({ id }) => id), [1]);

    await Deno.writeTextFile(input, `{"id":1,"question":"Q1"}\n{"id":2`);
    const bad = await runCli([...args, "--output", `${folder}/new.jsonl`]);
    oneError(bad, /q\.jsonl line 2 is no JSON/);
    assert.equal(bad.loads.length, 0);
    await assert.rejects(Deno.stat(`${folder}/new.jsonl`));
  });
});

Deno.test("batch: a bar on a terminal, also a narrow one", async () => {
  await inFolder(async (folder) => {
    const input = `${folder}/q.jsonl`;
    await Deno.writeTextFile(input, `{"id":1,"question":"Q1"}\n`);
    const shell = fakeShell({ terminal: true, columns: 24 });
    await runCli(
      // deno-fmt-ignore
      ["batch", "-m", "DIR", ...quiet, "--input", input, "--output", `${folder}/a.jsonl`],
      { shell },
    );
    const painted = shell.err().split("\r\x1b[K");
    assert.ok(
      painted.some((line) => /^batch ·+ 0\/1$/.test(line)),
      shell.err(),
    );
    for (const line of painted.slice(0, -1)) assert.ok(line.length < 24, line);
  });
});

Deno.test("a store that cannot be written: asked for, it is an error; by default, a note", async () => {
  await inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/file`, "");
    const outcome = await runCli(
      ["chat", "-m", "DIR", "--store", `${folder}/file/runs.sqlite`, "Q"],
    );
    oneError(outcome, /cannot write the run store .*runs\.sqlite: /);
    assert.equal(outcome.loads.length, 0);
    const made = await runCli(
      ["chat", "-m", "DIR", "--store", `${folder}/new/runs.sqlite`, "Q"],
    );
    assert.equal(made.code, 0);
    assert.equal(made.loads[0]!.store, `${folder}/new/runs.sqlite`);
    // A damaged store shows when it is opened.
    const damaged = () =>
      Promise.reject(new StoreError({ message: "runs.sqlite is damaged" }));
    const asked = await runCli(
      ["chat", "-m", "DIR", "--store", `${folder}/s.sqlite`, "Q"],
      { load: damaged },
    );
    oneError(asked, /^tessera: runs\.sqlite is damaged$/);
    // A full disk costs the record, never the answer.
    const model = fakeModel();
    const full = await runCli(["chat", "-m", "DIR", ...quiet, "Q"], {
      model: {
        ...model,
        chat: async (request) => ({
          ...await model.chat(request),
          storeError: new StoreError({ message: "the disk is full" }),
        }),
      },
    });
    assert.deepEqual([full.code, full.out, full.err], [
      0,
      "You asked: Q\n",
      "tessera: the run was not recorded: the disk is full\n",
    ]);
  });
});

Deno.test("help: the whole, and as narrow as 40 columns", async () => {
  const whole = await runCli(["--help"]);
  assert.equal(whole.code, 0);
  assert.equal(
    whole.out,
    Deno.readTextFileSync(new URL("./golden/cli/help.txt", import.meta.url)),
  );
  const chat = await runCli(["chat", "--help"]);
  assert.equal(
    chat.out,
    Deno.readTextFileSync(
      new URL("./golden/cli/help_chat.txt", import.meta.url),
    ),
  );
  for (
    const command of [
      "chat",
      "video",
      "batch",
      "run",
      "graph",
      "dashboard",
      "inspect",
      "doctor",
    ]
  ) {
    for (const columns of [40, 80]) {
      const shell = fakeShell({ terminal: true, columns });
      const outcome = await runCli([command, "--help"], { shell });
      assert.equal(outcome.code, 0);
      assert.match(outcome.out, /Usage: tessera/);
      const text = outcome.out.split("\nExamples\n")[0]!;
      for (const line of text.split("\n")) {
        assert.ok(line.length <= columns, `${columns}: ${line}`);
      }
    }
  }
});

Deno.test("version and completions", async () => {
  const outcome = await runCli(["--version"]);
  assert.match(outcome.out, /^tessera \d+\.\d+\.\d+\n$/);
  const { code, out } = await runCli(["--completions", "bash"]);
  assert.equal(code, 0);
  assert.match(out, /complete -F _tessera/);
  assert.match(out, /--max-new-tokens/);
});
