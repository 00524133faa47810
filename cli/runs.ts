/**
 * `tessera runs`: what was recorded, as a list or one run in full.
 * @module
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import * as Effect from "effect/Effect";
import * as Option from "effect/Option";
import type * as Scope from "effect/Scope";
import * as Argument from "effect/cli/Argument";
import * as Command from "effect/cli/Command";
import * as Flag from "effect/cli/Flag";
import { runJson } from "../dashboard/run_json.ts";
import { questionOf, shownState } from "../dashboard/view.ts";
import type { RunPage, StoredNode, StoredRun } from "../pipeline/mod.ts";
import { checked } from "./chat.ts";
import {
  type Fault,
  fileReason,
  InputError,
  requireFileFault,
} from "./faults.ts";
import * as flags from "./flags.ts";
import { defaultStore } from "./models.ts";
import { Shell } from "./shell.ts";
import {
  count,
  duration,
  fit,
  jsonText,
  oneLine,
  padEnd,
  padStart,
  wrap,
} from "./text.ts";

const config = {
  store: flags.path("store").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription(`The SQLite file; default: ${defaultStore}`),
    Flag.withDefault(defaultStore),
  ),
  limit: Flag.Int("limit").pipe(
    Flag.filter(
      (value) => value >= 1 && value <= 1000,
      (value) => `Expected 1 to 1000, got ${value}`,
    ),
    Flag.withMetavar("N"),
    Flag.withDescription("List this many of the latest; default: 20"),
    Flag.withDefault(20),
  ),
  json: flags.json,
  id: flags.named("id").pipe(
    Argument.withMetavar("ID"),
    Argument.withDescription("A run, to see all of it"),
    Argument.optional,
  ),
};

/** What the flags of `runs` parse to. */
export type RunsFlags = Command.Command.Config.Infer<typeof config>;

const marks: Readonly<Record<string, string>> = {
  succeeded: "ok",
  interrupted: "stopped",
};

/** How a run stands, in a word: one whose process has said nothing for long is lost. */
function standing(
  { status: state, updatedAt }: Pick<StoredRun, "status" | "updatedAt">,
  now: number,
): string {
  const shown = shownState({ state, updatedAt }, now);
  return marks[shown] ?? shown;
}

/** A list of runs for people, a line each. */
export function runsText(
  runs: RunPage["runs"],
  columns: number,
  now: number = Date.now(),
): string {
  if (runs.length === 0) return "No runs.\n";
  const narrow = columns < 100;
  return runs.map((run) => {
    const facts = [
      localTime(run.startedAt),
      padEnd(standing(run, now), 7),
      padStart(run.ms === undefined ? "" : duration(run.ms), 8),
      ...(narrow ? [] : [padEnd(run.pipeline, 10)]),
    ].join("  ");
    const what = run.error?.message ??
      (questionOf(run.inputs) || run.pipeline);
    return narrow
      ? `${run.runId}\n  ${fit(facts, columns - 2).trimEnd()}\n  ${
        fit(oneLine(what), columns - 2)
      }\n`
      : `${run.runId}  ${facts}  ${
        fit(oneLine(what), columns - 40 - facts.length)
      }\n`;
  }).join("");
}

