import assert from "node:assert/strict";
import { Effect } from "effect";
import { eventsOf } from "../pipeline/store_contract.ts";
import { makeSqliteStore } from "../plugins/sqlite/mod.ts";

const root = new URL("../", import.meta.url);
const day = 86_400_000;

const store = (filename: string) => makeSqliteStore({ filename });

Deno.test("dashboard: --keep-days forgets what is older, and only that", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const filename = `${folder}/runs.sqlite`;
    await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
      const runs = yield* store(filename);
      const now = Date.now();
      for (
        const event of [
          ...eventsOf("ancient", now - 40 * day),
          ...eventsOf("fresh", now - 20 * day),
        ]
      ) runs.record(event);
      yield* Effect.forEach(["ancient", "fresh"], runs.flush);
    })));
    await using process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-check",
        "--no-prompt",
        "--config",
        new URL("deno.json", root).pathname,
        "--allow-read",
        "--allow-env",
        "--allow-ffi",
        "--allow-sys",
        "--allow-write",
        "--allow-net=127.0.0.1",
        new URL("cli.ts", root).pathname,
        ...["dashboard", "--port", "0", "--store", filename],
        ...["--keep-days", "30"],
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
      env: { NO_COLOR: "1", TESSERA_CWD: "" },
    }).spawn();
    let said = "";
    for await (const chunk of process.stdout) {
      said += new TextDecoder().decode(chunk);
      if (said.includes("\n")) break;
    }
    assert.match(said, /^http:\/\/127\.0\.0\.1:\d+\/\n/);
    process.kill("SIGTERM");
    await process.status;
    await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
      const runs = yield* store(filename);
      assert.equal(yield* runs.get("ancient"), undefined);
      assert.notEqual(yield* runs.get("fresh"), undefined);
    })));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
