/**
 * What a loaded model takes and gives.
 * @module
 */
import { BackendError } from "../../../nodes/errors.ts";
import type { ValueInfo } from "../backend.ts";
import { dtypeOfElementType, elementTypeName } from "../dtype.ts";
import type { Pointer } from "./api.ts";
import { cString } from "./library.ts";
import type { OrtRuntime } from "./runtime.ts";

/** Names, dtypes and shapes of a session's inputs or outputs. Throws {@link BackendError}. */
export function valueInfos(
  runtime: OrtRuntime,
  handle: Pointer,
  session: string,
  side: "input" | "output",
): ValueInfo[] {
  const { api } = runtime;
  const what = `session "${session}": reading its ${side}s`;
  const isInput = side === "input";
  const count = Number(
    runtime.outWord(
      what,
      (out) =>
        isInput
          ? api.sessionGetInputCount(handle, out)
          : api.sessionGetOutputCount(handle, out),
    ),
  );
  const infos: ValueInfo[] = [];
  for (let i = 0; i < count; i++) {
    const text = runtime.out(
      what,
      (out) =>
        (isInput ? api.sessionGetInputName : api.sessionGetOutputName)(
          handle,
          i,
          runtime.defaultAllocator,
          out,
        ),
    );
    const name = cString(text);
    runtime.check(api.allocatorFree(runtime.defaultAllocator, text), what);
    const typeInfo = runtime.create(
      "typeInfo",
      what,
      (out) =>
        (isInput ? api.sessionGetInputTypeInfo : api.sessionGetOutputTypeInfo)(
          handle,
          i,
          out,
        ),
    );
    try {
      infos.push(valueInfo(runtime, typeInfo, name, what));
    } finally {
      runtime.release("typeInfo", typeInfo);
    }
  }
  return infos;
}

function valueInfo(
  runtime: OrtRuntime,
  typeInfo: Pointer,
  name: string,
  what: string,
): ValueInfo {
  const { api } = runtime;
  // Belongs to typeInfo; null where the value is no tensor.
  const info = runtime.out(
    what,
    (out) => api.castTypeInfoToTensorInfo(typeInfo, out),
  );
  if (info === null) {
    throw new BackendError({
      message:
        `${what}: "${name}" is a sequence or map; only tensors are supported`,
    });
  }
  const type = Number(
    runtime.outWord(what, (out) => api.getTensorElementType(info, out)),
  );
  const dtype = dtypeOfElementType(type);
  if (dtype === undefined) {
    throw new BackendError({
      message: `${what}: "${name}" has element type ${
        elementTypeName(type)
      }, which is not supported; cast it in the graph`,
    });
  }
  const rank = Number(
    runtime.outWord(what, (out) => api.getDimensionsCount(info, out)),
  );
  const extents = new BigInt64Array(Math.max(1, rank));
  const symbols = new BigUint64Array(Math.max(1, rank));
  runtime.check(api.getDimensions(info, extents, rank), what);
  runtime.check(api.getSymbolicDimensions(info, symbols, rank), what);
  const shape = Array.from(
    { length: rank },
    (_, d) =>
      extents[d] >= 0n
        ? Number(extents[d])
        : cString(Deno.UnsafePointer.create(symbols[d])) || "?",
  );
  return { name, dtype, shape };
}
