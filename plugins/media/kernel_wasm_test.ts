import assert from "node:assert/strict";
import { KERNEL_SOURCE_SHA256, KERNEL_WASM } from "./kernel_wasm.ts";
import { COMPILER, sha256 } from "../../tools/assemblyscript.ts";
import { MODULE, render, SOURCE } from "../../tools/media/kernel_source.ts";

Deno.test("the committed kernel was compiled from the committed source", async () => {
  assert.equal(
    await sha256(await Deno.readFile(SOURCE)),
    KERNEL_SOURCE_SHA256,
    "kernel.as was changed: run tools/media/build_kernel.ts",
  );
  const text = await Deno.readTextFile(MODULE);
  const wasm = Uint8Array.fromBase64(KERNEL_WASM);
  assert.equal(text, await render(wasm), "kernel_wasm.ts was edited by hand");
});

// The compiler is no dependency: this runs where programs may be started and npm's cache has it.
const flags = [
  "--quiet",
  "--cached-only",
  "--no-config",
  "--no-lock",
  "--node-modules-dir=none",
];

async function deno(...args: string[]): Promise<boolean> {
  const command = new Deno.Command(Deno.execPath(), {
    args,
    stdout: "null",
    stderr: "null",
  });
  return (await command.output()).success;
}

const mayRun = Deno.permissions.querySync({ name: "run" }).state === "granted";
const hasCompiler = mayRun &&
  await deno("eval", ...flags, `import "npm:${COMPILER}/asc"`);

Deno.test({
  name: "compiling the kernel gives the committed bytes",
  ignore: !hasCompiler,
  fn: async () => {
    const script = new URL(
      "../../tools/media/build_kernel.ts",
      import.meta.url,
    );
    const allowed = ["--allow-read", "--allow-env", "--allow-import"];
    assert.ok(
      await deno("run", ...flags, ...allowed, script.pathname, "--check"),
    );
  },
});
