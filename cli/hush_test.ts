import assert from "node:assert/strict";

Deno.test("what native code prints is not seen while it is hushed, and again after", async () => {
  const script = `
    import { Effect } from "effect";
    import { hushed } from "${new URL("./hush.ts", import.meta.url)}";
    const say = (text) => Effect.sync(() => Deno.stderr.writeSync(new TextEncoder().encode(text)));
    await Effect.runPromise(say("before "));
    await Effect.runPromise(hushed(say("inside ")));
    await Effect.runPromiseExit(hushed(Effect.andThen(say("failing "), Effect.die("no"))));
    await Effect.runPromise(say("after"));
  `;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--node-modules-dir=manual", "--ext=ts", script],
    cwd: new URL("../", import.meta.url),
    stderr: "piped",
  });
  const { stderr } = await child.output();
  assert.equal(
    new TextDecoder().decode(stderr),
    Deno.build.os === "windows"
      ? "before inside failing after"
      : "before after",
  );
});
