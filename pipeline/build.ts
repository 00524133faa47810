/** The builder behind `pipeline`. @module */
import type {
  AnyPipeline,
  GraphBuilder,
  Handles,
  PipelineOptions,
} from "./graph.ts";
export function buildPipeline(
  _n: string,
  _b: (g: GraphBuilder) => Handles,
  _o: PipelineOptions,
): AnyPipeline {
  throw new Error("building");
}
