/**
 * Running effects as tests.
 * @module
 */
import { Effect, type Layer, type Scope } from "effect";
import { Backend } from "../backend.ts";

/** A test whose body is an effect with a backend and a scope. */
export function effectTest<E1, E2>(
  name: string,
  layer: Layer.Layer<Backend, E1>,
  body: (
    backend: Backend,
  ) => Effect.Effect<void, E2, Scope.Scope>,
): void {
  Deno.test(name, () =>
    Effect.runPromise(
      Effect.gen(function* () {
        yield* body(yield* Backend);
      }).pipe(Effect.scoped, Effect.provide(layer)),
    ));
}
