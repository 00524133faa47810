/** Every example in a docstring, in the README and in `docs/` runs. */
import assert from "node:assert/strict";
import { exampleFiles, examplesOf, runExample } from "./examples.ts";

const root = new URL("../", import.meta.url);
const paths = new Set<string>();

for (const file of await exampleFiles(root)) {
  const path = file.pathname.slice(root.pathname.length);
  for (const example of examplesOf(file, await Deno.readTextFile(file))) {
    paths.add(path);
    Deno.test(`${path}:${example.line}`, () => runExample(example));
  }
}

Deno.test("deno task check reads every file with examples", async () => {
  const config = await Deno.readTextFile(new URL("deno.json", root));
  const { command } = JSON.parse(config).tasks.check;
  const [, , doc, ...args]: string[] = command.split(" ");
  assert.equal(doc, "--doc");
  // A folder stands for its sources, not for its Markdown.
  const read = (path: string) =>
    args.some((arg) =>
      arg === path ||
      arg === path.replace(/[^/]+\.md$/, "*.md") ||
      (!path.endsWith(".md") && path.startsWith(`${arg}/`))
    );
  assert.deepEqual([...paths].filter((path) => !read(path)), []);
  assert.ok(paths.has("README.md") && paths.has("mod.ts"));
});

const docs = new URL("docs/a.md", root);
const source = new URL("nodes/a.ts", root);

Deno.test("examples are found in Markdown and in docstrings", () => {
  const markdown = [
    "# A",
    "```ts",
    "a;",
    "```",
    "```sh",
    "b",
    "```",
    "- c",
    "  ```tsx",
    "  d;",
    "  ```",
    "```ts ignore",
    "e",
    "```",
  ].join("\n");
  assert.deepEqual(
    examplesOf(docs, markdown).map((e) => [e.line, e.language, e.code]),
    [[2, "ts", "a;"], [9, "tsx", "  d;"]],
  );
  const code = [
    "/**",
    " * Text.",
    " * ```ts",
    " * const a = 1;",
    " *",
    " *   a;",
    " * ```",
    " */",
    "const text = `",
    "```ts",
    "b",
    "`;",
    "  /**",
    "   * ```js",
    "   * c;",
    "   * ```",
    "   */",
  ].join("\n");
  assert.deepEqual(
    examplesOf(source, code).map((e) => [e.line, e.language, e.code]),
    [[3, "ts", "const a = 1;\n\n  a;"], [14, "js", "c;"]],
  );
  assert.throws(() => examplesOf(docs, "```ts\na\n"), /a\.md:1: .*not closed/);
});

Deno.test("an example that throws, rejects late or does not parse is an error at its line", async () => {
  const example = (code: string) =>
    runExample({ file: source, line: 40, language: "ts", code });
  const thrown = await example("const a: number = 1;\nthrow new Error(`${a}`);")
    .then(() => undefined, (error: Error) => error);
  assert.match(thrown!.stack!, /^Error: 1\n.*:42:/);
  await assert.rejects(example("await Promise.reject(new Error('late'))"));
  await assert.rejects(example("const a ="));
  await assert.rejects(example('import "./missing.ts";'), /nodes\/missing\.ts/);
  await example('import { Prompt } from "./ports.ts"; Prompt.name;');
});
