import assert from "node:assert/strict";
import { cudaRemedy } from "./providers.ts";
import { libraryNames } from "./library.ts";

Deno.test("a missing CUDA library is traced to what has to be installed", () => {
  assert.match(cudaRemedy("libcuda.so.1"), /NVIDIA driver/);
  assert.match(cudaRemedy("libcudnn.so.9"), /cuDNN 9/);
  assert.match(cudaRemedy("libcublasLt.so.12"), /CUDA 12 runtime/);
  assert.match(cudaRemedy("libcudart.so.13"), /CUDA 13 runtime/);
  // cuFFT is numbered apart from the toolkit: version 11 belongs to CUDA 12.
  assert.doesNotMatch(cudaRemedy("libcufft.so.11"), /CUDA 11/);
});

Deno.test("the library has a name on every platform", () => {
  assert.deepEqual(libraryNames("linux"), ["libonnxruntime.so.1"]);
  assert.deepEqual(libraryNames("windows"), ["onnxruntime.dll"]);
  const images = [
    "/usr/lib/libSystem.B.dylib",
    "/somewhere/bin/libonnxruntime.1.30.0.dylib",
    "/somewhere/libonnxruntime_providers_shared.dylib",
  ];
  assert.deepEqual(libraryNames("darwin", () => images), [
    "/somewhere/bin/libonnxruntime.1.30.0.dylib",
    "libonnxruntime.1.dylib",
  ]);
});
