/**
 * What comes over standard input, line by line: a line that is no JSON is answered as JSON-RPC 2.0 says
 * (section 5.1, code −32700) instead of ending the server.
 * @module
 */
import { Effect, Stream } from "effect";
import { Stdio } from "effect/Stdio";

/** Characters of a line: a message with a large picture as a data URL is shorter. */
const longestLine = 2 ** 28;

const encoder = new TextEncoder();

const failure = (message: string): string =>
  `${
    JSON.stringify({
      jsonrpc: "2.0",
      id: null,
      error: { code: -32700, message },
    })
  }\n`;

/** Cuts text into lines; of one that is too long the beginning is let go, and the rest is no JSON. */
class Lines {
  #pending: string[] = [];
  #length = 0;

  /** Whole lines. */
  push(text: string): string[] {
    const parts = text.split("\n");
    const lines = parts.length > 1 ? [this.#take(parts.shift()!)] : [];
    const rest = parts.pop()!;
    lines.push(...parts);
    this.#length += rest.length;
    if (this.#length > longestLine) this.#pending = [""];
    else this.#pending.push(rest);
    return lines;
  }

  /** What has no end. */
  end(): string[] {
    const last = this.#take("");
    return last === "" ? [] : [last];
  }

  #take(end: string): string {
    const long = this.#length + end.length > longestLine;
    const line = long ? "(too long)" : this.#pending.join("") + end;
    this.#pending = [];
    this.#length = 0;
    return line;
  }
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

/** Standard input and output of which only lines of JSON arrive. */
export const jsonLines = (stdio: Stdio): Stdio => {
  const answer = Stream.run(
    Stream.succeed(failure("Parse error: a message is one line of JSON")),
    stdio.stdout(),
  );
  const checked = (lines: string[]) =>
    Effect.gen(function* () {
      let good = "";
      for (const line of lines) {
        if (line.trim() === "") continue;
        if (isJson(line)) good += `${line}\n`;
        else yield* answer;
      }
      return encoder.encode(good);
    });
  return Stdio.of({
    ...stdio,
    stdin: Stream.suspend(() => {
      const lines = new Lines();
      return stdio.stdin.pipe(
        Stream.decodeText,
        Stream.map((text) => lines.push(text)),
        Stream.concat(Stream.suspend(() => Stream.succeed(lines.end()))),
        Stream.mapEffect(checked),
        Stream.filter((bytes) => bytes.length > 0),
      );
    }),
  });
};
