/**
 * Compiles plugins/media/kernel.as to plugins/media/kernel_wasm.ts.
 *
 * The compiler is AssemblyScript, which nothing else needs, so it is kept out of deno.json. From the
 * root of the repository:
 *
 *   deno run --no-config --no-lock --node-modules-dir=none --allow-read --allow-write --allow-env \
 *     tools/media/build_kernel.ts
 *
 * With `--check` it writes nothing and exits with 1 when the committed module is out of date.
 * @module
 */
import { COMPILER } from "../assemblyscript.ts";
import { compileKernel, MODULE, render } from "./kernel_source.ts";

if (import.meta.main) {
  const asc = await import(`npm:${COMPILER}/asc`);
  const text = await render(await compileKernel(asc));
  if (Deno.args.includes("--check")) {
    if (await Deno.readTextFile(MODULE) !== text) {
      console.error("plugins/media/kernel_wasm.ts is out of date");
      Deno.exit(1);
    }
    console.log("plugins/media/kernel_wasm.ts is up to date");
  } else {
    await Deno.writeTextFile(MODULE, text);
    console.log("wrote plugins/media/kernel_wasm.ts");
  }
}
