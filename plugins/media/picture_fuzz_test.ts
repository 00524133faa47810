import assert from "node:assert/strict";
import { fuzzPictures } from "./picture_fuzz.ts";

Deno.test("damaged pictures give an image or one line", async () => {
  const { images, refused } = await fuzzPictures(240, 42);
  assert.equal(images + refused, 240);
  assert.ok(images > 10 && refused > 10);
});
