/**
 * Runs a plan: a node starts when its inputs are there, and independent nodes run side by side.
 *
 * A worker fiber runs a node and then goes on with one of the nodes that this made ready; the others
 * get workers of their own. So a chain costs no fibers, and nothing polls.
 * @module
 */
import { type Cause, Deferred, Effect, Exit, type Fiber, Scope } from "effect";
import { CapacityError, GraphError } from "./errors.ts";
import { memoized } from "./memoize.ts";
import {
  type Data,
  type Datum,
  datum,
  type Plan,
  type PlanNode,
  type PlanSource,
} from "./plan.ts";
import { type AnyPort, list } from "./port.ts";
import {
  errorReport,
  milliseconds,
  previews,
  recorder,
  retryable,
  type Running,
  type RunState,
} from "./state.ts";

/** The elements of a list as values of their own. */
function itemsOf(value: Datum, element: AnyPort): readonly Datum[] {
  return value.items ??= (value.value as readonly unknown[]).map((item) =>
    datum(element, item)
  );
}

function read(
  source: PlanSource,
  inputs: Data,
  results: readonly Data[],
): Datum {
  switch (source.type) {
    case "input":
      return inputs[source.name]!;
    case "constant":
      return source.datum;
    case "node":
      return results[source.index]![source.port]!;
    case "list": {
      const items = source.items.map((item) => read(item, inputs, results));
      return gather(source.port, items);
    }
  }
}

function gather(port: AnyPort, items: readonly Datum[]): Datum {
  return {
    port,
    value: items.map(({ value }) => value),
    digest: undefined,
    stamp: undefined,
    items,
  };
}

/** Runs a plan; `prefix` stands before the paths of its nodes. */
export function execute(
  run: RunState,
  plan: Plan,
  inputs: Data,
  prefix: string,
): Running<Data> {
  const { nodes } = plan;
  const results = new Array<Data>(nodes.length);
  const outputs = (): Data => {
    const made: Record<string, Datum> = {};
    for (const [name, source] of plan.outputs) {
      made[name] = read(source, inputs, results);
    }
    return made;
  };
  if (nodes.length === 0) return Effect.sync(outputs);
  const waits = nodes.map((node) => node.waits);
  const fibers = new Set<Fiber.Fiber<void, unknown>>();
  const done = Deferred.makeUnsafe<void, unknown>();
  let failure: Cause.Cause<unknown> | undefined;
  let stopping = false;
  // One for the loop below that starts the first workers.
  let open = 1;
  const close = (): void => {
    open--;
    if (open > 0) return;
    Deferred.doneUnsafe(
      done,
      failure === undefined ? Effect.void : Effect.failCause(failure),
    );
  };
  const settle = (
    fiber: Fiber.Fiber<void, unknown>,
    exit: Exit.Exit<void, unknown>,
  ): void => {
    fibers.delete(fiber);
    if (Exit.isFailure(exit) && failure === undefined) {
      failure = exit.cause;
      stop();
    }
    close();
  };
  const stop = (): void => {
    stopping = true;
    for (const fiber of fibers) fiber.interruptUnsafe();
  };
  // Uninterruptible, so that no worker exists that nobody would interrupt.
  const spawn = (index: number): Running<void> =>
    Effect.uninterruptible(
      Effect.map(Effect.forkDetach(worker(index)), (fiber) => {
        open++;
        fibers.add(fiber);
        fiber.addObserver((exit) => settle(fiber, exit));
        // Between the fork and here the others may have been stopped.
        if (stopping) fiber.interruptUnsafe();
      }),
    );
  /**
   * Those of `ready` that need a worker, and those that become ready by the others: a node that is mapped
   * over nothing is done at once, and costs no fiber.
   */
  const workersFor = (ready: number[]): readonly number[] => {
    const first: number[] = [];
    // It grows while it is read: a graph may be deeper than the stack.
    for (const index of ready) {
      const made = mappedOverNothing(nodes[index]!, inputs, results);
      if (made === undefined) first.push(index);
      else {
        results[index] = made;
        ready.push(...followersOf(index));
      }
    }
    return first;
  };
  /** Followers of a node for which nothing else is missing. */
  const followersOf = (index: number): number[] =>
    nodes[index]!.followers.filter((follower) => --waits[follower]! === 0);
  const worker = Effect.fnUntraced(function* (first: number) {
    let index: number | undefined = first;
    while (index !== undefined) {
      const node: PlanNode = nodes[index]!;
      results[index] = yield* runNode(run, plan, node, inputs, results, prefix);
      const next = workersFor(followersOf(index));
      for (let i = 1; i < next.length; i++) yield* spawn(next[i]!);
      index = next[0];
    }
  });
  return Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const ready = [...nodes.keys()].filter((index) =>
        nodes[index]!.waits === 0
      );
      for (const index of workersFor(ready)) yield* spawn(index);
      close();
      yield* Effect.onInterrupt(restore(Deferred.await(done)), () => {
        stop();
        return Effect.asVoid(Effect.exit(Deferred.await(done)));
      });
      return outputs();
    })
  );
}

