/**
 * ONNX Runtime for Tessera: sessions behind one interface, with two bindings.
 *
 * ```ts
 * import { Effect } from "effect";
 * import { Backend, defaultBackend } from "./mod.ts";
 *
 * const program = Effect.gen(function* () {
 *   const backend = yield* Backend;
 *   return `${backend.binding} ${backend.version}`;
 * });
 * console.log(await Effect.runPromise(Effect.provide(program, defaultBackend)));
 * ```
 * @module
 */
export * from "./backend.ts";
export {
  BackendChoice,
  defaultBackend,
  type DeviceDiagnosis,
  diagnose,
  type OnnxDiagnosis,
} from "./default.ts";
export { ffiBackend } from "./ffi/mod.ts";
export {
  type Attribute,
  attribute,
  type ExternalData,
  GraphBuilder,
  type GraphOptions,
  type GraphValue,
  type NodeOptions,
  type SymbolicShape,
} from "./graph.ts";
export { type HandleKind, liveHandles } from "./handles.ts";
export { napiBackend } from "./napi/mod.ts";
export { prepareRun, startRun, Stopped } from "./running.ts";
