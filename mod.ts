/**
 * Tessera: vision-language pipelines for the InternVL-Chat family on ONNX Runtime.
 * @module
 */
export * from "./sdk/mod.ts";
