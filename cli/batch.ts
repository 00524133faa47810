/**
 * `tessera batch`: a file of questions in, a file of answers out.
 * @module
 */
import { basename } from "node:path";
import * as Cause from "effect/Cause";
import * as Effect from "effect/Effect";
import * as Exit from "effect/Exit";
import * as Command from "effect/cli/Command";
import * as Flag from "effect/cli/Flag";
import type { AskOptions, ChatResult, Json } from "../mod.ts";
import { jsonResult, warnUnrecorded } from "./answer.ts";
import { checked } from "./chat.ts";
import { describe, type Fault, Reported, UsageError } from "./faults.ts";
import * as flags from "./flags.ts";
import { generationFlags, idleSettings } from "./generation.ts";
import { idKey, type Job, openOutput, readJobs } from "./jsonl.ts";
import { attempt, openModel } from "./models.ts";
import { jobsLine, makePainter, rate } from "./progress.ts";
import { Shell } from "./shell.ts";
import { count, duration, plural } from "./text.ts";

const config = {
  ...flags.modelFlags,
  input: flags.path("input").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Questions, one JSON object a line (required)"),
  ),
  output: flags.path("output").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      "Answers, one JSON object a line; appended to (required)",
    ),
  ),
  concurrency: Flag.Int("concurrency").pipe(
    Flag.filter(
      (value) => value >= 1 && value <= 64,
      (value) => `Expected 1 to 64, got ${value}`,
    ),
    Flag.withMetavar("N"),
    Flag.withDescription(
      "Questions at work at once: pictures of one are read while another is answered; default: 2",
    ),
    Flag.withDefault(2),
  ),
  retryFailed: Flag.Boolean("retry-failed").pipe(
    Flag.withoutNegation,
    Flag.withDescription(
      "Take the error lines out of the output and ask those questions again",
    ),
    Flag.withDefault(false),
  ),
  ...flags.tilingFlags,
  system: flags.system,
  ...generationFlags,
};

/** What the flags of `batch` parse to. */
export type BatchFlags = Command.Command.Config.Infer<typeof config>;

/** How often a pipe is told how far the batch has come. */
const plainInterval = 10_000;

/** `batch` with its arguments parsed. */
export const batchHandler = Effect.fn("cli.batch")(function* (
  options: BatchFlags,
) {
  const shell = yield* Shell;
  const ask = yield* checked(() => flags.askOptions(options));
  const jobs = yield* checked(() => {
    for (const name of ["input", "output"] as const) {
      if (options[name] === "-") {
        throw new UsageError(
          `--${name} must be a file: a second start goes on from both; ./- is one of that name`,
        );
      }
    }
    if (sameFile(options.input, options.output)) {
      throw new UsageError("--input and --output are the same file");
    }
    return readJobs(options.input);
  });
  const idle = idleSettings(options);
  if (idle !== undefined) shell.warn(`tessera: ${idle}\n`);
  const output = yield* Effect.acquireRelease(
    checked(() => openOutput(options.output, options)),
    (output) => Effect.sync(output.close),
  );
  const { earlier } = output;
  if (earlier.torn > 0) {
    shell.warn(
      `tessera: ${options.output} ended in half a line; ${
        plural(earlier.torn, "byte")
      } cut away\n`,
    );
  }
  const skip = (job: Job) => {
    const key = idKey(job.id);
    return earlier.answered.has(key) ||
      (!options.retryFailed && earlier.failed.has(key));
  };
  const todo = jobs.filter((job) => !skip(job));
  const skipped = jobs.length - todo.length;
  if (skipped > 0) {
    const failedBefore = options.retryFailed
      ? 0
      : jobs.filter((job) => earlier.failed.has(idKey(job.id))).length;
    shell.warn(
      `tessera: ${count(skipped)} of ${plural(jobs.length, "question")} ${
        skipped === 1 ? "is" : "are"
      } in ${options.output} already` +
        (failedBefore > 0
          ? ` (${
            count(failedBefore)
          } as errors; --retry-failed asks them again)`
          : "") +
        "\n",
    );
  }
  if (todo.length === 0) return;
  const { model } = yield* openModel(flags.modelChoice(options));

  const batchId = crypto.randomUUID();
  /** What makes these runs one batch in the run store. */
  const attributes = (job: Job, index: number) => ({
    batch: {
      id: batchId,
      name: basename(options.output),
      item: job.id,
      index,
      total: todo.length,
      settings: jsonSettings(ask),
    },
  });
  const began = performance.now();
  let done = 0;
  let failed = 0;
  let spoken = began;
  let unrecorded: ChatResult["storeError"];
  const painter = makePainter(shell);
  const line = (columns: number) =>
    jobsLine({
      done,
      total: todo.length,
      failed,
      elapsedMs: performance.now() - began,
    }, columns);
  const summary = () =>
    `${count(done)} of ${plural(todo.length, "question")} in ${
      duration(performance.now() - began)
    }` +
    (done > 0
      ? `, ${rate(done / Math.max(1, performance.now() - began) * 1000)}`
      : "") +
    (failed > 0 ? `, ${count(failed)} failed` : "");
  const tell = () => {
    if (shell.canRepaint) painter.paint(line);
    else if (
      done === todo.length || performance.now() - spoken >= plainInterval
    ) {
      spoken = performance.now();
      shell.warn(`tessera: ${summary()}\n`);
    }
  };
  if (shell.canRepaint) painter.paint(line);
  yield* Effect.forEach(todo, (job, index) =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(
        attempt((signal) =>
          model.chat({
            ...ask,
            ...job.sample,
            attributes: attributes(job, index),
            signal,
          })
        ),
      );
      if (Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)) {
        return yield* Effect.failCause(exit.cause);
      }
      yield* checked(() => output.append(batchLine(job, exit)));
      if (Exit.isSuccess(exit) && exit.value.storeError !== undefined) {
        unrecorded ??= exit.value.storeError;
      }
      done++;
      if (Exit.isFailure(exit)) failed++;
      tell();
    }), { concurrency: options.concurrency, discard: true }).pipe(
      Effect.ensuring(Effect.sync(() => {
        painter.clear();
        if (shell.canRepaint || done < todo.length) {
          shell.warn(`tessera: ${summary()}\n`);
        }
        warnUnrecorded(shell, unrecorded);
      })),
    );
  if (failed > 0) return yield* Effect.fail<Fault>(new Reported());
}, Effect.scoped);

