/**
 * Another program to compare with: it runs in a process of its own, reads one JSON command a line and
 * writes one JSON answer a line.
 * @module
 */

/** The other program. */
export interface Peer extends AsyncDisposable {
  /** What it says of itself when it is ready. */
  readonly about: string;
  /** What it measured: `ms` of its answer. */
  readonly ask: <A>(
    command: Readonly<Record<string, unknown>>,
  ) => Promise<A>;
}

/** Starts it; `undefined` where the program is not there or ends before it is ready. */
export async function openPeer(
  program: string,
  args: readonly string[],
): Promise<Peer | undefined> {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, {
      args: [...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const writer = child.stdin.getWriter();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const line = async (): Promise<Record<string, unknown> | undefined> => {
    while (!text.includes("\n")) {
      const { value } = await reader.read();
      if (value === undefined) return undefined;
      text += value;
    }
    const end = text.indexOf("\n");
    const first = JSON.parse(text.slice(0, end));
    text = text.slice(end + 1);
    return first;
  };
  const close = async () => {
    await writer.close().catch(() => {});
    await reader.cancel();
    await child.status;
  };
  const hello = await line();
  if (hello === undefined) {
    await close();
    return undefined;
  }
  return {
    about: String(hello.ready),
    ask: async <A>(command: Readonly<Record<string, unknown>>) => {
      const bytes = new TextEncoder().encode(JSON.stringify(command) + "\n");
      await writer.write(bytes);
      const answer = await line();
      if (answer === undefined) throw new Error(`${program} has ended`);
      if (answer.error !== undefined) {
        throw new Error(`${program}: ${answer.error}`);
      }
      return answer.ms as A;
    },
    [Symbol.asyncDispose]: close,
  };
}
