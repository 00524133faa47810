import assert from "node:assert/strict";
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
