/**
 * What the tests of pipelines share: an effect as a test, on the test clock, and small node kinds.
 * @module
 */
import { Cause, Effect, Exit, Fiber, Layer, type Scope } from "effect";
import { TestClock, TestConsole } from "effect/testing";
import type { RunEvent } from "./events.ts";
import { defineNode, type NodeKind } from "./node.ts";
import { Num, Text } from "./port.ts";

/** Registers an effect as a test: time is the test clock's, and nothing is printed. */
export function check<E>(
  name: string,
  body: Effect.Effect<void, E, Scope.Scope>,
): void {
  Deno.test(name, async () => {
    const exit = await Effect.runPromiseExit(
      // A first sleep inside a finalizer would otherwise be cut short by the test clock's own warning.
      Effect.andThen(TestClock.adjust(0), Effect.scoped(body)).pipe(
        Effect.provide(Layer.mergeAll(TestClock.layer(), TestConsole.layer)),
      ),
    );
    if (Exit.isFailure(exit)) throw Cause.squash(exit.cause);
  });
}

/** Lets every fiber that can go on go on. */
export const settle: Effect.Effect<void> = Effect.repeat(Effect.yieldNow, {
  times: 50,
}).pipe(Effect.asVoid);

/** Runs an effect and moves the test clock until it ends; tells how long it took on that clock. */
export function timed<A, E, R>(
  effect: Effect.Effect<A, E, R>,
  limit = 1000,
): Effect.Effect<{ readonly ms: number; readonly value: A }, E, R> {
  return Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect);
    for (let ms = 0; ms <= limit; ms++) {
      yield* settle;
      if (fiber.pollUnsafe() !== undefined) {
        return { ms, value: yield* Fiber.join(fiber) };
      }
      yield* TestClock.adjust(1);
    }
    yield* Fiber.interrupt(fiber);
    throw new Error(`still running after ${limit} ms`);
  });
}

/** Adds one. */
export const increment: NodeKind<
  "increment",
  { readonly value: typeof Num },
  { readonly value: typeof Num }
> = defineNode({
  kind: "increment",
  inputs: { value: Num },
  outputs: { value: Num },
  run: ({ value }) => Effect.succeed({ value: value + 1 }),
});

/** Adds two numbers. */
export const sum: NodeKind<
  "sum",
  { readonly a: typeof Num; readonly b: typeof Num },
  { readonly value: typeof Num }
> = defineNode({
  kind: "sum",
  inputs: { a: Num, b: Num },
  outputs: { value: Num },
  run: ({ a, b }) => Effect.succeed({ value: a + b }),
});

/** Text in capitals. */
export const upper: NodeKind<
  "upper",
  { readonly text: typeof Text },
  { readonly text: typeof Text }
> = defineNode({
  kind: "upper",
  inputs: { text: Text },
  outputs: { text: Text },
  run: ({ text }) => Effect.succeed({ text: text.toUpperCase() }),
});

/** A kind that takes `ms` milliseconds in its lane and hands its number on. */
export function slow<const Name extends string>(
  kind: Name,
  ms: number,
  lane?: string,
): NodeKind<
  Name,
  { readonly value: typeof Num },
  { readonly value: typeof Num }
> {
  return defineNode({
    kind,
    inputs: { value: Num },
    outputs: { value: Num },
    ...(lane === undefined ? {} : { lane }),
    run: ({ value }) => Effect.as(Effect.sleep(ms), { value }),
  });
}

/** Events without times and ids, short enough to compare. */
export function brief(events: readonly RunEvent[]): string[] {
  return events.map((event) => {
    switch (event._tag) {
      case "RunStarted":
        return `run ${event.pipeline}`;
      case "NodeStarted":
        return `start ${event.node}${
          event.attempt > 1 ? ` #${event.attempt}` : ""
        }`;
      case "NodeProgress":
        return event.port === undefined
          ? `progress ${event.node} ${event.done}/${event.total}`
          : `delta ${event.node}.${event.port} ${JSON.stringify(event.delta)}`;
      case "NodeFinished":
        return `finish ${event.node}${event.cached ? " cached" : ""}`;
      case "NodeFailed":
        return `fail ${event.node} ${event.error.tag}${
          event.willRetry ? " again" : ""
        }`;
      case "RunFinished":
        return `end ${event.status}`;
    }
  });
}
