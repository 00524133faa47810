/**
 * The model and the engine, by themselves.
 * @module
 */
import { apart } from "../apart.ts";
import { benchBindings } from "../bindings.ts";
import { int4Weights } from "../checkpoint.ts";
import {
  benchEngine,
  benchRounds,
  benchWide,
  type EngineBench,
} from "../engine.ts";
import { benchModel, type ModelBench } from "../model.ts";
import { benchQuality } from "../quality.ts";
import { benchSpeculate } from "../speculate.ts";
import { benchStall, type StallOf } from "../stall.ts";
import { show, type Summary } from "../stats.ts";
import type { StepBench } from "../step.ts";
import { table } from "../table.ts";
import { both, percent, type Section } from "./section.ts";

export const model: Section = {
  name: "model",
  about: "speed of the towers, prompt and answer tokens, memory, cold start",
  title: "Model (float32 on the CPU)",
  measure: async (place, rounds) => {
    const picture = await place.picture();
    const figures = await both(
      (dir, nano) => benchModel(dir, picture, rounds, nano ? 100 : 32),
      place,
    );
    const row = (
      name: string,
      value: (bench: ModelBench) => Summary | number,
    ) => [
      name,
      ...[figures.nano, figures.synthetic].map((bench) => {
        const found = value(bench);
        return typeof found === "number" ? show(found) : show(found.median);
      }),
    ];
    return {
      figures,
      text: table([
        ["", "nano", "synthetic"],
        row("vision tower, M parameters", (b) => b.parametersM.vision),
        row("language model, M parameters", (b) => b.parametersM.language),
        row("tile, pixels", (b) => b.tile),
        row("vision-encode, ms per tile", (b) => b.encodeMs),
        row("project, ms per tile", (b) => b.projectMs),
        row("prefill of 512 tokens, tokens/s", (b) => b.prefill),
        row("decode at a context of 256, tokens/s", (b) => b.decode),
        row("graphs built in memory, ms", (b) => b.graphMs),
        row("sessions made, ms", (b) => b.loadMs),
        row("cold start to a one-token answer, ms", (b) => b.cold.totalMs),
        row("  of it importing the SDK", (b) => b.cold.importMs),
        row("  of it loading", (b) => b.cold.loadMs),
        row("  of it a 12-megapixel picture, one tile", (b) => b.cold.answerMs),
        row("peak memory of that process, MiB", (b) => b.cold.peakMiB),
      ]),
    };
  },
};

export const step: Section = {
  name: "step",
  about: "what a generated token costs beyond ONNX Runtime's own Run",
  title: "Step: a generated token against the bare Run",
  measure: async (place, rounds) => {
    const alone = (dir: string, steps: number) =>
      apart<StepBench>("step.ts", [dir, `${rounds * 2}`, `${steps}`]);
    const two = await both((dir, nano) => alone(dir, nano ? 100 : 32), place);
    const large = await place.mini2b({
      parts: ["language"],
      quantization: int4Weights,
    });
    const figures = { ...two, mini2b: await alone(large, 32) };
    const row = (name: string, value: (bench: StepBench) => string) => [
      name,
      value(figures.nano),
      value(figures.synthetic),
      value(figures.mini2b),
    ];
    return {
      figures,
      text: table([
        ["", "nano", "synthetic", "Mini-2B, int4"],
        row("generation, ms per token", (b) => show(b.loopMs)),
        row("bare Run off the event loop, ms", (b) => show(b.bareMs)),
        row("bare Run on the main thread, ms", (b) => show(b.blockingMs)),
        row("overhead, step by step in turns", (b) => percent(b.overhead)),
        row("  of it between two runs", (b) => percent(b.betweenShare)),
        row("  of it the run itself", (b) => percent(b.nativeShare)),
        row("between two runs, µs, median", (b) => show(b.betweenUs)),
        row("between two runs, µs, 95 %", (b) => show(b.betweenUs95)),
        row("  of it choosing the token, µs", (b) => show(b.chooseUs)),
        row("overhead, whole answers in turns", (b) => percent(b.loops)),
        [
          "In turns: after each step of the loop comes a bare one at the same position. Whole answers are short here, and pay for the change from prompt to single tokens in their first step.",
        ],
      ]),
    };
  },
};

export const stall: Section = {
  name: "stall",
  about: "longest time the event loop stands still, by stage of a chat",
  title:
    "Stall: longest gap of a 1 ms timer, chat about a 12-megapixel picture",
  measure: async (place) => {
    const figures = await benchStall(
      await place.synthetic(),
      await place.picture(),
    );
    const row = (name: string, { gap, busy, ms }: StallOf) => [
      name,
      show(ms),
      show(gap.ms),
      busy.busyMs === undefined ? "-" : show(busy.busyMs),
    ];
    return {
      figures: { ...figures },
      text: table([
        ["stage", "took, ms", "gap, ms", "busy, ms"],
        row("idle", figures.idle),
        ...Object.entries(figures.first).map(([name, of]) =>
          row(`first picture: ${name}`, of)
        ),
        ...Object.entries(figures.chat).map(([name, of]) => row(name, of)),
        ...Object.entries(figures.napi).map(([name, of]) =>
          row(`N-API on the main thread: ${name}`, of)
        ),
        [
          "busy is the longest time in one gap in which our thread computed; the rest of a gap it waited for a core, because the model uses all of them.",
        ],
      ]),
    };
  },
};