function runNode(
  run: RunState,
  plan: Plan,
  node: PlanNode,
  inputs: Data,
  results: readonly Data[],
  prefix: string,
): Running<Data> {
  const given: Record<string, Datum> = {};
  for (const { name, port, source } of node.inputs) {
    given[name] = source === undefined
      ? datum(port, undefined, "absent")
      : read(source, inputs, results);
  }
  const path = prefix + node.node.id;
  return node.node.each
    ? runEach(run, plan, node, given, path)
    : runOnce(run, plan, node, given, path);
}

/** The empty results of a node whose mapped lists are all empty; `undefined` for any other. */
function mappedOverNothing(
  node: PlanNode,
  inputs: Data,
  results: readonly Data[],
): Data | undefined {
  if (!node.node.each) return undefined;
  for (const { mapped, source } of node.inputs) {
    if (!mapped) continue;
    const { value } = read(source!, inputs, results);
    if ((value as readonly unknown[]).length > 0) return undefined;
  }
  const made: Record<string, Datum> = {};
  for (const [name, port] of node.outputs) made[name] = gather(list(port), []);
  return made;
}

/** Runs a mapped node once for every element, in order of the results, not of the work. */
function runEach(
  run: RunState,
  plan: Plan,
  node: PlanNode,
  given: Data,
  path: string,
): Running<Data> {
  const mapped = node.inputs.filter((input) => input.mapped);
  const lists = mapped.map(({ name }) => {
    const value = given[name]!;
    return itemsOf(value, value.port.element!);
  });
  const count = lists[0]!.length;
  const odd = lists.findIndex((items) => items.length !== count);
  if (odd >= 0) {
    const [first, other] = [mapped[0]!.name, mapped[odd]!.name];
    return Effect.fail(
      new GraphError({
        message:
          `pipeline "${plan.name}": node "${path}": the list "${first}" has ${count} elements and "${other}" has ${
            lists[odd]!.length
          }; lists that are mapped together must be equally long`,
        place: { pipeline: plan.name, node: path, port: other },
      }),
    );
  }
  const element = (index: number): Running<Data> => {
    const one: Record<string, Datum> = { ...given };
    for (const [i, { name }] of mapped.entries()) {
      one[name] = lists[i]![index]!;
    }
    return runOnce(run, plan, node, one, `${path}[${index}]`);
  };
  return Effect.map(
    Effect.forEach(Array.from({ length: count }, (_, i) => i), element, {
      concurrency: concurrencyOf(run, node),
    }),
    (elements) => {
      const made: Record<string, Datum> = {};
      for (const [name, port] of node.outputs) {
        made[name] = gather(
          list(port),
          elements.map((outputs) => outputs[name]!),
        );
      }
      return made;
    },
  );
}

