/**
 * What constrained output costs: building the vocabulary's tree once, and a mask for every token, over a
 * vocabulary of V1-5's size. The tokens are made up: bytes, words with and without a space in front,
 * Chinese characters, punctuation as in code.
 *
 * ```sh
 * deno run --allow-read --allow-env --allow-ffi bench/constrain.ts
 * ```
 * @module
 */
import { cpuUsage } from "node:process";
import { Effect } from "effect";
import type { OutputConstraint } from "../nodes/values.ts";
import { buildVocabulary, compileConstraint } from "../plugins/grammar/mod.ts";
import { makeGrammar, Matcher } from "../plugins/grammar/matcher.ts";
import { keepAllowed } from "../plugins/internvl/generate/penalties.ts";
import { random } from "../plugins/internvl/testing.ts";
import { Heartbeat } from "./heartbeat.ts";
import { threadClock } from "./machine.ts";
import { quantile, summarize, type Summary } from "./stats.ts";

/**
 * What was measured, in milliseconds. Times a token are processor time of the thread, where the system
 * tells it.
 */
export interface ConstrainBench {
  /** Tokens in the vocabulary. */
  readonly vocabulary: number;
  /** Building the vocabulary's tree, once a model. */
  readonly buildMs: number;
  /** What of it was computing: the rest the machine did something else. */
  readonly buildCpuMs: number;
  /** The longest time the event loop had no turn meanwhile. */
  readonly buildStallMs: number;
  /** Making a row of logits impossible but for a mask. */
  readonly applyMs: Summary;
  /** By constraint. */
  readonly constraints: readonly {
    /** What it is. */
    readonly name: string;
    /** From its text to the first mask. */
    readonly firstMs: number;
    /** What of it was computing. */
    readonly firstCpuMs: number;
    /** Mask and step of each token of the first answers. */
    readonly coldMs: Summary;
    /** 99 of 100 of these take less. */
    readonly cold99Ms: number;
    /** Mask and step of each token of later answers. */
    readonly warmMs: Summary;
  }[];
}

const VOCABULARY = 92_553;

/** Bytes of made-up tokens; the first three are special. */
export function madeUpTokens(
  count: number,
): (Uint8Array<ArrayBuffer> | undefined)[] {
  const next = random(17);
  const pick = <A>(list: ArrayLike<A>): A =>
    list[Math.floor(next() * list.length)];
  const texts = new Set<string>();
  const syllables = Array.from(
    { length: 600 },
    () =>
      pick("bcdfghklmnprstvw") + pick("aeiou") +
      (next() < 0.4 ? pick("lmnrst") : ""),
  );
  const marks = "\"{}[]():;,.<>=+-*/\\'_#|&!?@$%^~`".split("");
  while (texts.size < count - 259) {
    const kind = next();
    if (kind < 0.6) {
      const syllable = Array.from(
        { length: 1 + Math.floor(next() * 4) },
        () => pick(syllables),
      ).join("");
      texts.add(
        (next() < 0.5 ? " " : "") +
          (next() < 0.3
            ? syllable[0].toUpperCase() + syllable.slice(1)
            : syllable),
      );
    } else if (kind < 0.93) {
      const length = 1 + Math.floor(next() * 3);
      texts.add(
        String.fromCodePoint(
          ...Array.from({ length }, () => 0x4e00 + Math.floor(next() * 6000)),
        ),
      );
    } else {
      const length = 1 + Math.floor(next() * 4);
      texts.add(
        (next() < 0.3 ? " " : "") +
          Array.from(
            { length },
            () => next() < 0.1 ? pick("0123456789\n") : pick(marks),
          ).join(""),
      );
    }
  }
  const encoder = new TextEncoder();
  return [
    undefined,
    undefined,
    undefined,
    ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
    ...Array.from(texts, (text) => encoder.encode(text)),
  ];
}

const person = {
  type: "object",
  properties: {
    name: { type: "string" },
    age: { type: "integer", minimum: 0, maximum: 150 },
    email: { type: "string", format: "email" },
    tags: { type: "array", items: { type: "string" }, maxItems: 4 },
    address: {
      type: "object",
      properties: {
        street: { type: "string" },
        city: { type: "string", maxLength: 40 },
        zip: { type: "string", pattern: "^\\d{5}$" },
      },
      required: ["street", "city"],
    },
    kind: { enum: ["customer", "employee", "supplier"] },
  },
  required: ["name", "age", "address", "kind"],
};

