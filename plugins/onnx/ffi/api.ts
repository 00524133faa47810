/**
 * The functions of the ONNX Runtime C API that Tessera calls, bound from the `OrtApi` table.
 *
 * Source of positions and signatures: onnxruntime_c_api.h. The table is append-only, so a position
 * holds for every later version. An opaque handle or an `OrtStatus*` is a `Deno.PointerValue`; an out
 * parameter is a buffer with room for one pointer or one number.
 * @module
 */

/** A pointer returned or taken by the C API. */
export type Pointer = Deno.PointerValue;
/** Memory handed to the C API. */
export type Memory = ArrayBufferView<ArrayBuffer> | null;

/** The bound functions. Those that return a {@link Pointer} named status give null on success. */
export interface OrtApi {
  readonly getErrorCode: (status: Pointer) => number;
  readonly getErrorMessage: (status: Pointer) => Pointer;
  readonly createEnv: (severity: number, id: Memory, out: Memory) => Pointer;
  readonly disableTelemetryEvents: (env: Pointer) => Pointer;
  /** Off the event loop: `model`, `out` must stay referenced until it settles. */
  readonly createSessionFromArray: (
    env: Pointer,
    model: Memory,
    bytes: number,
    options: Pointer,
    out: Memory,
  ) => Promise<Pointer>;
  /** Off the event loop: every buffer must stay referenced until it settles. */
  readonly run: (
    session: Pointer,
    options: Pointer,
    inputNames: Memory,
    inputs: Memory,
    inputCount: number,
    outputNames: Memory,
    outputCount: number,
    outputs: Memory,
  ) => Promise<Pointer>;
  readonly createSessionOptions: (out: Memory) => Pointer;
  readonly setSessionLogSeverityLevel: (
    options: Pointer,
    severity: number,
  ) => Pointer;
  readonly setIntraOpNumThreads: (options: Pointer, threads: number) => Pointer;
  readonly setInterOpNumThreads: (options: Pointer, threads: number) => Pointer;
  readonly sessionGetInputCount: (session: Pointer, out: Memory) => Pointer;
  readonly sessionGetOutputCount: (session: Pointer, out: Memory) => Pointer;
  readonly sessionGetInputTypeInfo: (
    session: Pointer,
    index: number,
    out: Memory,
  ) => Pointer;
  readonly sessionGetOutputTypeInfo: (
    session: Pointer,
    index: number,
    out: Memory,
  ) => Pointer;
  readonly sessionGetInputName: (
    session: Pointer,
    index: number,
    allocator: Pointer,
    out: Memory,
  ) => Pointer;
  readonly sessionGetOutputName: (
    session: Pointer,
    index: number,
    allocator: Pointer,
    out: Memory,
  ) => Pointer;
  readonly createRunOptions: (out: Memory) => Pointer;
  readonly runOptionsSetRunLogSeverityLevel: (
    options: Pointer,
    severity: number,
  ) => Pointer;
  readonly runOptionsSetTerminate: (options: Pointer) => Pointer;
  readonly runOptionsUnsetTerminate: (options: Pointer) => Pointer;
  /** The data pointer is passed as an address, so that host and device memory look alike. */
  readonly createTensorWithDataAsOrtValue: (
    memoryInfo: Pointer,
    data: bigint,
    bytes: number,
    shape: Memory,
    rank: number,
    type: number,
    out: Memory,
  ) => Pointer;
  readonly getTensorMutableData: (value: Pointer, out: Memory) => Pointer;
  readonly castTypeInfoToTensorInfo: (info: Pointer, out: Memory) => Pointer;
  readonly getTensorElementType: (info: Pointer, out: Memory) => Pointer;
  readonly getDimensionsCount: (info: Pointer, out: Memory) => Pointer;
  readonly getDimensions: (
    info: Pointer,
    out: Memory,
    rank: number,
  ) => Pointer;
  readonly getSymbolicDimensions: (
    info: Pointer,
    out: Memory,
    rank: number,
  ) => Pointer;
  readonly createMemoryInfo: (
    name: Memory,
    allocatorType: number,
    deviceId: number,
    memoryType: number,
    out: Memory,
  ) => Pointer;
  readonly createCpuMemoryInfo: (
    allocatorType: number,
    memoryType: number,
    out: Memory,
  ) => Pointer;
  readonly allocatorAlloc: (
    allocator: Pointer,
    bytes: number,
    out: Memory,
  ) => Pointer;
  readonly allocatorFree: (allocator: Pointer, memory: Pointer) => Pointer;
  readonly getAllocatorWithDefaultOptions: (out: Memory) => Pointer;
  readonly releaseEnv: (env: Pointer) => void;
  readonly releaseStatus: (status: Pointer) => void;
  readonly releaseMemoryInfo: (info: Pointer) => void;
  readonly releaseSession: (session: Pointer) => void;
  readonly releaseValue: (value: Pointer) => void;
  readonly releaseRunOptions: (options: Pointer) => void;
  readonly releaseTypeInfo: (info: Pointer) => void;
  readonly releaseSessionOptions: (options: Pointer) => void;
  readonly getAvailableProviders: (names: Memory, count: Memory) => Pointer;
  readonly releaseAvailableProviders: (
    names: Pointer,
    count: number,
  ) => Pointer;
  readonly addSessionConfigEntry: (
    options: Pointer,
    key: Memory,
    value: Memory,
  ) => Pointer;
  readonly createAllocator: (
    session: Pointer,
    memoryInfo: Pointer,
    out: Memory,
  ) => Pointer;
  readonly releaseAllocator: (allocator: Pointer) => void;
  readonly appendCudaProvider: (
    options: Pointer,
    cudaOptions: Pointer,
  ) => Pointer;
  readonly createCudaProviderOptions: (out: Memory) => Pointer;
  readonly updateCudaProviderOptions: (
    cudaOptions: Pointer,
    keys: Memory,
    values: Memory,
    count: number,
  ) => Pointer;
  readonly releaseCudaProviderOptions: (cudaOptions: Pointer) => void;
  readonly appendProvider: (
    options: Pointer,
    name: Memory,
    keys: Memory,
    values: Memory,
    count: number,
  ) => Pointer;
  readonly getBuildInfoString: () => Pointer;
  readonly setLoadCancellationFlag: (
    options: Pointer,
    cancel: boolean,
  ) => Pointer;
  /** Element type and shape without a copy; the shape lives as long as the value. */
  readonly getTensorTypeAndShapeReference: (
    value: Pointer,
    type: Memory,
    shape: Memory,
    rank: Memory,
  ) => Pointer;
}