/** As many elements at once as the lanes can use: more would only hold memory. */
function concurrencyOf(run: RunState, node: PlanNode): number | "unbounded" {
  const { work } = node;
  const { concurrency } = node.node.options;
  if (concurrency !== undefined) return concurrency;
  if (work.type === "node") {
    return work.lane === undefined
      ? "unbounded"
      : run.lanes.limit(work.lane) ?? "unbounded";
  }
  let sum = 0;
  for (const lane of work.plan.lanes) {
    if (lane !== undefined) sum += run.lanes.limit(lane) ?? 0;
  }
  // One more than can work, so that the next is ready when one is done.
  return sum === 0 ? "unbounded" : sum + 1;
}

/** Runs a node, or one element of a mapped node, with memo, retries and span. */
function runOnce(
  run: RunState,
  plan: Plan,
  node: PlanNode,
  given: Data,
  path: string,
): Running<Data> {
  const { work } = node;
  const { onValue, memo } = run;
  let body = work.type === "node" && work.memoize && memo !== undefined
    ? memoized(
      run,
      memo,
      node,
      work,
      given,
      path,
      () => attempts(run, plan, node, given, path),
    )
    : attempts(run, plan, node, given, path);
  // The nodes of a pipeline have shown its outputs already.
  if (onValue !== undefined && work.type === "node") {
    body = Effect.tap(body, (outputs) =>
      Effect.forEach(
        node.outputs,
        ([name, port]) => onValue(path, name, port, outputs[name]!.value),
        { discard: true },
      ));
  }
  return Effect.withSpan(body, node.node.kind.kind, {
    attributes: { "tessera.run": run.runId, "tessera.node": path },
    captureStackTrace: false,
  });
}

/** Tries until it succeeds, fails for good, or has been tried often enough. */
function attempts(
  run: RunState,
  plan: Plan,
  node: PlanNode,
  given: Data,
  path: string,
): Running<Data> {
  const { retry } = node;
  if (retry === undefined) {
    return attempt(run, plan, node, given, path, 1, false);
  }
  const { times, delayMs = 0, factor = 1 } = retry;
  const from = (number: number): Running<Data> => {
    const again = number <= times;
    const delay = Math.min(delayMs * factor ** (number - 1), 2 ** 31 - 1);
    return Effect.catchCause(
      inOwnScope(attempt(run, plan, node, given, path, number, again)),
      (cause) =>
        again && retryable(cause)
          ? Effect.flatMap(
            delay > 0 ? Effect.sleep(delay) : Effect.void,
            () => from(number + 1),
          )
          : Effect.failCause(cause),
    );
  };
  return from(1);
}

/** Lets go of what a failed attempt acquired before the next one begins. */
function inOwnScope<A>(effect: Running<A>): Running<A> {
  return Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const outer = yield* Effect.scope;
      const inner = yield* Scope.fork(outer);
      const exit = yield* Effect.exit(
        restore(Effect.provideService(effect, Scope.Scope, inner)),
      );
      if (Exit.isFailure(exit)) yield* Scope.close(inner, exit);
      return yield* exit;
    })
  );
}

