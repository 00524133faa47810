import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { soak } from "./soak_kit.ts";

const nano = fileURLToPath(new URL("../../../models/nano", import.meta.url));

Deno.test("soak: mixed requests, none stuck, none answered otherwise than alone, no handle left", async () => {
  const { ended, reused, handles } = await soak(nano, 150, 1);
  assert.ok(ended.answered > 40, JSON.stringify(ended));
  assert.ok(ended.cancelled > 5, JSON.stringify(ended));
  assert.ok(reused > 0.2, `${reused}`);
  // Views and bindings are made when they are first used: the number grows at first, and has an end.
  assert.ok(handles.at(-1)! < 4000, handles.join());
});
