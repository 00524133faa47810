/** What `deno run` lets a script get wrong, because it checks no types. */
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import type { PromptError } from "../nodes/errors.ts";
import { InternVL } from "./internvl.ts";
import {
  batchProblem,
  chatProblem,
  folderOf,
  loadProblem,
  settingsOf,
} from "./request.ts";

const nano = "models/nano";
const shapes = "examples/images/shapes.png";
const question = "Hello!";

Deno.test("a field that looks mistyped is refused, what a caller keeps beside is not", () => {
  const said = (request: unknown) => chatProblem(request)?.message;
  assert.equal(
    said({ question, image: [shapes] }),
    'chat: the request has "image"; did you mean "images"?',
  );
  assert.match(said({ qestion: question })!, /did you mean "question"\?$/);
  assert.match(
    said({ question, maxNewTokens: 5 })!,
    /"maxNewTokens"; "maxNewTokens" belongs into "generation"$/,
  );
  assert.match(
    said({ question, max_new_tokens: 5 })!,
    /"max_new_tokens"; "maxNewTokens" belongs into "generation"$/,
  );
  assert.equal(
    said({ question, id: 7, file: "a.png", label: "circle", expected: "" }),
    undefined,
  );
  for (
    const [request, given] of [[undefined, "undefined"], ["Hello!", "string"], [
      [],
      "a list",
    ], [null, "null"]] as const
  ) {
    assert.equal(
      said(request),
      `chat: the request is ${given}; it must be an object with "question"`,
    );
  }
});

Deno.test("a setting with a wrong value is named as the caller calls it", () => {
  const said = (generation: unknown) =>
    chatProblem({ question, generation })?.message;
  assert.equal(
    said({ maxNewTokens: "5" }),
    'chat: the request has a wrong value: "generation.maxNewTokens": Expected number, got "5"',
  );
  assert.match(said({ stop: "." })!, /"generation\.stop": .* got "\."$/);
  assert.match(said(5)!, /"generation" is no GenerationSettings but number$/);
  assert.equal(said({ maxNewTokens: undefined }), undefined);
  assert.deepEqual(settingsOf({ maxNewTokens: undefined, n: 2 }), { n: 2 });
});

Deno.test("of a batch the sample is named", () => {
  const said = (request: unknown) => batchProblem(request)?.message;
  assert.equal(
    said({ samples: [{ question }, { question, image: [shapes] }] }),
    'batchChat: the request has in samples[1] "image"; did you mean "images"?',
  );
  assert.match(said([{ question }])!, /is a list; .* with "samples"$/);
  assert.match(said({ sample: [] })!, /did you mean "samples"\?$/);
  assert.equal(said({ samples: [{ question, id: 1 }] }), undefined);
});

Deno.test("options of loading are known by their names", () => {
  const said = (options: unknown) => loadProblem(options)?.message;
  assert.equal(
    said({ devise: "cpu" }),
    'there is no option "devise"; did you mean "device"?',
  );
  assert.equal(
    said({ engine: { slot: 2 } }),
    'there is no option of the engine "slot"; did you mean "slots"?',
  );
  assert.match(said(null)!, /must be an object of options/);
  assert.match(said({ store: 5 })!, /^store is number; .* or a RunStore$/);
  assert.equal(said({ device: "cpu", engine: { slots: 1 } }), undefined);
});

Deno.test("a checkpoint is a path or a file: URL", () => {
  const url = pathToFileURL("/a folder/nano");
  assert.equal(folderOf(url), "/a folder/nano");
  assert.equal(folderOf(url.href), "/a folder/nano");
  assert.equal(folderOf(nano), nano);
  const said = (dir: unknown) => {
    const folder = folderOf(dir);
    assert.ok(typeof folder !== "string");
    return folder.message;
  };
  assert.match(said(undefined), /^the checkpoint is undefined; the path/);
  assert.match(said("https://example.org/m"), /download the checkpoint/);
});

Deno.test("mistakes of a script reject, and say where in it they were made", async (t) => {
  await using model = await InternVL.load(pathToFileURL(nano));

  await t.step("nothing throws before there is a promise", async () => {
    const loose = model as unknown as Record<
      "chat" | "batchChat",
      (request?: unknown) => Promise<unknown>
    >;
    const name = "PromptError";
    await assert.rejects(loose.chat(), { name });
    await assert.rejects(loose.batchChat(), { name });
    const stream = (model.chatStream as (request?: unknown) => {
      result: Promise<unknown>;
    }).call(model);
    await assert.rejects(stream.result, { name: "GraphError" });
  });

  await t.step("a setting that is undefined has its default", async () => {
    const generation = { maxNewTokens: 2, temperature: undefined };
    const { usage } = await model.chat({ question, generation });
    assert.equal(usage.completionTokens, 2);
  });

  await t.step("settings are refused before a picture is read", async () => {
    const pattern = "(";
    for (
      const generation of [
        { maxNewTokens: 0 },
        { max_new_tokens: 5 },
        { constraint: { type: "regex", pattern } },
      ] as const
    ) {
      const images = ["no-such.png"];
      const name = "PromptError";
      await assert.rejects(
        model.chat({ question, images, generation }),
        { name },
      );
      await assert.rejects(
        model.batchChat({ samples: [{ question, images }], generation }),
        { name },
      );
    }
  });

  await t.step("a batch's error names the sample", async () => {
    const samples = [{ question }, { question, images: ["no-such.png"] }];
    await assert.rejects(model.batchChat({ samples }), {
      name: "MediaError",
      message: "samples[1]: no-such.png does not exist",
      source: "no-such.png",
    });
    await assert.rejects(
      model.batchChat({ samples: [{ question }, { question: "" }] }),
      { name: "PromptError", message: "samples[1]: the question is empty" },
    );
  });

  await t.step("the stack begins in the script", async () => {
    async function mine() {
      await model.chat({ question: "" });
    }
    const error: PromptError = await mine().then(
      () => assert.fail(),
      (error) => error,
    );
    const [first, second] = error.stack!.split("\n");
    assert.equal(first, "PromptError: the question is empty");
    assert.match(second!, /at mine .*request_test\.ts/);
    // A console shows it as it shows any error.
    assert.ok(Deno.inspect(error).startsWith(`${first}\n${second}\n`));
  });
});
