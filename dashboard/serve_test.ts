import assert from "node:assert/strict";
import { Effect, Exit, Scope } from "effect";
import { serve } from "./serve.ts";

Deno.test("nobody is answered by what is gone already while a server ends", async () => {
  const scope = Effect.runSync(Scope.make());
  let gone = false;
  let letGo = () => {};
  const held = new Promise<void>((resolve) => letGo = resolve);
  const { port } = await Effect.runPromise(
    serve({
      host: "127.0.0.1",
      port: 0,
      make: () =>
        Effect.as(
          Effect.addFinalizer(() =>
            Effect.promise(() => {
              gone = true;
              return held;
            })
          ),
          () => new Response(null, { status: gone ? 500 : 204 }),
        ),
    }).pipe(Effect.provideService(Scope.Scope, scope)),
  );
  const ask = () =>
    fetch(`http://127.0.0.1:${port}/`).then(
      async (response) => {
        await response.body?.cancel();
        return response.status;
      },
      () => "refused" as const,
    );
  assert.equal(await ask(), 204);
  const closed = Effect.runPromise(Scope.close(scope, Exit.void));
  assert.ok(gone);
  assert.equal(await ask(), "refused");
  letGo();
  await closed;
});
