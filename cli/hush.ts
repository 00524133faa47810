/**
 * Keeps native libraries from writing to standard error.
 * @module
 */
import * as Effect from "effect/Effect";
import { libc } from "../plugins/onnx/libc.ts";

/** Points standard error to nowhere; the function returned puts it back. Does nothing where it cannot. */
function hush(): () => void {
  if (libc === undefined) return () => {};
  try {
    const opened = Deno.dlopen(libc, {
      dup: { parameters: ["i32"], result: "i32" },
      dup2: { parameters: ["i32", "i32"], result: "i32" },
      open: { parameters: ["buffer", "i32"], result: "i32" },
      close: { parameters: ["i32"], result: "i32" },
    });
    const { symbols } = opened;
    const nowhere = symbols.open(new TextEncoder().encode("/dev/null\0"), 1);
    const before = symbols.dup(2);
    if (nowhere >= 0 && before >= 0) symbols.dup2(nowhere, 2);
    return () => {
      if (nowhere >= 0 && before >= 0) symbols.dup2(before, 2);
      for (const file of [nowhere, before]) if (file >= 0) symbols.close(file);
      opened.close();
    };
  } catch {
    return () => {};
  }
}

/**
 * Runs an effect while nothing of this process reaches standard error: what is looked for and not there
 * is no news, but drivers print it, with the places in their source.
 */
export const hushed = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(
    Effect.sync(hush),
    () => effect,
    (restore) => Effect.sync(restore),
  );
