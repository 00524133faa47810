/**
 * What goes wrong in one request, or for it, and leaves the others alone.
 */
import assert from "node:assert/strict";
import { Cause, Deferred, Effect, Exit, Fiber } from "effect";
import { BackendError } from "../../../nodes/errors.ts";
import type { Session } from "../../onnx/mod.ts";
import {
  alone,
  idsOf,
  request,
  text,
  withSession,
  type Wrap,
} from "./engine_kit.ts";

const causeOf = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined;

withSession(
  "who has no memory to grow into fails alone, whichever part of it is missing",
  (open) =>
    Effect.gen(function* () {
      const long = request(text(1, 20), 40);
      const [expected] = yield* alone(open, [long]);
      const broken = new BackendError({ message: "out of memory" });
      let failed = 0;
      for (let part = 1;; part++) {
        let left = Infinity;
        const scarce: Wrap = (session) => ({
          ...session,
          prepare: undefined,
          allocate: ((dtype, shape) =>
            --left === 0
              ? Effect.fail(broken)
              : session.allocate(dtype, shape)) as Session["allocate"],
        });
        const model = yield* open({}, scarce);
        const begun = yield* Deferred.make<void>();
        const fiber = yield* Effect.forkChild(
          model.generate({
            ...long,
            observer: {
              onFirstToken: () => Deferred.doneUnsafe(begun, Effect.void),
            },
          }),
        );
        yield* Deferred.await(begun);
        left = part;
        // Needs a longer slot than there is.
        const other = yield* Effect.exit(
          model.generate(request(text(2, 300), 3)),
        );
        assert.deepEqual(idsOf(yield* Fiber.join(fiber)), expected);
        left = Infinity;
        assert.deepEqual(idsOf(yield* model.generate(long)), expected);
        if (Exit.isSuccess(other)) break;
        assert.equal(causeOf(other), broken);
        failed++;
      }
      // Keys and values of each layer, cosines, sines.
      assert.ok(failed >= 6, `${failed}`);
    }),
);

withSession(
  "an observer that throws fails its own request, whatever it is told",
  (open) =>
    Effect.gen(function* () {
      const requests = [1, 2, 3, 4].map((seed) => request(text(seed, 20), 8));
      const expected = yield* alone(open, requests);
      const broken = new Error("broken");
      for (
        const name of ["onQueued", "onPrefill", "onFirstToken", "onToken"]
      ) {
        // At once, and the next time.
        for (const wanted of name === "onFirstToken" ? [1] : [1, 2]) {
          let told = 0;
          const observer = {
            [name]: () => {
              if (++told === wanted) throw broken;
            },
          };
          const model = yield* open({ slots: 1, chunk: 8 });
          const [first, second, bad, ...rest] = yield* Effect.forEach(
            [
              ...requests.slice(0, 2),
              { ...request(text(9, 20), 8), observer },
              ...requests.slice(2),
            ],
            (request) => Effect.exit(model.generate(request)),
            { concurrency: "unbounded" },
          );
          assert.equal(causeOf(bad!), broken, name);
          const answers = [first!, second!, ...rest].map((exit) =>
            Exit.isSuccess(exit) ? idsOf(exit.value) : causeOf(exit)
          );
          assert.deepEqual(answers, expected);
          const { running, waiting } = yield* model.stats;
          assert.deepEqual([running, waiting], [0, 0]);
        }
      }
    }),
);
