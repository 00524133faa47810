import assert from "node:assert/strict";
import { decodePicture, loadSharp } from "./decode.ts";

Deno.test("a picture is read even if another thread blocks its loader for a moment", async () => {
  const sharp = await loadSharp();
  const operation = ["VipsForeignLoadPng"];
  const png = new Uint8Array(
    await sharp({
      create: { width: 2, height: 3, channels: 3, background: "red" },
    }).png().toBuffer(),
  );
  const read = () => decodePicture(sharp, png, 100);
  try {
    sharp.block({ operation });
    setTimeout(() => sharp.unblock({ operation }), 15);
    const { width, height } = await read();
    assert.deepEqual([width, height], [2, 3]);
    sharp.block({ operation });
    await assert.rejects(read, /damaged or unusual PNG/);
  } finally {
    sharp.unblock({ operation });
  }
});
