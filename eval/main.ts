/**
 * `deno task eval`: fresh pictures from a seed, asked through the whole pipeline, and a table of what is right.
 * @module
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { InternVL } from "../mod.ts";
import { loadFonts } from "./draw.ts";
import { type Outcome, reached, runTask, table } from "./run.ts";
import { tasks } from "./tasks.ts";

const HELP = `Usage: deno task eval [options]

Draws fresh pictures, asks a model about them, and counts the right answers.

  --model DIR    a checkpoint folder (default models/nano)
  --task NAME    one task only; may be given several times
  --count N      pictures for each task, from 1 (default 500)
  --seed N       another seed draws other pictures (default 1)
  --wrong N      also print the first N wrong answers of each task
  --json FILE    store the table, the shares by kind of question and the wrong answers
  --help         print this

Tasks:
${tasks.map(({ name, about }) => `  ${name.padEnd(13)}${about}`).join("\n")}
`;

function whole(name: string, text: string, from: number): number {
  const n = Number(text);
  if (text.trim() === "" || !Number.isSafeInteger(n) || n < from) {
    throw new RangeError(
      `--${name} is ${
        JSON.stringify(text)
      }; it must be a whole number from ${from}`,
    );
  }
  return n;
}

function readArguments(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: "string", default: "models/nano" },
      task: { type: "string", multiple: true },
      count: { type: "string", default: "500" },
      seed: { type: "string", default: "1" },
      wrong: { type: "string", default: "0" },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  for (const name of values.task ?? []) {
    if (!tasks.some((task) => task.name === name)) {
      throw new RangeError(
        `--task ${JSON.stringify(name)}: there is no such task; ${
          tasks.map((task) => task.name).join(", ")
        }`,
      );
    }
  }
  return {
    model: values.model,
    chosen: tasks.filter(({ name }) => values.task?.includes(name) ?? true),
    count: whole("count", values.count, 1),
    seed: whole("seed", values.seed, 0),
    wrong: whole("wrong", values.wrong, 0),
    json: values.json,
    help: values.help,
  };
}

async function main(
  args: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const options = readArguments(args);
  if (options.help) {
    console.log(HELP);
    return;
  }
  const { count, seed, wrong, chosen } = options;
  const live = Deno.stderr.isTerminal();
  const paint = (text: string) => {
    if (live) {
      Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
    }
  };
  if (options.json !== undefined) {
    // Minutes later would be late to learn that it cannot be written.
    (await Deno.open(options.json, { write: true, create: true })).close();
  }
  const fonts = await loadFonts();
  await using model = await InternVL.load(options.model, {
    cacheBytes: 64 * 2 ** 20,
    signal,
  });
  const folder = await Deno.makeTempDir({ prefix: "tessera-eval-" });
  const outcomes: Outcome[] = [];
  try {
    for (const task of chosen) {
      const outcome = await runTask(model, task, {
        seed,
        count,
        fonts,
        folder,
        misses: Math.max(20, wrong),
        signal,
        onProgress: (done) => paint(`${task.name}: ${done} of ${count}`),
      });
      paint("");
      if (!live) console.error(`${task.name}: ${outcome.seconds.toFixed(0)} s`);
      outcomes.push(outcome);
    }
  } catch (error) {
    // A stop shows what is done; anything else is a fault.
    if (!signal.aborted || outcomes.length === 0) throw error;
  } finally {
    paint("");
    await Deno.remove(folder, { recursive: true });
  }
  console.log(
    `${model.info.name}, seed ${seed}, ${count} pictures a task; printed in ${
      fonts.map(({ name }) => name).join(", ")
    }\n`,
  );
  console.log(table(chosen, outcomes));
  for (const { task, misses } of wrong > 0 ? outcomes : []) {
    for (const { question, given, right } of misses.slice(0, wrong)) {
      console.log(
        `${task}: ${JSON.stringify(question)}\n  ${
          JSON.stringify(given)
        }, not ${JSON.stringify(right)}`,
      );
    }
  }
  if (options.json !== undefined) {
    const value = {
      model: model.info.name,
      seed,
      count,
      fonts: fonts.map(({ name }) => name),
      tasks: outcomes.map((outcome) => ({
        ...outcome,
        goals: chosen.find(({ name }) => name === outcome.task)!.goals.map((
          goal,
        ) => ({ ...goal, ...reached(goal, outcome) })),
      })),
    };
    await Deno.writeTextFile(
      options.json,
      JSON.stringify(value, null, 2) + "\n",
    );
  }
  signal.throwIfAborted();
}

if (import.meta.main) {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.once(name, () => controller.abort());
  }
  try {
    await main(Deno.args, controller.signal);
  } catch (error) {
    if (controller.signal.aborted) Deno.exit(130);
    console.error(
      `eval: ${
        (error instanceof Error ? error.message : String(error)).split(
          "\n",
        )[0]
      }`,
    );
    Deno.exit(1);
  }
}
