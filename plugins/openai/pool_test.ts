import assert from "node:assert/strict";
import { Context, Deferred, Effect, Exit, Fiber, Scope } from "effect";
import { ModelInfo } from "../../nodes/mod.ts";
import {
  makeModelPool,
  type ModelEntry,
  ModelPool,
  type PoolOptions,
  type ServedServices,
} from "./pool.ts";
import { Place, useModel } from "./request_info.ts";

/** Models that do nothing but come and go. */
function models(sizes: Record<string, number>, fail?: string) {
  const log: string[] = [];
  const entries = Object.entries(sizes).map(([id, bytes]): ModelEntry => ({
    id,
    bytes,
    load: Effect.gen(function* () {
      yield* Effect.yieldNow;
      if (id === fail) {
        return yield* Effect.fail({ _tag: "CheckpointError", message: "gone" });
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => log.push(`+${id}`)),
        () => Effect.sync(() => log.push(`-${id}`)),
      );
      return Context.make(
        ModelInfo,
        { name: id } as ModelInfo,
      ) as Context.Context<
        ServedServices
      >;
    }),
  }));
  return { log, entries };
}

const withPool = <A>(
  { entries }: ReturnType<typeof models>,
  options: PoolOptions,
  body: (pool: ModelPool) => Effect.Effect<A, unknown, Scope.Scope>,
): Promise<A> =>
  Effect.runPromise(Effect.scoped(
    Effect.flatMap(makeModelPool(entries, options), body),
  ));

const touch = (pool: ModelPool, id: string) =>
  Effect.scoped(Effect.map(pool.use(id), ({ info }) => info.name));

Deno.test("a model is loaded once, when it is first asked for, by however many", async () => {
  const made = models({ a: 1, b: 1 });
  await withPool(made, {}, (pool) =>
    Effect.gen(function* () {
      assert.deepEqual(made.log, []);
      yield* Effect.all(
        [touch(pool, "a"), touch(pool, "a"), touch(pool, "a")],
        {
          concurrency: "unbounded",
        },
      );
      assert.deepEqual(made.log, ["+a"]);
      assert.deepEqual(pool.list().map(({ loaded }) => loaded?.id), [
        "a",
        undefined,
      ]);
    }));
  assert.deepEqual(made.log, ["+a", "-a"]);
});

Deno.test("the least recently used idle model leaves when memory is short", async () => {
  const made = models({ a: 4, b: 4, c: 4 });
  await withPool(made, { memoryBytes: 8 }, (pool) =>
    Effect.gen(function* () {
      yield* touch(pool, "a");
      yield* touch(pool, "b");
      yield* touch(pool, "a");
      yield* touch(pool, "c");
      assert.deepEqual(made.log, ["+a", "+b", "-b", "+c"]);
      // One at work cannot leave.
      const error = yield* Effect.scoped(Effect.gen(function* () {
        yield* pool.use("a");
        yield* pool.use("c");
        return yield* Effect.flip(touch(pool, "b"));
      }));
      assert.equal(error.fields.status, 503);
      assert.equal(yield* touch(pool, "b"), "b");
    }));
});

Deno.test("a model larger than the budget is served alone", async () => {
  const made = models({ a: 1, big: 100 });
  await withPool(made, { memoryBytes: 8 }, (pool) =>
    Effect.gen(function* () {
      yield* touch(pool, "a");
      assert.equal(yield* touch(pool, "big"), "big");
      assert.deepEqual(made.log, ["+a", "-a", "+big"]);
    }));
});

Deno.test("a reload lets those who are at work end with the old one", async () => {
  const made = models({ a: 1 });
  await withPool(made, {}, (pool) =>
    Effect.gen(function* () {
      const leave = yield* Deferred.make<void>();
      const working = yield* Effect.forkScoped(Effect.scoped(
        Effect.andThen(pool.use("a"), Deferred.await(leave)),
      ));
      yield* Effect.sleep(1);
      yield* pool.reload;
      assert.deepEqual(made.log, ["+a"]);
      yield* touch(pool, "a");
      assert.deepEqual(made.log, ["+a", "+a"]);
      assert.equal(pool.list()[0]!.users, 1);
      yield* Deferred.succeed(leave, undefined);
      yield* Fiber.join(working);
      assert.deepEqual(made.log, ["+a", "+a", "-a"]);
      assert.equal(pool.list()[0]!.users, 0);
    }));
});

Deno.test("what cannot be loaded is told apart from what is not there, and can be tried again", async () => {
  const made = models({ a: 1, broken: 1 }, "broken");
  const lines: string[] = [];
  await withPool(
    made,
    { onEvent: (line) => lines.push(line) },
    (pool) =>
      Effect.gen(function* () {
        for (const _ of [1, 2]) {
          const error = yield* Effect.flip(touch(pool, "broken"));
          assert.equal(error.fields.status, 503);
          assert.ok(!error.message.includes("gone"));
        }
        assert.ok(lines.includes("cannot load broken: gone"));
        const error = yield* Effect.flip(touch(pool, "none"));
        assert.equal(error.fields.status, 404);
        assert.equal(yield* touch(pool, "a"), "a");
      }),
  );
});

Deno.test("an interrupted load leaves nothing behind", async () => {
  const made = models({ a: 1 });
  const scope = Effect.runSync(Scope.make());
  const pool = await Effect.runPromise(
    Scope.provide(makeModelPool(made.entries), scope),
  );
  const fiber = Effect.runFork(touch(pool, "a"));
  await Effect.runPromise(Fiber.interrupt(fiber));
  assert.equal(await Effect.runPromise(touch(pool, "a")), "a");
  await Effect.runPromise(Scope.close(scope, Exit.void));
  const count = (sign: string) =>
    made.log.filter((line) => line.startsWith(sign)).length;
  assert.equal(count("+"), count("-"));
});

Deno.test("a request whose answer is complete holds no model, however long its client reads", async () => {
  const made = models({ a: 4, b: 4 });
  await withPool(made, { memoryBytes: 4 }, (pool) =>
    Effect.gen(function* () {
      const work = yield* Scope.make();
      const use = (id: string) =>
        Effect.provideService(useModel(id), ModelPool, pool);
      yield* use("a").pipe(
        Effect.provideService(Place, { scope: work, giveBack: Effect.void }),
      );
      assert.ok(Exit.isFailure(yield* Effect.exit(Effect.scoped(use("b")))));
      yield* Scope.close(work, Exit.void);
      yield* Effect.scoped(use("b"));
      assert.deepEqual(made.log, ["+a", "-a", "+b"]);
    }));
});
