/**
 * The benchmark: `deno task bench`. Prints tables and stores all figures as JSON under `bench/results`.
 *
 * ```sh
 * deno run --allow-read --allow-write --allow-env --allow-ffi --allow-sys --allow-run bench/main.ts --only step
 * ```
 * @module
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { machineFacts } from "./machine.ts";
import { type Figures, goals } from "./goals.ts";
import { goalsTable, sections } from "./sections/mod.ts";
import type { Report, Section } from "./sections/section.ts";
import { wrap } from "./table.ts";
import { openScratch } from "./scratch.ts";

const HELP = `Usage: deno task bench [section ...] [options]

  --only NAME    measure one section, as naming it alone does
  --rounds N     rounds of each comparison, from 1 (default 5)
  --json         print the figures as JSON instead of tables
  --help         print this

Sections:
${
  sections.map(({ name, about }) => {
    const [first, ...rest] = wrap(about, 62);
    return [
      `  ${name.padEnd(13)}${first}`,
      ...rest.map((l) => " ".repeat(15) + l),
    ]
      .join("\n");
  }).join("\n")
}
`;

interface Options {
  readonly chosen: readonly Section[];
  readonly rounds: number;
  readonly json: boolean;
}

/** What the arguments ask for; a text is printed instead, an error is one line. */
function readArguments(args: readonly string[]): Options | string {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      only: { type: "string", multiple: true },
      rounds: { type: "string", default: "5" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return HELP;
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new RangeError(
      `--rounds is ${values.rounds}; it must be a whole number from 1`,
    );
  }
  const known = sections.map(({ name }) => name);
  const named = [...positionals, ...values.only ?? []];
  for (const name of named) {
    if (!known.includes(name)) {
      throw new RangeError(
        `${name}: there is no such section; ${known.join(", ")}`,
      );
    }
  }
  return {
    chosen: sections.filter(({ name }) =>
      named.length === 0 || named.includes(name)
    ),
    rounds,
    json: values.json,
  };
}

async function main(args: readonly string[]): Promise<number> {
  let options: Options | string;
  try {
    options = readArguments(args);
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : error}`);
    return 1;
  }
  if (typeof options === "string") {
    console.log(options);
    return 0;
  }
  const { chosen, rounds, json } = options;
  const say = (text: string) => json || console.log(text);
  const started = new Date();
  const machine = await machineFacts();
  say(
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.os}\n` +
      `Deno ${machine.deno}, ONNX Runtime ${machine.onnxruntime}, load average ${
        machine.load.toFixed(2)
      }` +
      (machine.load > 0.5
        ? "\nOther work is running: absolute figures are worse than this machine's best."
        : ""),
  );
  const figures: Record<string, unknown> = {};
  const failures: string[] = [];
  await using scratch = openScratch();
  for (const { name, title, measure } of chosen) {
    console.error(`\n[${name}] measuring …`);
    const load = Deno.loadavg()[0];
    let report: Report;
    try {
      report = await measure(scratch, rounds);
    } catch (error) {
      failures.push(name);
      const line = error instanceof Error
        ? error.message.split("\n")[0]
        : String(error);
      console.error(`[${name}] failed: ${line}`);
      figures[name] = { error: line };
      continue;
    }
    figures[name] = { load, ...report.figures };
    say(`\n${title}\n${report.text}`);
  }
  const measured = Object.fromEntries(
    Object.entries(figures).filter(([name]) => !failures.includes(name)),
  ) as Figures;
  if (goals(measured).some(({ reached }) => reached !== undefined)) {
    say(`\nGoals\n${goalsTable(measured)}`);
  }
  const result = {
    startedAt: started.toISOString(),
    seconds: (Date.now() - started.getTime()) / 1000,
    rounds,
    machine,
    figures,
    goals: goals(measured),
  };
  const text = JSON.stringify(result, null, 2);
  const file = new URL(
    `./results/${started.toISOString().replaceAll(":", "-")}.json`,
    import.meta.url,
  );
  await Deno.mkdir(new URL("./results/", import.meta.url), { recursive: true });
  await Deno.writeTextFile(file, text + "\n");
  if (json) console.log(text);
  console.error(`\nStored in ${relative(fileURLToPath(file))}`);
  return failures.length === 0 ? 0 : 1;
}

/** A path below the current folder, without the folder. */
function relative(path: string): string {
  const here = Deno.cwd() + "/";
  return path.startsWith(here) ? path.slice(here.length) : path;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
