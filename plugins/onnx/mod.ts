/**
 * ONNX Runtime for Tessera: sessions behind one interface, with two bindings.
 * @module
 */
export * from "./backend.ts";
export { ffiBackend } from "./ffi/mod.ts";
export { type HandleKind, liveHandles } from "./handles.ts";
export { napiBackend } from "./napi/mod.ts";
