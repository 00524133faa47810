/**
 * The floor under a decoding step: ONNX Runtime's `Run` called with everything bound beforehand,
 * nothing checked, nothing read, nothing chosen.
 * @module
 */
import { Effect, type Scope } from "effect";
import type { BackendError } from "../nodes/errors.ts";
import { type HostTensor, hostTensor, type Tensor } from "../nodes/tensor.ts";
import type { LanguageConfig } from "../plugins/internvl/config.ts";
import { KvPool } from "../plugins/internvl/engine/pool.ts";
import { RotaryTables } from "../plugins/internvl/generate/rope.ts";
import { noVisual } from "../plugins/internvl/generate/visual.ts";
import type { Pointer } from "../plugins/onnx/ffi/api.ts";
import { libraryNames, toCString } from "../plugins/onnx/ffi/library.ts";
import {
  addressOf,
  createValue,
  NativeTensor,
} from "../plugins/onnx/ffi/memory.ts";
import { openRuntime, type OrtRuntime } from "../plugins/onnx/ffi/runtime.ts";
import type { RunOptions, Session } from "../plugins/onnx/mod.ts";

/** Steps of a language model over the C API. */
export interface BareSteps {
  /** One step off the event loop, as the backend makes it; `position` is the token's. */
  readonly step: (position: number) => Promise<void>;
  /** One step on the calling thread, which it blocks. */
  readonly blockingStep: (position: number) => void;
  /** Writes the whole cache: memory that was never written costs nothing to read. */
  readonly fill: () => void;
}

/** What the backend does around `Run`, seen from outside. */
export interface Tap {
  /** Called when a run has ended, with the times it began and ended at; its result waits for it. */
  after: ((began: number, ended: number) => Promise<void> | void) | undefined;
  /** Puts the original back. */
  readonly remove: () => void;
}

/** Stands between the FFI backend and `Run`. */
export function tap(runtime: OrtRuntime): Tap {
  const api = runtime.api as { run: typeof runtime.api.run };
  const { run } = api;
  const seen: Tap = {
    after: undefined,
    remove: () => void (api.run = run),
  };
  api.run = async (...args) => {
    const began = performance.now();
    const status = await run(...args);
    await seen.after?.(began, performance.now());
    return status;
  };
  return seen;
}

