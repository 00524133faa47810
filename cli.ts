/**
 * The command line's entry: `deno task tessera …`, or `deno run … jsr:@tessera/sdk/cli …`.
 * @module
 */
import process from "node:process";
import * as Effect from "effect/Effect";
import * as Exit from "effect/Exit";
import * as Runtime from "effect/Runtime";
import { execute } from "./cli/main.ts";
import { Models, sdkModels } from "./cli/models.ts";
import { environment, processShell, Shell } from "./cli/shell.ts";

/**
 * Runs the command line with these arguments and ends the process: with 0, with 1 after a failure, with
 * 130 after Ctrl-C. The first Ctrl-C ends the work and releases what is native; the second does not wait.
 */
export function main(args: readonly string[]): void {
  const shell = processShell();
  const program = execute(args).pipe(
    Effect.provideService(Shell, shell),
    Effect.provideService(Models, sdkModels),
  );
  const runMain = Runtime.makeRunMain(({ fiber, teardown }) => {
    let signals = 0;
    const stop = () => {
      if (++signals > 1) {
        if (shell.canRepaint) shell.warn("\r\x1b[K");
        process.exit(130);
      }
      fiber.interruptUnsafe(fiber.id);
    };
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
    fiber.addObserver((exit) => {
      if (Exit.isSuccess(exit) && typeof exit.value === "number") {
        process.exit(exit.value);
      }
      teardown(exit, (code) => process.exit(code));
    });
  });
  runMain(program, { disableErrorReporting: true });
}

if (import.meta.main) {
  // `deno task` runs in the folder of deno.json; paths mean the folder where the command was typed.
  const folder = environment("TESSERA_CWD");
  if (folder !== undefined && folder !== "") {
    try {
      Deno.chdir(folder);
    } catch {
      // It has gone, or may not be read: then paths are relative to where we are.
    }
  }
  // Stdout carries what commands write there and nothing else: what a library has to say goes to stderr.
  console.log = console.info = console.debug = console.error;
  main(Deno.args);
}
