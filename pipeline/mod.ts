/**
 * Typed dataflow pipelines: ports, node kinds, graphs that the compiler checks, documents, and the runner
 * with its lanes, memo, events and run store. Knows no picture and no model.
 * @module
 */
export * from "./document.ts";
export * from "./read_document.ts";
export * from "./io.ts";
export * from "./errors.ts";
export * from "./events.ts";
export * from "./graph.ts";
export * from "./handles.ts";
export {
  canonicalJson,
  previewList,
  previewOf,
  previewText,
  sha256,
} from "./json.ts";
export * from "./lanes.ts";
export * from "./memo.ts";
export * from "./memory_store.ts";
export { toMermaid } from "./mermaid.ts";
export type {
  Graph,
  GraphInput,
  GraphNode,
  NodeOptions,
  RetryOptions,
  Source,
} from "./model.ts";
export * from "./node.ts";
export * from "./plugin.ts";
export {
  type AnyPort,
  Bool,
  definePort,
  Json,
  list,
  type ListOf,
  Num,
  type Omittable,
  optional,
  type OptionalOf,
  type PortOptions,
  type Ports,
  type PortType,
  type Preview,
  Text,
  type ValueOf,
} from "./port.ts";
export * from "./run.ts";
export * from "./run_stream.ts";
export type { NodeReport, OnValue } from "./state.ts";
export * from "./run_query.ts";
export * from "./store.ts";
export * from "./summary.ts";