/** The output line of a question. */
export function batchLine(job: Job, exit: Exit.Exit<ChatResult, Fault>) {
  if (Exit.isFailure(exit)) {
    return { id: job.id, error: describe(Cause.squash(exit.cause)) };
  }
  const { history: _, ...result } = jsonResult(exit.value);
  return { id: job.id, ...result };
}

/** What the questions of a batch have in common, under its names in JSON. */
function jsonSettings(
  { generation = {}, maxTiles, minTiles, systemMessage }: AskOptions,
): { readonly [name: string]: Json } {
  return {
    ...(maxTiles === undefined ? {} : { maxTiles }),
    ...(minTiles === undefined ? {} : { minTiles }),
    ...(systemMessage === undefined ? {} : { systemMessage }),
    // What flags give is JSON: a schema comes from a file.
    ...generation as { readonly [name: string]: Json },
  };
}

function sameFile(a: string, b: string): boolean {
  try {
    return Deno.realPathSync(a) === Deno.realPathSync(b);
  } catch {
    return a === b;
  }
}

/** The `batch` command. */
export const batch = Command.make("batch", config, batchHandler).pipe(
  Command.withDescription(
    "Answer a file of questions.\n\n" +
      'Lines in: {"id", "question", "images": [paths], "video": path or {"source", "segments", "start", ' +
      '"end"}, "history": [[question, answer]], "num_patches_list"}; all but id and question may be left ' +
      "out, paths are relative to the file. The whole file is checked first: a line that is no JSON, a " +
      "missing field or an id used twice is named and nothing is asked.\n\n" +
      'Lines out, in the order they are done: {"id", "response", "usage", "finish_reason", "timings", ' +
      '"run_id"}, or {"id", "error": {"tag", "message"}} for a question that failed. Each line is written ' +
      "at once and whole. A second start skips the ids that are in the output already, errors too unless " +
      "--retry-failed; half a line left by a crash is cut away.\n\n" +
      "The exit code is 1 when a question failed in this start, 0 when none did. Ctrl-C ends it; what is " +
      "done stays.",
  ),
  Command.withShortDescription("Answer a file of questions"),
  Command.withExamples([
    {
      command: "tessera batch --input questions.jsonl --output answers.jsonl",
    },
    {
      command:
        "tessera batch -m DIR --input q.jsonl --output a.jsonl \\\n  --max-new-tokens 64",
      description:
        "Short answers by a checkpoint of yours; start it again to go on",
    },
  ]),
);
