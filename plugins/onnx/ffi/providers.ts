/**
 * Execution providers of the FFI backend.
 * @module
 */
import { BackendError } from "../../../nodes/errors.ts";
import type { Device } from "../backend.ts";
import type { Pointer } from "./api.ts";
import { toCString } from "./library.ts";
import { addressOf } from "./memory.ts";
import type { OrtRuntime } from "./runtime.ts";

/** ONNX Runtime's name of a device's provider. */
export const providerName: Readonly<Record<Device, string>> = {
  cpu: "CPUExecutionProvider",
  cuda: "CUDAExecutionProvider",
  webgpu: "WebGpuExecutionProvider",
};

/** Puts a device's provider before the CPU's. Throws {@link BackendError}. */
export function appendProvider(
  runtime: OrtRuntime,
  options: Pointer,
  device: Device,
  deviceId: number,
): void {
  const { api } = runtime;
  if (device === "cpu") return;
  if (device === "webgpu") {
    const list = cStrings([["deviceId", String(deviceId)]]);
    runtime.check(
      api.appendProvider(
        options,
        toCString("WebGPU"),
        list.keys,
        list.values,
        list.count,
      ),
      "device webgpu",
    );
    return;
  }
  if (device !== "cuda") {
    throw new BackendError({
      message: `unknown device "${device}"; expected cpu, cuda or webgpu`,
    });
  }
  const cuda = runtime.create(
    "providerOptions",
    "device cuda",
    (out) => api.createCudaProviderOptions(out),
  );
  try {
    const list = cStrings([
      ["device_id", String(deviceId)],
      // A KV cache is one large block: no doubling of the arena for it.
      ["arena_extend_strategy", "kSameAsRequested"],
      // The default tries every algorithm for every new shape.
      ["cudnn_conv_algo_search", "HEURISTIC"],
      // TF32 keeps 10 bits of the mantissa: float32 models must give float32 results.
      ["use_tf32", "0"],
    ]);
    runtime.check(
      api.updateCudaProviderOptions(cuda, list.keys, list.values, list.count),
      "device cuda",
    );
    runtime.check(api.appendCudaProvider(options, cuda), "device cuda");
  } finally {
    runtime.release("providerOptions", cuda);
  }
}

/** Two arrays of C strings; `texts` keeps the characters alive. */
function cStrings(entries: readonly (readonly [string, string])[]): {
  keys: BigUint64Array<ArrayBuffer>;
  values: BigUint64Array<ArrayBuffer>;
  count: number;
  texts: Uint8Array<ArrayBuffer>[];
} {
  const texts: Uint8Array<ArrayBuffer>[] = [];
  const address = (text: string) => {
    const bytes = toCString(text);
    texts.push(bytes);
    return addressOf(bytes);
  };
  return {
    keys: BigUint64Array.from(entries, ([key]) => address(key)),
    values: BigUint64Array.from(entries, ([, value]) => address(value)),
    count: entries.length,
    texts,
  };
}