/** Binds the functions from the address of the `OrtApi` table. */
export function ortApi(table: Deno.PointerObject): OrtApi {
  const view = new Deno.UnsafePointerView(table);
  // deno-lint-ignore no-explicit-any -- the interface above is the type of each call
  const bind = (definition: Definition, nonblocking: boolean): any => {
    const [position, parameters, result] = definition;
    const pointer = view.getPointer(position * 8) as Deno.PointerObject<never>;
    const native = new Deno.UnsafeFnPointer(pointer, {
      parameters: parameters.map((letter) => NATIVE_TYPES[letter]),
      result: NATIVE_TYPES[result] as Deno.NativeResultType,
      nonblocking,
    });
    return native.call.bind(native);
  };
  return Object.fromEntries(
    Object.entries(FUNCTIONS).map(([name, definition]) => [
      name,
      bind(definition, name === "run" || name === "createSessionFromArray"),
    ]),
  ) as unknown as OrtApi;
}

type Letter = "p" | "b" | "i" | "u" | "z" | "?" | "v";
type Definition = readonly [
  position: number,
  parameters: readonly Letter[],
  result: Letter,
];

/** p pointer, b buffer, i int, u address, z size_t, ? bool, v void. */
const NATIVE_TYPES: Readonly<Record<Letter, Deno.NativeType>> = {
  p: "pointer",
  b: "buffer",
  i: "i32",
  u: "u64",
  z: "usize",
  "?": "bool",
  v: "void" as Deno.NativeType,
};

const f = (
  position: number,
  parameters: string,
  result: Letter = "p",
): Definition => [position, [...parameters] as Letter[], result];

const FUNCTIONS: Readonly<Record<keyof OrtApi, Definition>> = {
  getErrorCode: f(1, "p", "i"),
  getErrorMessage: f(2, "p"),
  createEnv: f(3, "ibb"),
  disableTelemetryEvents: f(6, "p"),
  createSessionFromArray: f(8, "pbzpb"),
  run: f(9, "ppbbzbzb"),
  createSessionOptions: f(10, "b"),
  setSessionLogSeverityLevel: f(22, "pi"),
  setIntraOpNumThreads: f(24, "pi"),
  setInterOpNumThreads: f(25, "pi"),
  sessionGetInputCount: f(30, "pb"),
  sessionGetOutputCount: f(31, "pb"),
  sessionGetInputTypeInfo: f(33, "pzb"),
  sessionGetOutputTypeInfo: f(34, "pzb"),
  sessionGetInputName: f(36, "pzpb"),
  sessionGetOutputName: f(37, "pzpb"),
  createRunOptions: f(39, "b"),
  runOptionsSetRunLogSeverityLevel: f(41, "pi"),
  runOptionsSetTerminate: f(46, "p"),
  runOptionsUnsetTerminate: f(47, "p"),
  createTensorWithDataAsOrtValue: f(49, "puzbzib"),
  getTensorMutableData: f(51, "pb"),
  castTypeInfoToTensorInfo: f(55, "pb"),
  getTensorElementType: f(60, "pb"),
  getDimensionsCount: f(61, "pb"),
  getDimensions: f(62, "pbz"),
  getSymbolicDimensions: f(63, "pbz"),
  createMemoryInfo: f(68, "biiib"),
  createCpuMemoryInfo: f(69, "iib"),
  allocatorAlloc: f(75, "pzb"),
  allocatorFree: f(76, "pp"),
  getAllocatorWithDefaultOptions: f(78, "b"),
  releaseEnv: f(92, "p", "v"),
  releaseStatus: f(93, "p", "v"),
  releaseMemoryInfo: f(94, "p", "v"),
  releaseSession: f(95, "p", "v"),
  releaseValue: f(96, "p", "v"),
  releaseRunOptions: f(97, "p", "v"),
  releaseTypeInfo: f(98, "p", "v"),
  releaseSessionOptions: f(100, "p", "v"),
  getAvailableProviders: f(125, "bb"),
  releaseAvailableProviders: f(126, "pi"),
  addSessionConfigEntry: f(130, "pbb"),
  createAllocator: f(131, "ppb"),
  releaseAllocator: f(132, "p", "v"),
  appendCudaProvider: f(204, "pp"),
  createCudaProviderOptions: f(205, "b"),
  updateCudaProviderOptions: f(206, "pbbz"),
  releaseCudaProviderOptions: f(208, "p", "v"),
  appendProvider: f(216, "pbbbz"),
  getBuildInfoString: f(254, ""),
  setLoadCancellationFlag: f(293, "p?"),
  getTensorTypeAndShapeReference: f(414, "pbbb"),
};
