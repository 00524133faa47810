/**
 * What was measured on, and the few facts that only the operating system knows.
 * @module
 */
import { cpus, release } from "node:os";
import { Effect } from "effect";
import { libc as cLibrary } from "../plugins/onnx/libc.ts";
import { Backend, ffiBackend } from "../plugins/onnx/mod.ts";

/** The machine and the versions. */
export interface Machine {
  /** Model name of the processor. */
  readonly cpu: string;
  /** Cores this process may use. */
  readonly cores: number;
  /** Memory in GiB. */
  readonly memoryGiB: number;
  /** Operating system and its release. */
  readonly os: string;
  /** Deno's version. */
  readonly deno: string;
  /** V8's version. */
  readonly v8: string;
  /** ONNX Runtime's version. */
  readonly onnxruntime: string;
  /** Load average of the last minute when the run began: other work makes every figure worse. */
  readonly load: number;
}

/** Asks for the facts. */
export async function machineFacts(): Promise<Machine> {
  const version = await Effect.runPromise(
    Effect.provide(
      Effect.map(Backend, (backend) => backend.version),
      ffiBackend,
    ),
  );
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: navigator.hardwareConcurrency,
    memoryGiB: Math.round(Deno.systemMemoryInfo().total / 2 ** 27) / 8,
    os: `${Deno.build.os} ${Deno.build.arch} ${release()}`,
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    onnxruntime: version,
    load: Deno.loadavg()[0],
  };
}

/** The C library's name, by which the dynamic loader knows it. */
export function libc(): string {
  return cLibrary ?? "msvcrt.dll";
}

/** Milliseconds of processor time that the calling thread has used; `undefined` where nobody says. */
export function threadClock(): (() => number) | undefined {
  if (Deno.build.os !== "linux" && Deno.build.os !== "darwin") return undefined;
  try {
    const { symbols } = Deno.dlopen(
      libc(),
      { clock_gettime: { parameters: ["i32", "buffer"], result: "i32" } },
    );
    // CLOCK_THREAD_CPUTIME_ID
    const id = Deno.build.os === "linux" ? 3 : 16;
    const time = new BigInt64Array(2);
    return () => {
      symbols.clock_gettime(id, time);
      return Number(time[0]) * 1000 + Number(time[1]) / 1e6;
    };
  } catch {
    return undefined;
  }
}

/** Milliseconds of processor time that a process's main thread has used; NaN where nobody says. */
export async function mainThreadMs(pid: number): Promise<number> {
  if (Deno.build.os !== "linux") return NaN;
  // Deno itself may not read there without every permission.
  const { stdout } = await new Deno.Command("cat", {
    args: [`/proc/${pid}/task/${pid}/schedstat`],
  }).output();
  return Number(new TextDecoder().decode(stdout).split(" ")[0]) / 1e6;
}
