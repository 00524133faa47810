import assert from "node:assert/strict";
import { Effect, Fiber } from "effect";
import { Pool, type Thread, ThreadError } from "./thread.ts";

type Message = string | number;
const module = new URL("./test_worker.ts", import.meta.url);

const call = (message: Message) => (thread: Thread<Message>) =>
  Effect.tryPromise({
    try: () => thread.call<Message>(message),
    catch: (error) => error as Error,
  });

async function withPool(
  size: number,
  body: (pool: Pool<Message>) => Effect.Effect<void, unknown>,
): Promise<void> {
  const pool = new Pool<Message>(module, size);
  try {
    await Effect.runPromise(body(pool));
  } finally {
    await pool.close();
  }
  assert.equal(pool.size, 0);
}

Deno.test("workers start when they are needed and are used again", () =>
  withPool(
    3,
    (pool) =>
      Effect.gen(function* () {
        assert.equal(pool.size, 0);
        assert.equal(yield* pool.use(call(1)), 1);
        assert.equal(yield* pool.use(call(2)), 2);
        assert.equal(pool.size, 1);
        const values = yield* Effect.forEach(
          [5, 4, 3, 2, 1],
          (n) => pool.use(call(n)),
          { concurrency: "unbounded" },
        );
        assert.deepEqual(values, [5, 4, 3, 2, 1]);
        assert.equal(pool.size, 3);
      }),
  ));

Deno.test("a refusal is an error, and the worker goes on", () =>
  withPool(1, (pool) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(pool.use(call("fail")));
      assert.ok(error instanceof ThreadError);
      assert.equal(error.message, "cannot do that");
      assert.equal(yield* pool.use(call(0)), 0);
      assert.equal(pool.size, 1);
    })));

Deno.test("a worker that dies is replaced", () =>
  withPool(1, (pool) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(pool.use(call("throw")));
      assert.ok(!(error instanceof ThreadError));
      assert.equal(yield* pool.use(call(7)), 7);
      assert.equal(pool.size, 1);
    })));

Deno.test("an interrupted user's worker is lent again only after its answer", () =>
  withPool(1, (pool) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(pool.use(call(30)));
      yield* Effect.sleep(1);
      yield* Fiber.interrupt(fiber);
      // The late answer to the first message must not be taken for this one's.
      assert.equal(yield* pool.use(call(1)), 1);
    })));

Deno.test("closing waits for the answer that is under way", async () => {
  const pool = new Pool<Message>(module, 2);
  const fiber = Effect.runFork(pool.use(call(50)));
  await new Promise((resolve) => setTimeout(resolve, 1));
  await Effect.runPromise(Fiber.interrupt(fiber));
  await pool.close();
  assert.equal(pool.size, 0);
  const error = await Effect.runPromise(Effect.flip(pool.use(call(1))));
  assert.match(error.message, /a worker cannot be started: it was closed/);
});

Deno.test("a module that is not there is an error, not a hang", async () => {
  const pool = new Pool<Message>(new URL("./no_such.ts", import.meta.url), 1);
  const error = await Effect.runPromise(Effect.flip(pool.use(call(1))));
  assert.ok(error instanceof Error && !(error instanceof ThreadError));
  await pool.close();
});
