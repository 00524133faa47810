import assert from "node:assert/strict";
import { Effect } from "effect";
import { eventsOf } from "../pipeline/store_contract.ts";
import { makeSqliteStore } from "../plugins/sqlite/mod.ts";
import { tessera } from "../tests/process_kit.ts";

const day = 86_400_000;

const store = (filename: string) => makeSqliteStore({ filename });

Deno.test("dashboard: a model that is not there is said at the start, as chat says it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const permissions = ["--allow-write", "--allow-net=127.0.0.1"];
    for (const model of [`${folder}/nowhere`, folder]) {
      const [shown, asked] = await Promise.all(
        [
          ["dashboard", "--port", "0", "--store", "none", "--model", model],
          ["chat", "--store", "none", "--model", model, "Hi"],
        ].map((args) => tessera(args, { permissions }).output()),
      );
      const said = new TextDecoder().decode(shown!.stderr);
      assert.equal(shown!.code, 1);
      assert.match(
        said,
        /^tessera: (there is no folder|.*config\.json is missing).*\n$/,
      );
      assert.equal(said, new TextDecoder().decode(asked!.stderr));
      assert.equal(shown!.stdout.length, 0);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

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
      yield* Effect.forEach(["ancient", "fresh"], (id) => runs.flush(id));
    })));
    await using process = tessera(
      ["dashboard", "--port", "0", "--store", filename, "--keep-days", "30"],
      {
        permissions: ["--allow-write", "--allow-net=127.0.0.1"],
        stderr: "null",
      },
    ).spawn();
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
