/**
 * The long soak: `deno task test:soak [REQUESTS]`. Fails where memory or handles have grown by more than
 * 5 % after the first half.
 * @module
 */
import { fileURLToPath } from "node:url";
import { soak } from "./soak_kit.ts";

const count = Number(Deno.args[0] ?? 2000);
const nano = fileURLToPath(new URL("../../../models/nano", import.meta.url));
const seed = Number(Deno.args[1] ?? 1);
const report = await soak(nano, count, seed, (line) => console.log(line));
console.log(
  Object.entries(report.ended).map(([end, n]) => `${end} ${n}`).join(", ") +
    `; ${Math.round(report.reused * 100)} % of the prompts' tokens reused`,
);
let failed = false;
for (const name of ["resident", "handles"] as const) {
  const grown = report[name].at(-1)! / report[name][4] - 1;
  console.log(`${name}: ${(grown * 100).toFixed(1)} % more than half-way`);
  failed ||= grown > 0.05;
}
if (failed) Deno.exit(1);
