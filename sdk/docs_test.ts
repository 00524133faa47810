/** What docs/sdk.md lists is held against what there is. */
import assert from "node:assert/strict";
import { stages } from "./stages.ts";

const page = await Deno.readTextFile(
  new URL("../docs/sdk.md", import.meta.url),
);
const types = await Deno.readTextFile(new URL("./types.ts", import.meta.url));

/** The fields of an interface in `types.ts`. */
function fieldsOf(name: string): string[] {
  const body = new RegExp(`interface ${name} [^{]*\\{(.*?)\\n\\}`, "s").exec(
    types,
  );
  return [...body![1]!.matchAll(/^ {2}readonly (\w+)/gm)].map(([, field]) =>
    field!
  );
}

/** What stands in backticks in the first column of the first table after a line. */
function tableAfter(line: string): string[] {
  const rows =
    page.slice(page.indexOf(`\n${line}\n`)).match(/\n\|.*?\n(?!\|)/s)![0];
  return rows.split("\n").flatMap((row) =>
    [...row.split("|")[1]?.matchAll(/`(\w+)`/g) ?? []].map(([, name]) => name!)
  );
}

Deno.test("docs/sdk.md lists every option of load, every field of a request and of a result", () => {
  for (
    const [line, ...names] of [
      ["`LoadOptions`:", "LoadOptions"],
      ["## A request", "ChatRequest", "AskOptions"],
      ["## A result", "ChatResult"],
    ] as const
  ) {
    assert.deepEqual(
      tableAfter(line).toSorted(),
      names.flatMap(fieldsOf).toSorted(),
    );
  }
});

Deno.test("docs/sdk.md lists every stage", () => {
  const row = /\n\| `timings`.*\n/.exec(page)![0];
  const listed = [...row.matchAll(/`([\w-]+)`/g)].map(([, name]) => name);
  assert.deepEqual(listed.slice(1), [
    ...stages,
    "join-tiles",
    "sample",
    "join-frames",
    "join-tokens",
  ]);
});

Deno.test("docs/sdk.md links the SDK and the Effect that there are", async () => {
  const { name, version, imports } = JSON.parse(
    await Deno.readTextFile(new URL("../deno.json", import.meta.url)),
  );
  const [, block] = /```json\n(\{\n {2}"nodeModulesDir".*?)```/s.exec(page)!;
  assert.deepEqual(JSON.parse(block!).imports, {
    [name]: `jsr:${name}@^${version}`,
    effect: imports.effect,
  });
});
