/**
 * Runs for the tests and the benchmark of the dashboard.
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { Deferred, Effect } from "effect";
import { defineNode, pipeline, type RunEvent, Text } from "../pipeline/mod.ts";

const questions = [
  "What is in the picture?",
  "How many shapes are there?",
  "Read the sign.",
  "Which bar is the tallest, and by how much?",
];
const models = ["nano", "InternVL-Chat-V1-5", "InternVL2-8B"];

/** The events of a finished chat, made up; the same for the same number. */
export function madeUp(i: number, at: number): RunEvent[] {
  const runId = `made-${String(i).padStart(8, "0")}`;
  const share = (i * 7919 % 1000) / 1000;
  const failed = i % 97 === 0;
  const base = { runId, at: at + 1 };
  const node = (
    seq: number,
    kind: string,
    ms: number,
    more: object = {},
  ): RunEvent => ({
    _tag: "NodeFinished",
    ...base,
    seq,
    node: kind,
    kind,
    composite: false,
    attempt: 1,
    ms,
    queuedMs: 0,
    cached: false,
    outputs: {},
    spans: [],
    ...more,
  });
  const completion = {
    text: `A red circle, ${i} of them.`,
    finishReason: "stop",
    usage: {
      promptTokens: 1800,
      completionTokens: 10 + Math.floor(90 * share),
    },
  };
  return [
    {
      _tag: "RunStarted",
      runId,
      seq: 0,
      at,
      pipeline: i % 4 === 0 ? "answer" : "chat",
      inputs: { question: questions[i % 4]!, images: [`photos/${i}.jpg`] },
      attributes: { model: models[i % 3]! },
    },
    node(1, "load", 20 + 30 * share),
    node(2, "vision-encode", 300 + 600 * share),
    node(3, "decode", 900 + 900 * share, {
      outputs: failed ? {} : { completion },
      spans: [
        { name: "prefill", startMs: 0, ms: 400 },
        { name: "decode", startMs: 400, ms: 500 + 900 * share },
      ],
    }),
    {
      _tag: "RunFinished",
      runId,
      seq: 4,
      at: at + 2000,
      ms: 1300 + 1500 * share,
      ...(failed
        ? {
          status: "failed",
          error: {
            tag: "MediaError",
            message: `photos/${i}.jpg: is cut short`,
          },
        }
        : { status: "succeeded", outputs: { completion } }),
    },
  ];
}

/**
 * Fills a store's table with very many runs, without events: what is made up for the first thousand,
 * again and again, ten seconds apart.
 */
export function fillTable(file: string, runs: number, since: number): void {
  const db = new DatabaseSync(file);
  db.exec("PRAGMA synchronous = OFF; BEGIN");
  const columns = db.prepare("SELECT name FROM pragma_table_info('runs')")
    .all().map(({ name }) => String(name));
  const own: Readonly<Record<string, string>> = {
    run_id: "printf('made-%08d', i)",
    started_at: `${since} + i * 10000`,
    updated_at: `${since} + i * 10000`,
    place: "NULL",
    search: "search || char(10) || 'photos/' || i || '.jpg'",
  };
  db.exec(
    `WITH RECURSIVE numbers(i) AS (
      SELECT 1000 UNION ALL SELECT i + 1 FROM numbers WHERE i < ${runs - 1}
    ) INSERT INTO runs (${columns.join(", ")})
    SELECT ${columns.map((name) => own[name] ?? name).join(", ")}
    FROM numbers JOIN runs ON run_id = printf('made-%08d', i % 1000)`,
  );
  db.exec("COMMIT; ANALYZE");
  db.close();
}

/** A pipeline that says what it is told to, when it is told to. */
export function talkative() {
  const lines: string[] = [];
  let wake = Deferred.makeUnsafe<void>();
  const say = (text: string): void => {
    lines.push(text);
    const before = wake;
    wake = Deferred.makeUnsafe<void>();
    Deferred.doneUnsafe(before, Effect.void);
  };
  const upper = defineNode({
    kind: "upper",
    inputs: { question: Text },
    outputs: { text: Text },
    run: ({ question }) => Effect.succeed({ text: question.toUpperCase() }),
  });
  const talk = defineNode({
    kind: "talk",
    inputs: { text: Text },
    outputs: { text: Text },
    streams: { text: Text },
    run: (_, __, context) =>
      Effect.gen(function* () {
        let said = "";
        for (;;) {
          while (lines.length === 0) {
            // A timer, so that the process has a reason to go on.
            yield* Effect.raceFirst(Deferred.await(wake), Effect.sleep(50));
          }
          const line = lines.shift()!;
          if (line === "") return { text: said };
          said += line;
          context.emit("text", line);
        }
      }),
  });
  const chat = pipeline(
    "talk",
    (g) => g.add(talk, g.add(upper, { question: g.input("question", Text) })),
  );
  return { chat, say };
}
