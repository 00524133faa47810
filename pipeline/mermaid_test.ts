import assert from "node:assert/strict";
import { Effect } from "effect";
import { pipeline } from "./graph.ts";
import { toMermaid } from "./mermaid.ts";
import { defineNode } from "./node.ts";
import { list, Text } from "./port.ts";
import { random, randomPipeline } from "./random_kit.ts";
import { upper } from "./test_kit.ts";

const join = defineNode({
  kind: "join",
  inputs: { texts: list(Text) },
  outputs: { text: Text },
  run: ({ texts }) => Effect.succeed({ text: texts.join() }),
});

Deno.test("the drawing shows inputs, ports, mapped nodes, constants and boxes of pipelines", () => {
  const inner = pipeline("inner", (g) => {
    const loud = g.each(upper, { text: g.input("texts", list(Text)) });
    const all = g.add(join, { texts: loud.text });
    return g.add(
      join,
      { texts: g.list(all.text, g.constant(Text, 'x"]; <b>')) },
      {},
      { id: "last" },
    );
  });
  const outer = pipeline(
    "outer",
    (g) => g.each(inner, { texts: g.input("pages", list(list(Text))) }),
  );
  assert.equal(
    toMermaid(outer),
    `flowchart LR
  n0(["pages: List#60;List#60;Text#62;#62;"])
  subgraph s1["inner × n"]
    n2(["texts: List#60;Text#62;"])
    n3[["upper × n"]]
    n4["join"]
    n5["last: join"]
    n6[/"#34;x#92;#34;#93;#59; #60;b#62;#34;"/]
  end
  n7(["text: List#60;Text#62;"])
  n2 -- "text" --> n3
  n3 -- "text → texts" --> n4
  n4 -- "text → texts" --> n5
  n6 -- "texts" --> n5
  n0 --> n2
  n5 -- "text" --> n7
`,
  );
});

Deno.test("of any graph: every line is a known form, every edge joins boxes that are drawn", () => {
  for (let seed = 0; seed < 50; seed++) {
    const lines = toMermaid(randomPipeline(random(seed))).trimEnd().split("\n");
    assert.equal(lines.shift(), "flowchart LR");
    const boxes = new Set<string>();
    let open = 0;
    for (const line of lines) {
      const box =
        /^ +(n\d+)(?:\(\["[^"]*"\]\)|\[\["[^"]*"\]\]|\["[^"]*"\]|\[\/"[^"]*"\/\])$/
          .exec(line);
      const edge = /^ {2}(n\d+) (?:-- "[^"]+" )?--> (n\d+)$/.exec(line);
      if (box !== null) boxes.add(box[1]!);
      else if (edge !== null) {
        assert.ok(boxes.has(edge[1]!) && boxes.has(edge[2]!), line);
      } else if (/^ +subgraph s\d+\["[^"]*"\]$/.test(line)) open++;
      else if (/^ +end$/.test(line)) open--;
      else assert.fail(line);
    }
    assert.equal(open, 0);
  }
});