const constraints: readonly (readonly [string, OutputConstraint])[] = [
  ["JSON schema of a person", { type: "json_schema", schema: person }],
  ["any JSON object", { type: "json_object" }],
  ["regex of a date and a word", {
    type: "regex",
    pattern: "\\d{4}-\\d\\d-\\d\\d: [a-z ]{1,200}\\.",
  }],
  ["choice of three", { type: "choice", choices: ["red", "green", "blue"] }],
];

/** Measures. */
export async function benchConstrain(rounds: number): Promise<ConstrainBench> {
  const tokens = madeUpTokens(VOCABULARY);
  const clock = threadClock() ?? (() => performance.now());
  const decoder = new TextDecoder();
  using heartbeat = new Heartbeat();
  await new Promise((resolve) => setTimeout(resolve, 20));
  const buildCpu = cpuClock();
  const began = performance.now();
  const vocabulary = await Effect.runPromise(buildVocabulary({
    size: VOCABULARY,
    bytesOf: (id) => tokens[id],
    decodeFirst: (id) => decoder.decode(tokens[id]).slice(1),
  }));
  const ended = performance.now();
  const buildCpuMs = buildCpu();
  await new Promise((resolve) => setTimeout(resolve, 20));
  const { gap } = heartbeat.longest(began, ended);
  const next = random(5);
  const logits = new Float32Array(VOCABULARY);
  const applied: number[] = [];
  const results: ConstrainBench["constraints"][number][] = [];
  for (const [name, constraint] of constraints) {
    const firstCpu = cpuClock();
    const start = performance.now();
    const grammar = makeGrammar(
      await Effect.runPromise(compileConstraint(constraint)),
      vocabulary,
    );
    new Matcher(grammar).allowed();
    const firstMs = performance.now() - start;
    const firstCpuMs = firstCpu();
    const times: number[][] = [];
    for (let round = 0; round < 4 * rounds; round++) {
      const matcher = new Matcher(grammar);
      const taken: number[] = [];
      for (let token = 0; token < 120; token++) {
        const at = clock();
        const bits = matcher.allowed();
        const between = clock();
        const id = choose(bits, matcher.accepts, next, token);
        const resumed = clock();
        if (id < 0) break;
        matcher.take(id);
        taken.push(between - at + clock() - resumed);
        if (token % 10 === 0) {
          const from = clock();
          keepAllowed(logits, bits);
          applied.push(clock() - from);
        }
      }
      times.push(taken);
    }
    const half = times.length / 2;
    const cold = times.slice(0, half).flat();
    results.push({
      name,
      firstMs,
      firstCpuMs,
      coldMs: summarize(cold),
      cold99Ms: quantile(cold, 0.99),
      warmMs: summarize(times.slice(half).flat()),
    });
  }
  return {
    vocabulary: VOCABULARY,
    buildMs: ended - began,
    buildCpuMs,
    buildStallMs: gap.ms,
    applyMs: summarize(applied),
    constraints: results,
  };
}

/** Milliseconds computed since, by all threads of the process. */
function cpuClock(): () => number {
  const from = cpuUsage();
  return () => {
    const { user, system } = cpuUsage(from);
    return (user + system) / 1000;
  };
}

/** A random token, one in three a short one; -1 at an end. */
function choose(
  bits: Int32Array,
  accepts: boolean,
  next: () => number,
  token: number,
): number {
  const ids: number[] = [];
  for (let id = 0; id < VOCABULARY; id++) {
    if ((bits[id >> 5] & (1 << (id & 31))) !== 0) ids.push(id);
  }
  if (ids.length === 0 || (accepts && next() < 0.3)) return -1;
  // The bytes come first: a quote ends a string now and then.
  const short = ids.filter((id) => id === 3 + 0x22 || id === 3 + 0x7d);
  if (short.length > 0 && token % 6 === 5) return short[0];
  return ids[Math.floor(next() * ids.length)];
}

if (import.meta.main) {
  console.log(JSON.stringify(await benchConstrain(5), undefined, 2));
}
