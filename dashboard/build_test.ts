import assert from "node:assert/strict";
import { build } from "./build.ts";

const mayRun = Deno.permissions.querySync({ name: "run" }).state === "granted";

Deno.test({
  name: "what the browser gets was built from the committed pages",
  ignore: !mayRun,
  fn: async () => {
    for (const [name, text] of Object.entries(await build())) {
      const file = new URL(`./generated/${name}`, import.meta.url);
      assert.ok(
        await Deno.readTextFile(file) === text,
        `dashboard/generated/${name} is old: run \`deno task dashboard:build\``,
      );
    }
  },
});
