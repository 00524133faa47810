/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The worker of the N-API backend: onnxruntime-node's `run` blocks the thread it is called on, so it
 * has a thread of its own. Holds one session and its tensors.
 * @module
 */
import type * as ort from "onnxruntime-node";
import type { DType } from "../../../nodes/tensor.ts";
import type { ValueInfo } from "../backend.ts";
import { arrayOver, countElements, showShape } from "../dtype.ts";
import { silenceTelemetry } from "../telemetry.ts";
import type {
  Answers,
  Envelope,
  Reply,
  Request,
  WireHandle,
  WireTensor,
} from "./protocol.ts";

/** Imported when first needed, so that a failure is a reply and no stack on stderr. */
async function library(): Promise<typeof ort> {
  silenceTelemetry();
  const module = await import("onnxruntime-node");
  // Errors come back as messages; ONNX Runtime must not write to stderr as well.
  module.env.logLevel = "fatal";
  return module;
}

let session: ort.InferenceSession | undefined;
let tensorClass: typeof ort.Tensor;
/** Memory of the tensors by number. */
const tensors = new Map<number, ArrayBuffer>();

self.onmessage = async (event: MessageEvent<Envelope>) => {
  const { id, request } = event.data;
  let reply: Reply;
  const transfer: ArrayBuffer[] = [];
  try {
    reply = { id, answer: await handle(request, transfer) };
  } catch (cause) {
    reply = {
      id,
      error: cause instanceof Error ? cause.message : String(cause),
    };
    transfer.length = 0;
  }
  self.postMessage(reply, transfer);
};

async function handle(
  request: Request,
  transfer: ArrayBuffer[],
): Promise<Answers[keyof Answers]> {
  switch (request.op) {
    case "about": {
      const { env, listSupportedBackends } = await library();
      return {
        version: env.versions.node ?? "unknown",
        backends: listSupportedBackends(),
      };
    }
    case "load":
      return await load(request);
    case "allocate":
      tensors.set(request.tensor, new ArrayBuffer(request.bytes));
      return undefined;
    case "free":
      // Frees the memory now instead of at some later garbage collection.
      tensors.get(request.tensor)?.transfer(0);
      tensors.delete(request.tensor);
      return undefined;
    case "write":
      new Uint8Array(memory(request.tensor)).set(request.data, request.offset);
      return undefined;
    case "read": {
      const copy = new Uint8Array(
        memory(request.tensor),
        request.offset,
        request.bytes,
      ).slice();
      transfer.push(copy.buffer);
      return copy;
    }
    case "run":
      return await run(request, transfer);
    case "close":
      await session?.release();
      session = undefined;
      tensors.clear();
      return undefined;
  }
}

function memory(tensor: number): ArrayBuffer {
  const buffer = tensors.get(tensor);
  if (buffer === undefined) throw new Error("the tensor was freed");
  return buffer;
}

async function load(
  request: Extract<Request, { op: "load" }>,
): Promise<Answers["load"]> {
  const { device, deviceId, threads, externalDataFolder } = request;
  const { InferenceSession, listSupportedBackends, Tensor } = await library();
  tensorClass = Tensor;
  const built = listSupportedBackends().map(({ name }) => name);
  // The package would leave an unknown one out and compute on the CPU.
  if (!built.includes(device)) {
    throw new Error(
      `device "${device}" is unsupported by this build; it has ${
        built.join(", ")
      }`,
    );
  }
  // Nested keys become session config entries: session.intra_op.allow_spinning and so on.
  const entries: Record<string, unknown> = {
    intra_op: { allow_spinning: "0" },
  };
  if (externalDataFolder !== undefined) {
    entries.model_external_initializers_file_folder_path = externalDataFolder;
  }
  session = await InferenceSession.create(request.bytes, {
    executionProviders: device === "cpu"
      ? ["cpu"]
      : [device === "cuda" ? { name: "cuda", deviceId } : device, "cpu"],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
    extra: { session: entries },
  });
  return {
    inputs: session.inputMetadata.map(valueInfo),
    outputs: session.outputMetadata.map(valueInfo),
  };
}

const carried: ReadonlySet<string> = new Set<DType>([
  "float32",
  "float16",
  "int64",
  "int32",
  "uint8",
  "int8",
  "bool",
]);

function valueInfo(info: ort.InferenceSession.ValueMetadata): ValueInfo {
  if (!info.isTensor) {
    throw new Error(
      `"${info.name}" is a sequence or map; only tensors are supported`,
    );
  }
  if (!carried.has(info.type)) {
    throw new Error(
      `"${info.name}" has element type ${info.type}, which is not supported; cast it in the graph`,
    );
  }
  return {
    name: info.name,
    dtype: info.type as DType,
    shape: info.shape.map((extent) => extent === "" ? "?" : extent),
  };
}

/** onnxruntime-common's view of a wire tensor. */
function toOrt(tensor: WireTensor | WireHandle): ort.Tensor {
  const { dtype, shape } = tensor;
  const data = "data" in tensor ? tensor.data : arrayOver(
    dtype,
    memory(tensor.tensor),
    tensor.offset,
    countElements(shape),
  );
  if (dtype !== "float16") {
    return new tensorClass(
      dtype as "float32",
      data as Float32Array<ArrayBuffer>,
      shape,
    );
  }
  // As float16 the package would wrap the words in a Float16Array, which Deno's N-API does not know.
  const words = new tensorClass(
    "uint16",
    data as Uint16Array<ArrayBuffer>,
    shape,
  );
  return Object.assign(words, { type: "float16" });
}

async function run(
  request: Extract<Request, { op: "run" }>,
  transfer: ArrayBuffer[],
): Promise<Answers["run"]> {
  if (session === undefined) throw new Error("the session was closed");
  const feeds: Record<string, ort.Tensor> = {};
  for (const [name, tensor] of Object.entries(request.feeds)) {
    feeds[name] = toOrt(tensor);
  }
  const intoNames = Object.keys(request.into);
  const results = await session.run(feeds, [...intoNames, ...request.outputs]);
  for (const name of intoNames) {
    checkShape(name, results[name], request.into[name]);
  }
  for (const name of intoNames) keep(results[name], request.into[name]);
  const answer: Record<string, WireTensor> = {};
  for (const name of request.outputs) {
    const { type, dims, data } = results[name];
    const array = data as unknown as Uint8Array<ArrayBuffer>;
    transfer.push(array.buffer);
    const dtype = type as DType;
    answer[name] = {
      dtype,
      shape: [...dims],
      data: arrayOver(
        dtype,
        array.buffer,
        array.byteOffset,
        countElements(dims),
      ),
    };
  }
  return answer;
}

function checkShape(
  name: string,
  output: ort.Tensor,
  target: WireHandle,
): void {
  if (
    output.dims.length !== target.shape.length ||
    output.dims.some((extent, d) => extent !== target.shape[d])
  ) {
    throw new Error(
      `output "${name}" has shape ${
        showShape(output.dims)
      }, the tensor it is written into ${showShape(target.shape)}`,
    );
  }
}

/**
 * Makes an output the new contents of a tensor: its memory is taken over where it fills the tensor,
 * and copied where it is smaller.
 */
function keep(output: ort.Tensor, target: WireHandle): void {
  const array = output.data as unknown as Uint8Array<ArrayBuffer>;
  const room = memory(target.tensor);
  if (
    array.byteLength === room.byteLength &&
    array.buffer.byteLength === room.byteLength
  ) {
    tensors.set(target.tensor, array.buffer);
  } else {
    new Uint8Array(room).set(
      new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
      target.offset,
    );
  }
}