function attempt(
  run: RunState,
  plan: Plan,
  node: PlanNode,
  given: Data,
  path: string,
  number: number,
  again: boolean,
): Running<Data> {
  const { work, timeoutMs } = node;
  const { kind } = node.node.kind;
  const composite = work.type === "pipeline";
  const queuedAt = run.now();
  const body = Effect.suspend(() => {
    const startedAt = run.now();
    const facts = {
      node: path,
      kind,
      composite,
      attempt: number,
      queuedMs: milliseconds(startedAt - queuedAt),
    };
    const notes = recorder(
      run,
      path,
      number,
      work.type === "node" ? work.kind.streams : {},
      startedAt,
    );
    if (run.observed) run.emit({ _tag: "NodeStarted", ...facts });
    let working: Running<Data> = composite
      ? execute(run, work.plan, withDefaults(work.plan, given), `${path}/`)
      : Effect.flatMap(
        Effect.suspend(() => {
          const running: unknown = work.kind.run(
            valuesOf(given),
            node.node.params,
            notes.context,
          );
          // Who writes a node without types may return a promise or the outputs themselves.
          return Effect.isEffect(running)
            ? running as ReturnType<typeof work.kind.run>
            : Effect.fail(noEffect(plan, node, path, running));
        }),
        (outputs) => checkOutputs(plan, node, path, outputs),
      );
    if (timeoutMs !== undefined) {
      working = Effect.timeoutOrElse(working, {
        duration: timeoutMs,
        orElse: () =>
          Effect.fail(
            new CapacityError({
              kind: "deadline",
              message:
                `pipeline "${plan.name}": node "${path}" was stopped after ${timeoutMs} ms, its time limit; raise timeoutMs or give it less to do`,
            }),
          ),
      });
    }
    return Effect.onExit(working, (exit) => {
      const ms = milliseconds(run.now() - startedAt);
      const { spans, trace } = notes;
      notes.end();
      if (Exit.isSuccess(exit)) {
        run.reports.push({ ...facts, ms, cached: false, spans });
        if (run.observed) {
          run.emit({
            _tag: "NodeFinished",
            ...facts,
            ms,
            cached: false,
            outputs: previews(exit.value),
            spans,
          });
        }
      } else if (run.observed) {
        const { queuedMs: _, ...rest } = facts;
        run.emit({
          _tag: "NodeFailed",
          ...rest,
          ms,
          error: errorReport(exit.cause),
          willRetry: again && retryable(exit.cause),
        });
      }
      return trace ?? Effect.void;
    });
  });
  const lane = work.type === "node" && work.lane !== undefined
    ? run.lanes.semaphore(work.lane)
    : undefined;
  return lane === undefined ? body : lane.withPermit(body);
}

function valuesOf(given: Data): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const name in given) values[name] = given[name]!.value;
  return values;
}

/** The inputs of a nested pipeline: what was connected, else its defaults. */
function withDefaults(plan: Plan, given: Data): Data {
  const inputs: Record<string, Datum> = {};
  for (const [name, input] of Object.entries(plan.graph.inputs)) {
    const value = given[name];
    inputs[name] = value?.value === undefined && input.default !== undefined
      ? datum(input.port, input.default.value)
      : value ?? datum(input.port, undefined, "absent");
  }
  return inputs;
}

function noEffect(
  plan: Plan,
  node: PlanNode,
  path: string,
  returned: unknown,
): GraphError {
  const what = returned instanceof Promise
    ? "a promise, which Effect.promise takes a function for"
    : `${typeof returned}, which Effect.succeed makes an effect of`;
  return new GraphError({
    message:
      `pipeline "${plan.name}": node "${path}": its run returned no effect but ${what}; ` +
      `the fault is in the kind "${node.node.kind.kind}"`,
    place: { pipeline: plan.name, node: path },
  });
}

function checkOutputs(
  plan: Plan,
  node: PlanNode,
  path: string,
  outputs: Record<string, unknown> | undefined,
): Effect.Effect<Data, GraphError> {
  const data: Record<string, Datum> = {};
  for (const [name, port] of node.outputs) {
    const value = outputs?.[name];
    const missing = value === undefined && port.derived !== "optional";
    // Between nodes that the compiler connected, types have been checked already.
    const mistyped = !missing && plan.graph.origin === "document" &&
      port.is !== undefined && !port.is(value);
    if (missing || mistyped) {
      return Effect.fail(
        new GraphError({
          message: `pipeline "${plan.name}": node "${path}": its result ${
            missing ? "lacks" : "is of the wrong type at"
          } the output "${name}" (${port.name}); the fault is in the kind "${node.node.kind.kind}"`,
          place: { pipeline: plan.name, node: path, port: name },
        }),
      );
    }
    data[name] = datum(port, value);
  }
  return Effect.succeed(data);
}
