/**
 * Finds libonnxruntime and opens its C API.
 *
 * The library comes with the npm package `onnxruntime-node`. Importing the package's binding loads it
 * into the process; opening it afterwards by its bare name gives that same copy, wherever the package
 * manager put the file.
 * @module
 */
import { BackendError } from "../../../nodes/errors.ts";
import { oneLine } from "../message.ts";
import { silenceTelemetry } from "../telemetry.ts";
import { type OrtApi, ortApi } from "./api.ts";

/** The C API of one loaded libonnxruntime. */
export interface OrtLibrary {
  /** Version of the library, such as `1.30.0`. */
  readonly version: string;
  /** What it was built with. */
  readonly buildInfo: string;
  /** An address inside the library, by which the dynamic loader can tell its file. */
  readonly address: Deno.PointerValue;
  /** The functions. */
  readonly api: OrtApi;
}

/**
 * The lowest version of the `OrtApi` table that has every function used here
 * (`GetTensorElementTypeAndShapeDataReference` came with 24). The table only ever grows.
 */
const API_VERSION = 24;

/**
 * Names under which the dynamic loader knows the library that onnxruntime-node loaded. Linux and
 * Windows match the bare name against what is loaded already; macOS wants the path.
 */
export function libraryNames(
  os: string,
  loadedImages: () => readonly string[] = darwinImages,
): readonly string[] {
  switch (os) {
    case "windows":
      return ["onnxruntime.dll"];
    case "darwin":
      return [
        ...loadedImages().filter((path) =>
          /\/libonnxruntime[.\d]*\.dylib$/.test(path)
        ),
        "libonnxruntime.1.dylib",
      ];
    default:
      return ["libonnxruntime.so.1"];
  }
}

/** Paths of the images that dyld has loaded into this process. */
function darwinImages(): readonly string[] {
  // Without --allow-ffi this throws what the open itself would.
  const dyld = Deno.dlopen(
    "/usr/lib/libSystem.B.dylib",
    {
      _dyld_image_count: { parameters: [], result: "u32" },
      _dyld_get_image_name: { parameters: ["u32"], result: "pointer" },
    } as const,
  );
  try {
    return Array.from(
      { length: dyld.symbols._dyld_image_count() },
      (_, i) => cString(dyld.symbols._dyld_get_image_name(i)),
    );
  } finally {
    dyld.close();
  }
}

let opened: Promise<OrtLibrary> | undefined;

/**
 * Opens the library once per process. It is never closed: its thread pools and the N-API package may
 * still use it.
 */
export function openLibrary(): Promise<OrtLibrary> {
  opened ??= open().catch((cause) => {
    opened = undefined;
    throw cause;
  });
  return opened;
}

async function open(): Promise<OrtLibrary> {
  if (typeof Deno === "undefined" || typeof Deno.dlopen !== "function") {
    throw new BackendError({
      message:
        "ONNX Runtime: this runtime has no Deno.dlopen; use the N-API backend",
    });
  }
  silenceTelemetry();
  try {
    await import("onnxruntime-node");
  } catch (cause) {
    if (/--allow-ffi/.test(oneLine(cause))) throw needsFfi(cause);
    throw new BackendError({
      message: `ONNX Runtime: onnxruntime-node could not be loaded (${
        oneLine(cause)
      }); it needs --allow-ffi, --allow-read and --allow-env, and supports ${SUPPORTED}`,
      cause,
    });
  }
  const failures: string[] = [];
  for (const name of libraryNames(Deno.build.os)) {
    try {
      return bindLibrary(name);
    } catch (cause) {
      if (cause instanceof BackendError) throw cause;
      if (/--allow-ffi/.test(oneLine(cause))) throw needsFfi(cause);
      failures.push(oneLine(cause));
    }
  }
  throw new BackendError({
    message: `ONNX Runtime: the C API could not be opened (${
      failures.join("; ")
    })`,
  });
}

function needsFfi(cause: unknown): BackendError {
  return new BackendError({
    message:
      "ONNX Runtime is native code: run again with --allow-ffi --allow-read --allow-env",
    cause,
  });
}

const SUPPORTED = "linux x64/arm64, macOS arm64 and windows x64/arm64";

function bindLibrary(name: string): OrtLibrary {
  const library = Deno.dlopen(
    name,
    { OrtGetApiBase: { parameters: [], result: "pointer" } } as const,
  );
  const base = library.symbols.OrtGetApiBase();
  if (base === null) {
    throw new BackendError({
      message:
        `ONNX Runtime: ${name} has no API base; reinstall onnxruntime-node`,
    });
  }
  // struct OrtApiBase { const OrtApi* (*GetApi)(uint32_t); const char* (*GetVersionString)(); }
  const view = new Deno.UnsafePointerView(base);
  const getApi = new Deno.UnsafeFnPointer(
    view.getPointer(0) as Deno.PointerObject<never>,
    { parameters: ["u32"], result: "pointer" } as const,
  );
  const getVersion = new Deno.UnsafeFnPointer(
    view.getPointer(8) as Deno.PointerObject<never>,
    { parameters: [], result: "pointer" } as const,
  );
  const version = cString(getVersion.call());
  // Asking for a version the library lacks makes it write to stderr, hence the check first.
  const minor = Number(version.split(".")[1]);
  if (!version.startsWith("1.") || !(minor >= API_VERSION)) {
    throw new BackendError({
      message:
        `ONNX Runtime ${version} is too old: 1.${API_VERSION} or newer is needed (onnxruntime-node in deno.json)`,
    });
  }
  const table = getApi.call(API_VERSION);
  if (table === null) {
    throw new BackendError({
      message: `ONNX Runtime ${version} does not offer API ${API_VERSION}`,
    });
  }
  const api = ortApi(table);
  return {
    version,
    buildInfo: cString(api.getBuildInfoString()),
    address: view.getPointer(0),
    api,
  };
}

/** A C string as a JavaScript string; the null pointer gives the empty string. */
export function cString(pointer: Deno.PointerValue): string {
  return pointer === null ? "" : Deno.UnsafePointerView.getCString(pointer);
}

/** A NUL-terminated UTF-8 copy of a string. */
export function toCString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text.replaceAll("\0", "") + "\0");
}
