import assert from "node:assert/strict";

const root = new URL("../../", import.meta.url).pathname;

/** Opens the library in a process of its own, with an empty home and a very long command line. */
async function openIn(
  home: string,
  binding: "ffi" | "napi",
  permissions: readonly string[],
): Promise<string> {
  const info = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json"],
  }).output();
  const { denoDir } = JSON.parse(new TextDecoder().decode(info.stdout));
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--node-modules-dir=manual",
      `--config=${root}deno.json`,
      "--allow-read",
      "--allow-ffi",
      ...permissions,
      "-",
      "a".repeat(100_000),
    ],
    // Where CI is set, the library is silent by itself.
    clearEnv: true,
    env: { HOME: home, DENO_DIR: denoDir, NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const from = (path: string) => JSON.stringify(new URL(path, import.meta.url));
  await writer.write(new TextEncoder().encode(`
    import { Effect } from "effect";
    import { Backend } from ${from("./backend.ts")};
    import { ${binding}Backend } from ${from(`./${binding}/mod.ts`)};
    import { accumulator } from ${from("./testing/models.ts")};
    const opened = Effect.scoped(Effect.gen(function* () {
      const backend = yield* Backend;
      yield* backend.load({ bytes: accumulator() }, { device: "cpu" });
      return "opened";
    }));
    console.log(await Effect.runPromise(Effect.provide(opened, ${binding}Backend)));
  `));
  await writer.close();
  const { stdout, stderr } = await child.output();
  return new TextDecoder().decode(stdout).trim() ||
    new TextDecoder().decode(stderr);
}

for (const binding of ["ffi", "napi"] as const) {
  for (const permissions of [["--allow-env"], []]) {
    Deno.test(`${binding} ${permissions.join(" ")}: ONNX Runtime leaves nothing behind and survives a long command line`, async () => {
      const home = await Deno.makeTempDir();
      try {
        assert.equal(await openIn(home, binding, permissions), "opened");
        assert.deepEqual([...Deno.readDirSync(home)], []);
      } finally {
        await Deno.remove(home, { recursive: true });
      }
    });
  }
}
