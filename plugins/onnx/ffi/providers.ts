/**
 * Execution providers of the FFI backend: how a session gets one, and, where it cannot, what is missing
 * and how to get it.
 * @module
 */
import { BackendError } from "../../../nodes/errors.ts";
import type { Device } from "../backend.ts";
import type { Pointer } from "./api.ts";
import { oneLine } from "../message.ts";
import { cString, toCString } from "./library.ts";
import { addressOf } from "./memory.ts";
import { LOG_FATAL, type OrtRuntime } from "./runtime.ts";

/** All devices, in order of preference for messages. */
export const allDevices: readonly Device[] = ["cpu", "cuda", "webgpu"];

/** ONNX Runtime's name of a device's provider. */
export const providerName: Readonly<Record<Device, string>> = {
  cpu: "CPUExecutionProvider",
  cuda: "CUDAExecutionProvider",
  webgpu: "WebGpuExecutionProvider",
};

/** Options of the CUDA provider (cuda_execution_provider_info.cc). */
function cudaOptions(deviceId: number): readonly (readonly [string, string])[] {
  return [
    ["device_id", String(deviceId)],
    // A KV cache is one large block: the arena must not double itself for it.
    ["arena_extend_strategy", "kSameAsRequested"],
    // The default tries every algorithm again for every new shape.
    ["cudnn_conv_algo_search", "HEURISTIC"],
    // TF32 keeps 10 bits of the mantissa: a float32 model must give float32 results.
    ["use_tf32", "0"],
  ];
}

/**
 * Puts a device's provider before the CPU's. Throws {@link BackendError}, which says what is missing
 * and how to get it.
 */
export function appendProvider(
  runtime: OrtRuntime,
  options: Pointer,
  device: Device,
  deviceId: number,
): void {
  const { api } = runtime;
  if (!Number.isInteger(deviceId) || deviceId < 0) {
    throw new BackendError({
      message: `deviceId is ${deviceId}; expected a GPU's index from 0`,
    });
  }
  switch (device) {
    case "cpu":
      return;
    case "webgpu": {
      if (deviceId !== 0) {
        throw new BackendError({
          message:
            `device webgpu: deviceId is ${deviceId}, but WebGPU picks the GPU itself; leave it out`,
        });
      }
      const none = new BigUint64Array(1);
      try {
        runtime.check(
          api.appendProvider(options, toCString("WebGPU"), none, none, 0),
          "device webgpu",
        );
      } catch (cause) {
        throw webgpuProblem(cause);
      }
      return;
    }
    case "cuda":
      try {
        appendCuda(runtime, options, deviceId);
      } catch (cause) {
        throw cudaProblem(runtime, cause);
      }
      return;
    default:
      throw new BackendError({
        message: `unknown device "${device}"; expected ${
          allDevices.join(", ")
        }`,
      });
  }
}

function appendCuda(
  runtime: OrtRuntime,
  options: Pointer,
  deviceId: number,
): void {
  const { api } = runtime;
  const cuda = runtime.create(
    "providerOptions",
    "device cuda",
    (out) => api.createCudaProviderOptions(out),
  );
  try {
    const entries = cudaOptions(deviceId);
    const keys = entries.map(([key]) => toCString(key));
    const values = entries.map(([, value]) => toCString(value));
    runtime.check(
      api.updateCudaProviderOptions(
        cuda,
        BigUint64Array.from(keys, addressOf),
        BigUint64Array.from(values, addressOf),
        entries.length,
      ),
      "device cuda",
    );
    runtime.check(api.appendCudaProvider(options, cuda), "device cuda");
  } finally {
    runtime.release("providerOptions", cuda);
  }
}

/** Why a device cannot be used here; undefined where it can. Loads the provider to find out. */
export function deviceProblem(
  runtime: OrtRuntime,
  device: Device,
): BackendError | undefined {
  if (device === "cpu") return undefined;
  let options: Pointer = null;
  try {
    options = runtime.create(
      "sessionOptions",
      `device ${device}`,
      (out) => runtime.api.createSessionOptions(out),
    );
    runtime.check(
      runtime.api.setSessionLogSeverityLevel(options, LOG_FATAL),
      `device ${device}`,
    );
    appendProvider(runtime, options, device, 0);
    return undefined;
  } catch (cause) {
    return cause instanceof BackendError
      ? cause
      : new BackendError({ message: oneLine(cause), cause });
  } finally {
    runtime.release("sessionOptions", options);
  }
}