/** Binds everything a step needs; room for `capacity` tokens. */
export const bareSteps: (
  session: Session,
  config: LanguageConfig,
  capacity: number,
) => Effect.Effect<BareSteps, BackendError, Scope.Scope> = Effect.fnUntraced(
  function* (session, config, capacity) {
    const runtime = yield* openRuntime;
    const { api } = runtime;
    const pool = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new KvPool({
          session,
          config,
          kvCache: "float32",
          rotary: new RotaryTables(config),
        })
      ),
      (pool) => Effect.promise(() => pool.close()),
    );
    const cache = yield* Effect.promise(async () => {
      await pool.resize(1, capacity, []);
      return await pool.window(0, 1);
    });
    const ids = new BigInt64Array([7n]);
    const last = new Int32Array(1);
    const total = new Int32Array([1]);
    const none = noVisual(config.hiddenSize);
    const feeds: Record<string, Tensor> = {
      ...cache.feeds,
      seqlens_k: hostTensor("int32", [1], last),
      total_sequence_length: hostTensor("int32", [], total),
      input_ids: hostTensor("int64", [1, 1], ids),
      logit_rows: hostTensor("int64", [1], new BigInt64Array(1)),
      visual_embeds: none.embeds,
      visual_rows: none.rows,
    };
    const native = yield* sessionPointer(runtime, session, feeds, cache.into);

    const values: Pointer[] = [];
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const value of values) runtime.release("value", value);
      })
    );
    const nothing = new Uint8Array(8);
    const handle = (tensor: Tensor): bigint => {
      if (tensor instanceof NativeTensor) return tensor.valueAddress;
      const { data, dtype, shape } = tensor as HostTensor;
      const value = createValue(
        runtime,
        runtime.cpuMemory,
        addressOf(data.byteLength === 0 ? nothing : data),
        data.byteLength,
        dtype,
        shape,
      );
      values.push(value);
      return Deno.UnsafePointer.value(value);
    };
    const names = (list: readonly string[]) => {
      const texts = list.map(toCString);
      return { texts, addresses: BigUint64Array.from(texts, addressOf) };
    };
    const inputNames = names(Object.keys(feeds));
    const inputs = BigUint64Array.from(Object.values(feeds), handle);
    const outputNames = names([...Object.keys(cache.into), "logits"]);
    const outputs = BigUint64Array.from([
      ...Object.values(cache.into).map(handle),
      0n,
    ]);
    const options = runtime.create(
      "runOptions",
      "run options",
      (out) => api.createRunOptions(out),
    );
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => runtime.release("runOptions", options))
    );
    const call = [
      native,
      options,
      inputNames.addresses,
      inputs,
      inputs.length,
      outputNames.addresses,
      outputs.length,
      outputs,
    ] as const;
    const prepare = (position: number) => {
      last[0] = position;
      total[0] = position + 1;
      outputs[outputs.length - 1] = 0n;
    };
    const finish = (status: Pointer) => {
      runtime.check(status, "a bare run");
      api.releaseValue(Deno.UnsafePointer.create(outputs[outputs.length - 1]));
      // Names and numbers must outlive the call.
      void [inputNames.texts, outputNames.texts, feeds, nothing];
    };
    const { run } = api;
    const blockingRun = bindBlockingRun();
    return {
      fill: () => {
        for (const { host } of Object.values(cache.into)) {
          (host as Float32Array).fill(0.01);
        }
      },
      step: async (position) => {
        prepare(position);
        finish(await run(...call));
      },
      blockingStep: (position) => {
        prepare(position);
        finish(blockingRun(...call));
      },
    };
  },
);

/** The `OrtSession*`: what the backend hands to its next run. */
const sessionPointer = Effect.fnUntraced(function* (
  runtime: OrtRuntime,
  session: Session,
  feeds: Readonly<Record<string, Tensor>>,
  into: RunOptions["into"],
) {
  const api = runtime.api as { run: typeof runtime.api.run };
  const { run } = api;
  let pointer: Pointer = null;
  api.run = (first, ...rest) => {
    pointer = first;
    return run(first, ...rest);
  };
  yield* Effect.ensuring(
    session.run(feeds, { into, outputs: ["logits"] }),
    Effect.sync(() => api.run = run),
  );
  return pointer as Pointer;
});

type Arguments = Parameters<OrtRuntime["api"]["run"]>;

/** `Run` again, this time bound so that it blocks. */
function bindBlockingRun(): (...args: Arguments) => Pointer {
  for (const name of libraryNames(Deno.build.os)) {
    let library;
    try {
      library = Deno.dlopen(
        name,
        { OrtGetApiBase: { parameters: [], result: "pointer" } } as const,
      );
    } catch {
      continue;
    }
    const base = new Deno.UnsafePointerView(library.symbols.OrtGetApiBase()!);
    const getApi = new Deno.UnsafeFnPointer(
      base.getPointer(0) as Deno.PointerObject<never>,
      { parameters: ["u32"], result: "pointer" } as const,
    );
    const table = new Deno.UnsafePointerView(getApi.call(24)!);
    const run = new Deno.UnsafeFnPointer(
      table.getPointer(9 * 8) as Deno.PointerObject<never>,
      {
        parameters: [
          "pointer",
          "pointer",
          "buffer",
          "buffer",
          "usize",
          "buffer",
          "usize",
          "buffer",
        ],
        result: "pointer",
      } as const,
    );
    return (session, options, inputNames, inputs, ins, names, outs, outputs) =>
      run.call(
        session,
        options,
        inputNames,
        inputs,
        BigInt(ins),
        names,
        BigInt(outs),
        outputs,
      );
  }
  throw new Error("libonnxruntime is not loaded");
}