/** A time as the person's clock shows it. */
function localTime(at: number): string {
  const date = new Date(at);
  const two = (value: number) => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${
    two(date.getDate())
  } ${two(date.getHours())}:${two(date.getMinutes())}:${
    two(date.getSeconds())
  }`;
}

/** A run for people: its facts and its nodes. */
export function runText(
  run: StoredRun,
  columns: number,
  now: number = Date.now(),
): string {
  const width = Math.max(40, Math.min(120, columns));
  const lines: string[] = [];
  const fact = (name: string, value: string) => {
    const [first = "", ...rest] = wrap(oneLine(value), width - 16);
    lines.push(`${padEnd(name, 16)}${first}`);
    for (const line of rest) lines.push(`${" ".repeat(16)}${line}`);
  };
  fact("run", run.runId);
  fact("pipeline", run.pipeline);
  fact(
    "status",
    standing(run, now) +
      (run.ms === undefined ? "" : ` in ${duration(run.ms)}`),
  );
  fact("began", localTime(run.startedAt));
  for (const [name, value] of Object.entries(run.inputs)) {
    if (value === null) continue;
    fact(name, typeof value === "string" ? value : JSON.stringify(value));
  }
  for (const [name, value] of Object.entries(run.outputs ?? {})) {
    fact(
      `→ ${name}`,
      typeof value === "string" ? value : JSON.stringify(value),
    );
  }
  if (run.error !== undefined) {
    fact("error", `${run.error.tag}: ${run.error.message}`);
  }
  lines.push("");
  const rows = run.nodes.filter((node) => !node.composite);
  const name = Math.max(
    4,
    ...rows.flatMap((node) => [
      node.node.length,
      ...node.spans.map((span) => span.name.length + 2),
    ]),
  );
  const left = Math.min(name, Math.max(12, width - 28));
  lines.push(
    `${padEnd("node", left)}  ${padStart("ms", 9)}  ${padStart("waited", 7)}`,
  );
  for (const node of rows) {
    lines.push(
      `${padEnd(fit(node.node, left), left)}  ${padStart(nodeTime(node), 9)}  ${
        padStart(count(Math.round(node.queuedMs)), 7)
      }`.trimEnd(),
    );
    for (const span of node.spans) {
      lines.push(
        `${padEnd(fit(`  ${span.name}`, left), left)}  ${
          padStart(span.ms.toFixed(1), 9)
        }`,
      );
    }
    if (node.error !== undefined) {
      lines.push(...wrap(`  ${oneLine(node.error.message)}`, width));
    }
  }
  return `${lines.join("\n")}\n`;
}

function nodeTime(node: StoredNode): string {
  if (node.cached) return "cached";
  if (node.status === "failed") return "failed";
  return node.ms === undefined ? "running" : node.ms.toFixed(1);
}

/** `runs` with its arguments parsed. */
export const runsHandler = Effect.fn("cli.runs")(function* (
  options: RunsFlags,
) {
  const shell = yield* Shell;
  const { RunStore } = yield* Effect.promise(() =>
    import("../pipeline/mod.ts")
  );
  const { layerSqlite } = yield* Effect.promise(() =>
    import("../plugins/sqlite/mod.ts")
  );
  if (options.store === "none") {
    return yield* Effect.fail<Fault>(
      new InputError(
        "--store none keeps nothing, so there are no runs to list",
      ),
    );
  }
  const fault = requireFileFault("run store", options.store);
  if (fault !== undefined) return yield* Effect.fail<Fault>(fault);
  const id = Option.getOrUndefined(options.id);
  const columns = shell.stdoutIsTerminal ? shell.columns() : 80;
  const read = Effect.gen(function* () {
    const store = yield* RunStore;
    if (id === undefined) {
      const { runs } = yield* store.list({ limit: options.limit });
      return options.json
        ? `${jsonText({ runs: runs.map(runJson) })}\n`
        : runsText(runs, columns);
    }
    const run = yield* store.get(id);
    if (run === undefined) {
      return yield* Effect.fail<Fault>(
        new InputError(`${options.store} has no run ${id}`),
      );
    }
    return options.json ? `${jsonText(runJson(run))}\n` : runText(run, columns);
  });
  const from = (file: string) =>
    read.pipe(Effect.provide(layerSqlite(file)), Effect.scoped);
  const text = yield* Effect.catchIf(
    from(options.store),
    (error) => error._tag === "StoreError" && !canWrite(options.store),
    () =>
      Effect.flatMap(
        copied(options.store),
        (copy) =>
          Effect.mapError(from(copy), (error): Fault =>
            error._tag === "StoreError"
              ? new InputError(error.message.replaceAll(copy, options.store))
              : error),
      ),
  );
  yield* shell.write(text);
}, Effect.scoped);

/** Whether a store can be opened where it lies: SQLite writes beside a file that it only reads, too. */
function canWrite(file: string): boolean {
  try {
    Deno.openSync(file, { append: true }).close();
    const folder = dirname(file);
    Deno.removeSync(
      Deno.makeTempFileSync({ dir: folder, prefix: ".tessera-" }),
    );
    return true;
  } catch {
    return false;
  }
}

/** A copy of a store that may only be read, with what its log holds, until the scope closes. */
function copied(file: string): Effect.Effect<string, Fault, Scope.Scope> {
  return Effect.gen(function* () {
    const folder = yield* Effect.acquireRelease(
      checked(() => Deno.makeTempDirSync({ prefix: "tessera-runs-" })),
      (folder) =>
        Effect.sync(() => Deno.removeSync(folder, { recursive: true })),
    );
    const copy = join(folder, "runs.sqlite");
    for (const suffix of ["", "-wal"]) {
      // What is in the log and not in the file is newer than the file.
      if (suffix !== "" && !existsSync(file + suffix)) continue;
      yield* Effect.try({
        try: () => Deno.copyFileSync(file + suffix, copy + suffix),
        catch: (cause): Fault =>
          new InputError(
            `cannot read run store ${file}: ${fileReason(cause)}`,
            { cause },
          ),
      });
      // The copy has the file's mode.
      Deno.chmodSync(copy + suffix, 0o600);
    }
    return copy;
  });
}

/** The `runs` command. */
export const runs = Command.make("runs", config, runsHandler).pipe(
  Command.withDescription(
    "List the runs that were recorded, latest first, or show one with the time of each node.",
  ),
  Command.withShortDescription("List recorded runs, or show one"),
  Command.withExamples([
    { command: "tessera runs" },
    {
      command: "tessera runs ID --json",
      description: "A run with all its events",
    },
  ]),
);
