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
      // Unless told that node_modules is complete, every start goes through it again, alone: others wait,
      // and say so on stderr.
      "--node-modules-dir=manual",
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

/** A server as a process of its own. */
export interface ServerProcess {
  /** The line that `serve --json` prints when it takes requests. */
  readonly line: {
    readonly url: string;
    readonly port: number;
    readonly models: readonly string[];
    readonly dashboard?: string;
  };
  /** The process. */
  readonly child: Deno.ChildProcess;
  /** Waits for its end: its exit code and what it said. */
  readonly end: () => Promise<
    { readonly code: number; readonly said: string }
  >;
}

/**
 * `tessera serve` with these flags, once it takes requests; nothing is recorded. `options` are Deno's own
 * flags for it; `onSaid` sees what it says on stderr, as it says it.
 */
export async function startServer(
  flags: readonly string[],
  { options = [], onSaid = () => {} }: {
    readonly options?: readonly string[];
    readonly onSaid?: (text: string) => void;
  } = {},
): Promise<ServerProcess> {
  const child = tessera(
    ["serve", "--port", "0", "--store", "none", "--json", ...flags],
    { permissions: ["--allow-net=127.0.0.1", ...options] },
  ).spawn();
  let said = "";
  const listening = (async () => {
    for await (
      const part of child.stderr.pipeThrough(new TextDecoderStream())
    ) {
      said = (said + part).slice(-65_536);
      onSaid(part);
    }
  })();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let out = "";
  while (!out.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) {
      await listening;
      throw new Error(`the server did not start: ${said}`);
    }
    out += value;
  }
  return {
    line: JSON.parse(out),
    child,
    end: async () => {
      await reader.cancel();
      const { code } = await child.status;
      await listening;
      return { code, said };
    },
  };
}
