/**
 * The command line as a process of its own, for tests.
 * @module
 */
const root = new URL("../", import.meta.url);

/** `tessera` with these arguments, and `--allow-write` or the like beyond what every command needs. */
export function tessera(
  args: readonly string[],
  { permissions = [], ...options }: Omit<Deno.CommandOptions, "args"> & {
    readonly permissions?: readonly string[];
  } = {},
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--no-prompt",
      "--config",
      new URL("deno.json", root).pathname,
      "--allow-read",
      "--allow-env",
      "--allow-ffi",
      "--allow-sys",
      ...permissions,
      new URL("cli.ts", root).pathname,
      ...args,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...options,
    env: { NO_COLOR: "1", TESSERA_CWD: "", ...options.env },
  });
}