function webgpuProblem(cause: unknown): BackendError {
  const text = oneLine(cause);
  const hint = /adapter/i.test(text)
    ? "no GPU adapter was found; on Linux a Vulkan driver is needed (mesa-vulkan-drivers or the GPU vendor's)"
    : /not (?:enabled|supported|available)|unknown provider/i.test(text)
    ? "this build of ONNX Runtime has no WebGPU"
    : undefined;
  return new BackendError({
    message: hint === undefined ? text : `device webgpu: ${hint} (${text})`,
    cause,
  });
}

/**
 * What the CUDA provider lacks. ONNX Runtime reports "Failed to load shared library" for almost
 * everything, so the files and their own dependencies are looked at one by one.
 */
function cudaProblem(runtime: OrtRuntime, cause: unknown): BackendError {
  const text = oneLine(cause);
  const problem = (message: string) =>
    new BackendError({ message: `device cuda: ${message}`, cause });
  const { os, arch } = Deno.build;
  if (os !== "linux" || arch !== "x86_64") {
    return problem(
      `onnxruntime-node has CUDA for linux x64 only, this is ${os} ${arch}; use webgpu or cpu`,
    );
  }
  const folder = libraryFolder(runtime);
  if (folder === undefined) return new BackendError({ message: text, cause });
  for (const file of CUDA_FILES) {
    const fault = loadFault(`${folder}/${file}`);
    if (fault === undefined) continue;
    const missing = /(lib[\w+-]+\.so[\w.]*): cannot open shared object/.exec(
      fault,
    )?.[1];
    if (missing === undefined || missing === file) {
      return problem(
        `${file} is not beside ${folder}/libonnxruntime.so.1; onnxruntime-node's install script fetches it, so run "deno approve-scripts npm:onnxruntime-node" (or "deno install --allow-scripts=npm:onnxruntime-node") in a project with a node_modules folder`,
      );
    }
    return problem(`${missing} is missing; ${cudaRemedy(missing)}`);
  }
  return problem(
    `${
      text.replace(/^device cuda: /, "")
    }; CUDA 12 (or the version the provider was built for), cuDNN 9 and an NVIDIA driver are needed`,
  );
}

const CUDA_FILES = [
  "libonnxruntime_providers_shared.so",
  "libonnxruntime_providers_cuda.so",
];

/** How to get a library that the CUDA provider is linked against, or loads when it starts. */
export function cudaRemedy(missing: string): string {
  const version = /\.so\.(\d+)/.exec(missing)?.[1];
  if (/^libcuda\.so/.test(missing)) {
    return "it belongs to the NVIDIA driver: install the driver, or start the container with its GPU";
  }
  if (/^libcudnn/.test(missing)) {
    return `install cuDNN ${
      version ?? "9"
    } and put its folder on LD_LIBRARY_PATH`;
  }
  // cuRAND and cuFFT are numbered apart from the toolkit they belong to.
  if (/^lib(?:cublas|cublasLt|cudart|nvrtc)\.so/.test(missing)) {
    return `install the CUDA ${
      version ?? "12"
    } runtime libraries and cuDNN 9, and put their folders on LD_LIBRARY_PATH`;
  }
  return "install the CUDA runtime libraries and cuDNN 9, and put their folders on LD_LIBRARY_PATH";
}

/** The dynamic loader's complaint about a library file; undefined where it can be loaded. */
function loadFault(path: string): string | undefined {
  try {
    Deno.dlopen(path, {}).close();
    return undefined;
  } catch (cause) {
    const text = oneLine(cause);
    // The provider takes symbols from the host library, which this bare look does not offer.
    return /undefined symbol/.test(text) ? undefined : text;
  }
}

/** The folder libonnxruntime was loaded from, as the dynamic loader knows it. */
export function libraryFolder(runtime: OrtRuntime): string | undefined {
  const path = libraryPath(runtime);
  return path?.slice(0, path.lastIndexOf("/"));
}

/** The file libonnxruntime was loaded from; undefined on Windows. */
export function libraryPath(runtime: OrtRuntime): string | undefined {
  const names: Readonly<Record<string, readonly string[]>> = {
    // dladdr moved from libdl to libc in glibc 2.34.
    linux: ["libc.so.6", "libdl.so.2", "libc.so"],
    darwin: ["libSystem.B.dylib"],
  };
  for (const name of names[Deno.build.os] ?? []) {
    try {
      const library = Deno.dlopen(
        name,
        {
          dladdr: { parameters: ["pointer", "buffer"], result: "i32" },
        } as const,
      );
      try {
        // Dl_info begins with const char* dli_fname.
        const info = new BigUint64Array(4);
        const version = runtime.library.address;
        if (library.symbols.dladdr(version, info) !== 0) {
          return cString(Deno.UnsafePointer.create(info[0]));
        }
      } finally {
        library.close();
      }
    } catch {
      // Another C library; try the next name.
    }
  }
  return undefined;
}
