/**
 * Keeps ONNX Runtime from reporting about its user.
 *
 * From 1.29 on its official builds for Linux and macOS do so unless told otherwise: when its environment
 * is made, the library reads the machine's id and the process's command line (our question is in there),
 * writes files under `~/.cache/Microsoft` and sends to a collector. The command line goes through a
 * regular expression that recurses for each character, so that a long question ends the process. An
 * environment variable turns all of it off, if it is there before the library is; the call of the C API
 * comes too late.
 * @module
 */

import { libc } from "./libc.ts";

/** The variable that ONNX Runtime looks at. */
const telemetrySwitch = "ORT_DISABLE_TELEMETRY";

/**
 * Turns the reports off. Must come before the library is loaded. Needs `--allow-env` or `--allow-ffi`,
 * and never asks for either: without the second the library cannot be loaded anyway.
 */
export function silenceTelemetry(): void {
  if (granted({ name: "env", variable: telemetrySwitch })) {
    Deno.env.set(telemetrySwitch, "1");
  } else if (granted({ name: "ffi" })) setWithC();
}

function granted(permission: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(permission).state === "granted";
}

/** Sets the variable where native code reads it, past Deno's view of the environment. */
function setWithC(): void {
  // Windows has another mechanism, which the call of the C API turns off.
  if (libc === undefined) return;
  const text = (value: string) => new TextEncoder().encode(`${value}\0`);
  const opened = Deno.dlopen(
    libc,
    { setenv: { parameters: ["buffer", "buffer", "i32"], result: "i32" } },
  );
  try {
    opened.symbols.setenv(text(telemetrySwitch), text("1"), 1);
  } finally {
    opened.close();
  }
}
