import assert from "node:assert/strict";
import { type Cost, costTable, launcher } from "./demo.ts";

const costs: Cost[] = ["one", "again", "pair", "apart", "batch", "video"].map(
  (title, index) => ({
    title: `${index + 1} ${title}`,
    timings: {
      "load": 3.14159,
      "tile": 4,
      "vision-encode": 1234.5,
      "prefill": 20,
      ...(title === "video" ? { "video-sample": 70 } : {}),
      "decode": 99.96,
    },
    cached: new Set(title === "again" ? ["load", "vision-encode"] : []),
    total: 1500,
  }),
);

Deno.test("the table of costs at 80 columns", () => {
  assert.equal(
    costTable(costs, 80),
    `ms                 1 one  2 again   3 pair  4 apart  5 batch  6 video
load                 3.1   cached      3.1      3.1      3.1      3.1
video-sample           -        -        -        -        -       70
tile                 4.0      4.0      4.0      4.0      4.0      4.0
vision-encode      1,235   cached    1,235    1,235    1,235    1,235
prefill               20       20       20       20       20       20
decode               100      100      100      100      100      100
in all             1,500    1,500    1,500    1,500    1,500    1,500
`,
  );
});

Deno.test("a narrow table has its columns in blocks", () => {
  for (const columns of [30, 40, 60]) {
    const table = costTable(costs, columns);
    for (const line of table.split("\n")) {
      assert.ok(line.length <= columns, `${columns}: ${line}`);
    }
    for (const { title } of costs) assert.ok(table.includes(title));
  }
});

Deno.test("what is said next can be typed by whoever started it", () => {
  const env = (values: Record<string, string>) => (name: string) =>
    values[name];
  assert.equal(launcher(env({})), "deno task");
  assert.equal(
    launcher(env({ npm_lifecycle_event: "npx" })),
    `npx -y deno@${Deno.version.deno} task`,
  );
});
