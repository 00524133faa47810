import assert from "node:assert/strict";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { CheckpointError, InternVL } from "../mod.ts";

Deno.test("InternVL.quantize: an abort rejects with its reason, and resume goes on", async () => {
  const out = await Deno.makeTempDir();
  try {
    const controller = new AbortController();
    const settings = { weights: "int4", shardBytes: 500_000 } as const;
    await assert.rejects(
      InternVL.quantize("models/nano", out, {
        ...settings,
        signal: controller.signal,
        onProgress: () => controller.abort(new Error("enough")),
      }),
      /enough/,
    );
    await assert.rejects(
      InternVL.quantize("models/nano", out, {
        ...settings,
        signal: AbortSignal.abort(new Error("at once")),
      }),
      /at once/,
    );
    await assert.rejects(InternVL.load(out), CheckpointError);
    const { bytes, bytesBefore } = await InternVL.quantize("models/nano", out, {
      ...settings,
      resume: true,
    });
    assert.ok(bytes < bytesBefore / 2);
    await using model = await InternVL.load(out, { threads: 1 });
    const { response } = await model.chat({
      images: ["examples/images/shapes.png"],
      question: "What is in the picture?",
      generation: { maxNewTokens: 24 },
    });
    assert.match(response, /circle/);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("InternVL.quantize: folders by their URLs, and what a script without types gives", async () => {
  const out = await Deno.makeTempDir({ prefix: "tessera-quantize-" });
  try {
    const urls = ["models/nano", out].map((path) =>
      pathToFileURL(resolve(path))
    ) as [URL, URL];
    const { bytes } = await InternVL.quantize(...urls, { weights: "int8" });
    assert.ok(bytes > 0);
    for (
      const [given, problem] of [
        [[undefined, out, { weights: "int8" }], /the checkpoint is undefined/],
        [["models/nano", null, { weights: "int8" }], /the copy is null/],
        [["models/nano", `${out}/more`], /weights/],
      ] as const
    ) {
      await assert.rejects(
        InternVL.quantize(...given as unknown as [string, string, never]),
        (error) =>
          error instanceof CheckpointError && problem.test(error.message) &&
          error.stack!.includes(import.meta.filename!),
      );
    }
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});
