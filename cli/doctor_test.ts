import assert from "node:assert/strict";
import {
  findingsText,
  inferenceFindings,
  pictureFindings,
  videoFindings,
} from "./doctor.ts";

const works = {
  binding: "ffi" as const,
  version: "1.30.0",
  buildInfo: undefined,
  library: undefined,
  providers: ["CPUExecutionProvider"],
  devices: [
    {
      device: "cpu" as const,
      provider: "CPUExecutionProvider",
      usable: true,
      problem: undefined,
    },
    {
      device: "cuda" as const,
      provider: "CUDAExecutionProvider",
      usable: false,
      problem: "device cuda: libcudnn.so.9 is missing; install cuDNN 9",
    },
  ],
  ffiProblem: undefined,
  napiProblem: undefined,
};

Deno.test("what works and what is absent", () => {
  assert.equal(
    findingsText({ "Inference": inferenceFindings(works) }, {
      columns: 50,
      colors: false,
    }),
    `Inference
  ok      ONNX Runtime: 1.30.0
  ok      binding ffi: in use
  ok      binding napi: works
  ok      device cpu: CPUExecutionProvider
  absent  device cuda: libcudnn.so.9 is missing;
          install cuDNN 9
`,
  );
});

Deno.test("one binding is enough, none is not", () => {
  const status = (
    found: typeof inferenceFindings extends (f: infer F) => unknown ? F : never,
  ) => inferenceFindings(found).map(({ name, status }) => [name, status]);
  assert.deepEqual(
    status({ ...works, binding: "napi", ffiProblem: "no FFI" }).slice(0, 3),
    [["ONNX Runtime", "ok"], ["binding ffi", "optional"], [
      "binding napi",
      "ok",
    ]],
  );
  assert.deepEqual(
    status({
      ...works,
      binding: undefined,
      version: undefined,
      ffiProblem: "no FFI",
      napiProblem: "no N-API",
    }).slice(0, 3),
    [
      ["ONNX Runtime", "missing"],
      ["binding ffi", "missing"],
      ["binding napi", "missing"],
    ],
  );
});

const codecs = {
  sharp: {
    ok: true as const,
    version: "0.35.5",
    libvips: "8.18.0",
    formats: ["jpeg", "png"],
  },
  simd: { ok: false as const, problem: "no SIMD" },
  nodeAv: { ok: false as const, problem: "not installed" },
  ffmpeg: { ok: true as const, version: "6.1", probeVersion: "6.1" },
};

Deno.test("one video reader is enough, none is not", () => {
  assert.deepEqual(
    [...pictureFindings(codecs), ...videoFindings(codecs)].map((finding) => [
      finding.name,
      finding.status,
    ]),
    [
      ["sharp", "ok"],
      ["resampler", "optional"],
      ["node-av", "optional"],
      ["ffmpeg", "ok"],
    ],
  );
  const none = { ...codecs, ffmpeg: { ok: false as const, problem: "none" } };
  assert.deepEqual(
    videoFindings(none).map(({ status }) => status),
    ["missing", "missing"],
  );
});
