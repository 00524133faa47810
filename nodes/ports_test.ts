import assert from "node:assert/strict";
import { Effect, Schema } from "effect";
import { ImageSource } from "./ports.ts";

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
