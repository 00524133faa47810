import assert from "node:assert/strict";
import { openLibrary, type OrtLibrary, toCString } from "./library.ts";
import { makeRuntime } from "./runtime.ts";

/** The library, whose first `failures` environments fail with `message`; and how many were asked for. */
async function failing(message: string, failures: number) {
  const library = await openLibrary();
  const text = toCString(message);
  const asked = { count: 0 };
  const api: OrtLibrary["api"] = {
    ...library.api,
    createEnv: (...args) =>
      asked.count++ < failures
        ? Deno.UnsafePointer.of(text)
        : library.api.createEnv(...args),
    getErrorMessage: (status) => status,
    releaseStatus: () => {},
  };
  return { library: { ...library, api }, asked };
}

Deno.test("an environment waits for another that is just ending in the process", async () => {
  const { library, asked } = await failing(
    "Only one instance of LoggingManager created with InstanceType::Default can exist",
    2,
  );
  (await makeRuntime(library)).close();
  assert.equal(asked.count, 3);
});

Deno.test("an environment that cannot be made says why, at once", async () => {
  const { library, asked } = await failing("no memory", 2);
  await assert.rejects(makeRuntime(library), {
    name: "BackendError",
    message: "creating the environment: no memory",
  });
  assert.equal(asked.count, 1);
});
