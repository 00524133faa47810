import assert from "node:assert/strict";
import { Effect, Schema } from "effect";
import { misfit } from "../pipeline/port.ts";
import { Conversation } from "./conversation.ts";
import { History, ImageSource, Prompt, Sample } from "./ports.ts";

Deno.test("a picture's bytes keep their name in JSON, and are what they are without it", async () => {
  const bytes = Uint8Array.of(71, 73, 70);
  const named = { name: "Zürich; 1,5.gif", bytes };
  const text = Schema.encodeUnknownSync(ImageSource.schema!)(named) as string;
  assert.deepEqual(Schema.decodeUnknownSync(ImageSource.schema!)(text), named);
  assert.equal(ImageSource.preview(named), named.name);
  const digest = (source: ImageSource) =>
    Effect.runPromise(ImageSource.digest!(source));
  assert.equal(await digest(named), await digest(bytes));
  assert.ok(!ImageSource.is!({ name: "a.gif", bytes: "GIF" }));
});

const throughJson = <A>(schema: Schema.Codec<A, unknown>, value: A): A =>
  Schema.decodeUnknownSync(schema)(
    JSON.parse(JSON.stringify(Schema.encodeUnknownSync(schema)(value))),
  );

const pixels = {
  width: 3,
  height: 2,
  data: Uint8Array.from({ length: 18 }, (_, i) => i * 14),
};

Deno.test("pixels keep their size, their bytes and their source in JSON", () => {
  const schema = ImageSource.schema!;
  assert.deepEqual(throughJson(schema, pixels), pixels);
  const named = { ...pixels, source: "a.png" };
  assert.deepEqual(throughJson(schema, named), named);
  const icon = "data:image/webp;base64,AAAA";
  assert.deepEqual(throughJson(schema, { ...named, icon }), named);
  const sample = { question: "?", images: [pixels, "a.png"] };
  assert.deepEqual(throughJson(Sample.schema!, sample), sample);
});

Deno.test("what was written of pixels before they kept their size is still bytes", () => {
  assert.deepEqual(
    Schema.decodeUnknownSync(ImageSource.schema!)(
      `data:application/octet-stream;base64,${pixels.data.toBase64()}`,
    ),
    pixels.data,
  );
});

Deno.test("pixels that do not fill their size are refused in JSON", () => {
  const decode = Schema.decodeUnknownSync(ImageSource.schema!);
  const data = pixels.data.toBase64();
  assert.throws(
    () => decode({ width: 3, height: 3, data }),
    Schema.isSchemaError,
  );
  assert.throws(
    () => decode({ width: 3, height: 2, data: "%" }),
    Schema.isSchemaError,
  );
});

Deno.test("what a run store keeps of long texts is bounded", () => {
  const size = (preview: unknown) => JSON.stringify(preview).length;
  const text = "word ".repeat(200_000);
  for (const count of [1, 7, 2048]) {
    const parts = [{ text: text.slice(0, 2_000_000 / count) }];
    const messages = Array(count).fill({ role: "user", parts });
    const turns = Array(count).fill([parts[0]!.text, parts[0]!.text]);
    assert.ok(size(Conversation.preview({ messages })) < 700_000);
    assert.ok(size(History.preview(turns)) < 1_200_000);
  }
  const prompt = { question: "", text, ids: new Int32Array(1), images: [] };
  assert.ok(size(Prompt.preview(prompt)) < 70_000);
  // What people ask is kept whole.
  const question = "What is this? ".repeat(1000);
  assert.deepEqual(
    Conversation.preview({
      messages: [{ role: "user", parts: [{ text: question }] }],
    }),
    { messages: [{ role: "user", text: question }] },
  );
});

Deno.test("what is no picture and no history is told what would be", () => {
  const { images, history } = Sample.fields!;
  const pictures = (value: unknown) => misfit(images!, value, "images");
  assert.match(pictures("a.png"), /^"images" .* string; expected a list, each/);
  for (const wrong of [new Blob([]), new ArrayBuffer(1), Promise.resolve()]) {
    assert.match(
      pictures([wrong]),
      new RegExp(`^"images\\[0\\]" .* ${wrong.constructor.name}; .* a path,`),
    );
  }
  assert.match(
    misfit(history!, [["Q", "A"], ["Q"]], "history"),
    /^"history\[1\]\[1\]": Missing key; .*\[question, answer\]/,
  );
});
