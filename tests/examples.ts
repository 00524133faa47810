/**
 * The examples in docstrings and Markdown, found and run. `deno check --doc` holds their types;
 * `deno test --doc` would run them, each in an isolate that loads the whole SDK again, which takes longer
 * than the examples do. Here they are modules of one isolate, and the SDK is loaded once.
 */

/** One fenced block of code. */
export interface Example {
  /** The file it stands in. */
  readonly file: URL;
  /** The line of its opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  readonly code: string;
}

const runnable = /^(ts|tsx|mts|js|jsx|mjs|typescript|javascript)$/;
const skipped = /^(node_modules|generated|golden|models|tools|\..*)$/;

/** The files of `folder` that may hold examples, deepest last: sources and Markdown, without tests. */
export async function exampleFiles(folder: URL): Promise<URL[]> {
  const files: URL[] = [];
  const entries = await Array.fromAsync(Deno.readDir(folder));
  entries.sort((a, b) => a.name < b.name ? -1 : 1);
  for (const { name, isDirectory, isFile } of entries) {
    if (skipped.test(name)) continue;
    if (isDirectory) {
      files.push(...await exampleFiles(new URL(`${name}/`, folder)));
    } else if (isFile && /\.(tsx?|md)$/.test(name) && !/_test\./.test(name)) {
      files.push(new URL(name, folder));
    }
  }
  return files;
}

/**
 * The examples of one file.
 *
 * @throws {Error} when a fence is not closed.
 */
export function examplesOf(file: URL, text: string): Example[] {
  const markdown = file.pathname.endsWith(".md");
  const fence = markdown ? /^\s*```(.*)$/ : /^\s*\* *```(.*)$/;
  const examples: Example[] = [];
  let open: { line: number; info: string; lines: string[] } | undefined;
  text.split(/\r?\n/).forEach((line, i) => {
    const info = fence.exec(line)?.[1].trim();
    if (open === undefined) {
      if (info !== undefined) open = { line: i + 1, info, lines: [] };
    } else if (info === undefined) {
      open.lines.push(markdown ? line : line.replace(/^\s*\* ?/, ""));
    } else {
      const [language, ...attributes] = open.info.split(/[\s,]+/);
      if (runnable.test(language) && !attributes.includes("ignore")) {
        const code = open.lines.join("\n");
        examples.push({ file, line: open.line, language, code });
      }
      open = undefined;
    }
  });
  if (open !== undefined) {
    throw new Error(`${file}:${open.line}: the block of code is not closed`);
  }
  return examples;
}

/** Runs one example as a module; relative imports are those of its file. Rejects with what it throws. */
export async function runExample(example: Example): Promise<void> {
  const code = example.code.replaceAll(
    /((?:^|\s)(?:from|import)\s*\(?\s*)"(\.{1,2}\/[^"]*)"/g,
    (_, before, to) => `${before}"${new URL(to, example.file)}"`,
  );
  // Line numbers in an error are then those of the file.
  const lines = "\n".repeat(example.line) + code;
  const tsx = /x$/.test(example.language);
  const type = /^(j|mj)/.test(example.language)
    ? "application/javascript"
    : tsx
    ? "text/tsx"
    : "application/typescript";
  const url = URL.createObjectURL(new Blob([lines], { type }));
  try {
    await import(url);
  } finally {
    URL.revokeObjectURL(url);
  }
}
