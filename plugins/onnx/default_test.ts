import assert from "node:assert/strict";
import { Context, Effect, Layer, Logger, References } from "effect";
import { BackendError } from "../../nodes/errors.ts";
import { Backend } from "./backend.ts";
import { BackendChoice, defaultBackend, diagnose, firstOf } from "./default.ts";
import { liveHandles } from "./handles.ts";

const broken = (message: string) =>
  Layer.effect(Backend, Effect.fail(new BackendError({ message })));
const fake = (binding: Backend["binding"]) =>
  Layer.succeed(Backend, {
    binding,
    version: "1.0.0",
    devices: ["cpu"],
    providers: [],
    load: () => Effect.fail(new BackendError({ message: "not asked for" })),
  });
const quiet = Effect.provideService(References.MinimumLogLevel, "None");
const choose = (layer: ReturnType<typeof firstOf>) =>
  Effect.gen(function* () {
    const backend = yield* Backend;
    const choice = yield* BackendChoice;
    return { backend, choice };
  }).pipe(Effect.provide(layer));

Deno.test("the default backend is FFI where it opens", async () => {
  const { backend, choice } = await Effect.runPromise(choose(defaultBackend));
  assert.equal(backend.binding, "ffi");
  assert.deepEqual(choice, { binding: "ffi", reason: undefined });
  assert.equal(liveHandles().env, 0);
});

Deno.test("the default backend falls back, and keeps and shows the reason", async () => {
  const shown: unknown[] = [];
  const logger = Logger.make((entry) => void shown.push(entry.message));
  const { backend, choice } = await Effect.runPromise(
    choose(firstOf(broken("no such library"), fake("napi"))).pipe(
      Effect.provide(Logger.layer([logger])),
    ),
  );
  assert.equal(backend.binding, "napi");
  assert.deepEqual(choice, { binding: "napi", reason: "no such library" });
  assert.match(String(shown), /no such library.*N-API/);
});

Deno.test("without any binding both reasons are told", async () => {
  const error = await Effect.runPromise(Effect.flip(
    quiet(choose(firstOf(broken("no library"), broken("no addon")))),
  ));
  assert.equal(error._tag, "BackendError");
  assert.equal(
    error.message,
    "no binding to ONNX Runtime works here: FFI: no library; N-API: no addon",
  );
});

Deno.test("a first choice that fails half-way is cleaned up before the second", async () => {
  const order: string[] = [];
  const half = Layer.effect(
    Backend,
    Effect.gen(function* () {
      yield* Effect.addFinalizer(() => Effect.sync(() => order.push("closed")));
      return yield* new BackendError({ message: "half-way" });
    }),
  );
  const second = Layer.effect(
    Backend,
    Effect.gen(function* () {
      order.push("second");
      return Context.get(yield* Layer.build(fake("napi")), Backend);
    }),
  );
  await Effect.runPromise(quiet(choose(firstOf(half, second))));
  assert.deepEqual(order, ["closed", "second"]);
});

Deno.test("the diagnosis tells every device, and what a missing one needs", async () => {
  const found = await Effect.runPromise(diagnose());
  assert.equal(found.binding, "ffi");
  assert.match(found.version!, /^1\.\d+\.\d+/);
  assert.match(found.buildInfo!, /Build Info/);
  assert.equal(found.ffiProblem, undefined);
  assert.equal(found.napiProblem, undefined);
  assert.ok(found.providers.includes("CPUExecutionProvider"));
  assert.deepEqual(
    found.devices.map(({ device }) => device),
    ["cpu", "cuda", "webgpu"],
  );
  for (const { device, usable, problem } of found.devices) {
    assert.equal(problem === undefined, usable);
    if (device === "cpu") assert.ok(usable);
    if (problem !== undefined) {
      assert.match(problem, new RegExp(`^device ${device}: `));
      assert.ok(!problem.includes("\n"));
    }
  }
  if (Deno.build.os !== "windows") {
    assert.match(found.library!, /libonnxruntime[^/]*$/);
  }
  assert.equal(liveHandles().env, 0);
  assert.equal(liveHandles().worker, 0);
});