export const bindings: Section = {
  name: "bindings",
  about: "the FFI binding against the N-API package in a worker",
  title: "Bindings: ONNX Runtime through FFI and through the N-API package",
  measure: async (place, rounds) => {
    const figures = await both(
      (dir, nano) => benchBindings(dir, rounds, nano ? 100 : 32),
      place,
    );
    return {
      figures,
      text: table([
        ["", "FFI", "N-API", "FFI is faster by"],
        ...Object.entries(figures).flatMap(([name, { ffi, napi, ratio }]) => [
          [
            `${name}: vision-encode, ms per tile`,
            show(ffi.encodeMs),
            show(napi.encodeMs),
            show(ratio.encodeMs),
          ],
          [
            `${name}: prefill, tokens/s`,
            show(ffi.prefill),
            show(napi.prefill),
            show(ratio.prefill),
          ],
          [
            `${name}: decode, tokens/s`,
            show(ffi.decode),
            show(napi.decode),
            show(ratio.decode),
          ],
        ]),
      ]),
    };
  },
};

export const quality: Section = {
  name: "quality",
  about: "what quantization costs in accuracy, on nano and on random weights",
  title: "Quality: quantized models led along the original's answers",
  measure: async (place) => {
    const figures = await benchQuality(place);
    const rows = (found: typeof figures.nano) =>
      found.map((row) => [
        row.name,
        percent(row.size),
        row.lossAdded.toFixed(4),
        row.divergence.toFixed(5),
        percent(row.logitsError),
        percent(row.topAgreement),
        row.sameAnswers === undefined ? "-" : percent(row.sameAnswers),
      ]);
    const head = [
      "size",
      "loss +",
      "KL",
      "logits off",
      "same token",
      "same answer",
    ];
    return {
      figures: { ...figures },
      text: table([
        [`nano, ${figures.tokens.nano} tokens`, ...head],
        ...rows(figures.nano),
      ]) + "\n\n" + table([
        [`random weights, ${figures.tokens.synthetic} tokens`, ...head],
        ...rows(figures.synthetic),
        [
          "loss + and KL are nats a token more than the original's. same token: the most likely one at each step; same answer: the whole greedy answer.",
        ],
      ]),
    };
  },
};

export const engine: Section = {
  name: "engine",
  about:
    "eight requests at once, the second round of a chat, pauses under load",
  title: "Engine on the CPU, float32 unless a row says otherwise",
  measure: async (place, rounds) => {
    const figures = await both(
      (dir, nano) => benchEngine(dir, rounds, nano ? 64 : 24),
      place,
    );
    const wide = await benchWide(await place.twoSets(), rounds, 24);
    const chat = await benchRounds(
      await place.synthetic(),
      await place.picture(),
      rounds,
    );
    const row = (name: string, value: (bench: EngineBench) => string) => [
      name,
      value(figures.nano),
      value(figures.synthetic),
    ];
    return {
      figures: { ...figures, wide, chat },
      text: table([
        ["", "nano", "synthetic"],
        row("one request, tokens/s", (b) => show(b.one)),
        row("eight at once, tokens/s together", (b) => show(b.eight)),
        row("times as many", (b) => show(b.gain)),
        row("longest gap of a 1 ms timer meanwhile, ms", (b) => show(b.gap.ms)),
        row(
          "longest time in one gap in which we computed, ms",
          (b) => b.busy.busyMs === undefined ? "-" : show(b.busy.busyMs),
        ),
      ]) + "\n\n" + table([
        ["synthetic in 4 bits, tokens/s together", "", "times as many"],
        ["one request", show(wide.one), ""],
        ["eight at once", show(wide.eight), show(wide.gain)],
        [
          "by the second set of weights (w8a8)",
          show(wide.wide),
          show(wide.wideGain),
        ],
      ]) + "\n\n" + table([
        ["a picture of 7 tiles, synthetic", "first round", "second"],
        ["to the first token, ms", show(chat.first), show(chat.second)],
        ["of the first", "", percent(chat.ratio)],
        ["prompt tokens, those found", "", chat.tokens.join(", ")],
      ]),
    };
  },
};

export const speculate: Section = {
  name: "speculate",
  about: "prompt lookup: answers that repeat their prompt, and that do not",
  title: "Speculation by prompt lookup (float32 on the CPU, up to 6 tokens)",
  measure: async (place, rounds) => {
    const found = await both(
      (dir, nano) => benchSpeculate(dir, rounds, nano ? 192 : 64),
      place,
    );
    return {
      figures: found,
      text: table([
        ["", "tokens/s", "with", "times", "accepted", "tokens a step"],
        ...(["nano", "synthetic"] as const).flatMap((model) =>
          found[model].map((one) => [
            `${model}, ${one.text}`,
            show(one.plain),
            show(one.guessed),
            show(one.gain),
            one.drafted === 0 ? "-" : percent(one.accepted / one.drafted),
            show(one.perStep),
          ])
        ),
      ]),
    };
  },
};
