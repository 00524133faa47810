import assert from "node:assert/strict";
import { Effect, Layer } from "effect";
import { CheckpointError } from "../../nodes/errors.ts";
import { ModelInfo } from "../../nodes/services.ts";
import { Backend, ffiBackend } from "../onnx/mod.ts";
import { internvl } from "./mod.ts";
import { failure, withFolder } from "./testing.ts";

/** The files of `models/nano`. */
async function nano(): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {};
  for await (const { name } of Deno.readDir("models/nano")) {
    files[name] = await Deno.readFile(`models/nano/${name}`);
  }
  return files;
}

/** A backend that calls `before` ahead of every session it makes, `after` behind it. */
const watched = (before: () => Promise<void>, after: () => Promise<void>) =>
  Layer.effect(
    Backend,
    Effect.map(Backend, (backend): typeof Backend.Service => {
      const load: typeof backend.load = (...args) =>
        Effect.promise(before).pipe(
          Effect.andThen(backend.load(...args)),
          Effect.tap(() => Effect.promise(after)),
        );
      // Not spread: to ask for its devices wakes their drivers.
      return Object.create(backend, { load: { value: load } });
    }),
  ).pipe(Layer.provide(ffiBackend));

Deno.test("weights that change or vanish while they are loaded are no model", async () => {
  const nothing = () => Promise.resolve();
  const changes: [string, (file: string) => Promise<void>, RegExp][] = [
    [
      "zeros in their place",
      async (file) => {
        using open = await Deno.open(file, { write: true });
        await open.seek(9_000_000, Deno.SeekMode.Start);
        await open.write(new Uint8Array(1000));
      },
      /DIR was changed while it was read/,
    ],
    [
      "a file taken away",
      (file) => Deno.remove(file).catch(() => {}),
      /DIR has neither model\.safetensors nor/,
    ],
    [
      "a file cut off",
      (file) => Deno.truncate(file, 9_000_000),
      /DIR\/model\.safetensors: .*truncated or damaged/,
    ],
  ];
  const files = await nano();
  for (const [what, change, message] of changes) {
    for (const early of [true, false]) {
      // Pages of a file that has been cut cannot be read any more.
      if (!early && what === "a file cut off") continue;
      await withFolder(files, async (dir) => {
        const now = () => change(`${dir}/model.safetensors`);
        const layer = internvl(dir, { threads: 1 }).pipe(
          Layer.provide(early ? watched(now, nothing) : watched(nothing, now)),
        );
        const error = await failure(Effect.provide(ModelInfo, layer));
        assert.ok(error instanceof CheckpointError, `${what}: ${error}`);
        assert.match(error.message.replaceAll(dir, "DIR"), message, what);
      });
    }
  }
});
