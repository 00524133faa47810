/**
 * The process-wide ONNX Runtime environment behind the FFI backend, and the small services every
 * other file here needs: status checks, out parameters, memory descriptions.
 * @module
 */
import { Effect, type Scope } from "effect";
import { BackendError } from "../../../nodes/errors.ts";
import { oneLine, tidyMessage } from "../message.ts";
import { acquired, type HandleKind, released } from "../handles.ts";
import type { OrtApi, Pointer } from "./api.ts";
import { cString, openLibrary, type OrtLibrary, toCString } from "./library.ts";

/** Only fatal messages: every error comes back as a status and is shown once, by the caller. */
export const LOG_FATAL = 4;

/** A run under way, as whoever frees memory sees it. */
export interface Flight {
  /** Whether the run uses the memory; it then calls its `done` when it has ended. */
  readonly holds: (memory: { readonly done: () => void }) => boolean;
}

/** One open environment; see {@link acquireRuntime}. */
export class OrtRuntime {
  readonly #cell = new BigUint64Array(1);
  /** Runs under way. Memory looks here when it is closed, so that runs need not tell it of themselves. */
  readonly flights: Set<Flight> = new Set();
  /** How many times memory was closed: while this stays the same, tensors that were open are open. */
  closings = 0;
  /** Everything below the C API. */
  readonly api: OrtApi;
  /** Version and build of the library. */
  readonly library: OrtLibrary;
  /** `OrtEnv*`. */
  readonly env: Pointer;
  /** Describes ordinary host memory. */
  readonly cpuMemory: Pointer;
  /** ONNX Runtime's own allocator for strings and host tensors; never released. */
  readonly defaultAllocator: Pointer;

  /** Creates the environment. Throws {@link BackendError}. */
  constructor(library: OrtLibrary) {
    this.library = library;
    this.api = library.api;
    this.env = this.create(
      "env",
      "creating the environment",
      (out) => this.api.createEnv(LOG_FATAL, toCString("tessera"), out),
    );
    try {
      this.check(this.api.disableTelemetryEvents(this.env), "telemetry");
      // OrtDeviceAllocator 0 (no arena: the memory is ours), OrtMemTypeDefault 0.
      this.cpuMemory = this.create(
        "memoryInfo",
        "describing host memory",
        (out) => this.api.createCpuMemoryInfo(0, 0, out),
      );
      this.defaultAllocator = this.out(
        "allocator",
        (out) => this.api.getAllocatorWithDefaultOptions(out),
      );
    } catch (cause) {
      this.api.releaseEnv(this.env);
      released("env");
      throw cause;
    }
  }

  /** Releases what the constructor made. */
  close(): void {
    this.release("memoryInfo", this.cpuMemory);
    this.release("env", this.env);
  }

  /** Throws a {@link BackendError} for a status that is not null, and frees the status. */
  check(status: Pointer, what: string): void {
    if (status !== null) throw this.error(status, what);
  }

  /** The error of a status; frees the status. */
  error(status: Pointer, what: string): BackendError {
    acquired("status");
    const message = cString(this.api.getErrorMessage(status));
    this.api.releaseStatus(status);
    released("status");
    return new BackendError({ message: `${what}: ${tidyMessage(message)}` });
  }

  /** Calls a function with a pointer-sized out parameter and returns what it wrote. */
  out(
    what: string,
    call: (out: BigUint64Array<ArrayBuffer>) => Pointer,
  ): Pointer {
    return Deno.UnsafePointer.create(this.outWord(what, call));
  }

  /** Like {@link out}, as a number: a `size_t` or an address. */
  outWord(
    what: string,
    call: (out: BigUint64Array<ArrayBuffer>) => Pointer,
  ): bigint {
    const cell = this.#cell;
    cell[0] = 0n;
    this.check(call(cell), what);
    return cell[0];
  }

  /** Like {@link out}, and enters the handle in the ledger. */
  create(
    kind: HandleKind,
    what: string,
    call: (out: BigUint64Array<ArrayBuffer>) => Pointer,
  ): Pointer {
    const pointer = this.out(what, call);
    acquired(kind);
    return pointer;
  }

  /** Releases a handle of a kind and strikes it from the ledger. */
  release(kind: keyof typeof RELEASERS, handle: Pointer): void {
    if (handle === null) return;
    this.api[RELEASERS[kind]](handle);
    released(kind);
  }
}

const RELEASERS = {
  env: "releaseEnv",
  sessionOptions: "releaseSessionOptions",
  session: "releaseSession",
  runOptions: "releaseRunOptions",
  memoryInfo: "releaseMemoryInfo",
  allocator: "releaseAllocator",
  value: "releaseValue",
  typeInfo: "releaseTypeInfo",
  providerOptions: "releaseCudaProviderOptions",
} as const;

let current: OrtRuntime | undefined;
let holders = 0;

/** What ONNX Runtime says while another thread of the process (a worker of the N-API package, say) ends its environment. */
const ENDING = /Only one instance of LoggingManager/;
const TRIES = 10;

/** Makes an environment; waits a moment where another is just ending. Throws {@link BackendError}. */
export async function makeRuntime(library: OrtLibrary): Promise<OrtRuntime> {
  for (let tries = 1;; tries++) {
    try {
      return new OrtRuntime(library);
    } catch (error) {
      if (tries === TRIES || !ENDING.test(`${error}`)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5 * tries));
    }
  }
}

/** On its way: those who come meanwhile wait for the same. */
let coming: Promise<void> | undefined;

/** The process's environment, created by the first holder. Throws {@link BackendError}. */
async function acquireRuntime(): Promise<OrtRuntime> {
  const library = await openLibrary();
  // Whoever waited with others may find that they have ended it again.
  while (current === undefined) {
    await (coming ??= makeRuntime(library)
      .then((made) => void (current = made))
      .finally(() => coming = undefined));
  }
  holders++;
  return current;
}

/** Gives one hold back; the last one releases the environment. */
function releaseRuntime(): void {
  if (--holders === 0) {
    current?.close();
    current = undefined;
  }
}

/** The environment, held by the current scope. */
export const openRuntime: Effect.Effect<OrtRuntime, BackendError, Scope.Scope> =
  Effect.acquireRelease(
    Effect.tryPromise({
      try: acquireRuntime,
      catch: (cause) =>
        cause instanceof BackendError
          ? cause
          : new BackendError({ message: oneLine(cause), cause }),
    }),
    () => Effect.sync(releaseRuntime),
  );

/** Names of the execution providers compiled into the library. */
export function availableProviders(runtime: OrtRuntime): string[] {
  const { api } = runtime;
  const count = new Int32Array(2);
  const names = runtime.out(
    "listing execution providers",
    (out) => api.getAvailableProviders(out, count),
  );
  if (names === null) return [];
  const view = new Deno.UnsafePointerView(names);
  const result: string[] = [];
  for (let i = 0; i < count[0]; i++) {
    result.push(cString(view.getPointer(i * 8)));
  }
  runtime.check(
    api.releaseAvailableProviders(names, count[0]),
    "listing execution providers",
  );
  return result;
}
