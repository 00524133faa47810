/**
 * Measurements in a process of their own, where nothing that came before is in the way.
 * @module
 */

/** Runs a module of this folder with these arguments; returns what it prints, as JSON. */
export async function apart<A>(
  module: string,
  args: readonly string[],
): Promise<A> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--v8-flags=--no-memory-reducer",
      "--allow-read",
      "--allow-env",
      "--allow-ffi",
      "--allow-sys",
      new URL(module, import.meta.url).href,
      ...args,
    ],
  }).output();
  if (!success) {
    throw new Error(
      `bench/${module} failed: ${new TextDecoder().decode(stderr)}`,
    );
  }
  return JSON.parse(new TextDecoder().decode(stdout));
}
