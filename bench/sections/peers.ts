/**
 * The model beside other programs: llama.cpp and PyTorch.
 * @module
 */
import { benchLlama, benchPrefill } from "../llama/bench.ts";
import { show } from "../stats.ts";
import { table } from "../table.ts";
import { benchChat, benchTower, type Speed } from "../torch/bench.ts";
import { percent, type Section } from "./section.ts";

const cell = (value: number | undefined) =>
  value === undefined ? "-" : show(value);

const times = (value: number | undefined) =>
  value === undefined ? "-" : `${value.toFixed(2)}x`;

const against = (
  name: string,
  pair: {
    readonly ours: number;
    readonly llama?: number;
    readonly ratio?: number;
  },
) => [name, show(pair.ours), cell(pair.llama), times(pair.ratio)];

export const llama: Section = {
  name: "llama",
  about:
    "tokens of 2 B parameters in 4 bits against llama.cpp and the memory's speed",
  title:
    "Language model of Mini-InternVL-Chat-2B-V1-5, 4 bits, against llama.cpp",
  measure: async (place, rounds) => {
    const figures = await benchLlama(place, rounds);
    const { decode, bandwidth, threads } = figures;
    return {
      figures: { ...figures },
      text: table([
        ["tokens/s", "Tessera", "llama.cpp", "ratio", "of bandwidth"],
        ...decode.map((at) => [
          ...against(
            `decode at a context of ${at.context.toLocaleString("en-US")}`,
            at,
          ),
          percent(at.bandwidthShare),
        ]),
        [
          `${threads} threads read ${
            show(bandwidth)
          } GB/s here; a token reads every weight and its cache once: ${
            decode.map(({ gigabytes }) => show(gigabytes)).join(", ")
          } GB`,
        ],
        [figures.problem ?? `llama.cpp: ${figures.system}`],
      ]),
    };
  },
};

export const prefill: Section = {
  name: "prefill",
  about:
    "prompts of the same model against llama.cpp, with and without a second set of weights",
  title: "Prompts of Mini-InternVL-Chat-2B-V1-5, 4 bits, against llama.cpp",
  measure: async (place, rounds) => {
    const figures = await benchPrefill(place, rounds);
    const { length, int4, bytes } = figures;
    return {
      figures: { ...figures },
      text: table([
        [`tokens/s, prompt of ${length}`, "Tessera", "llama.cpp", "ratio"],
        against("4 bits", int4),
        against("4 bits, prompts by a second set in w8a8", bytes),
        [
          `${figures.threads} threads each; ${
            figures.problem ?? `llama.cpp: ${figures.system}`
          }`,
        ],
      ]),
    };
  },
};

const againstTorch = (name: string, speed: Speed | undefined) => [
  name,
  speed === undefined ? "-" : show(speed.ms),
  speed?.ratio === undefined ? "-" : `${speed.ratio.toFixed(2)}x`,
];

const noTorch =
  "no Python with torch and safetensors to compare with (TESSERA_PYTHON names one)";

export const tower: Section = {
  name: "tower",
  about: "a tile in the vision tower of 300 M parameters, against PyTorch",
  title: "Vision tower of 300 M parameters: a tile of 448 pixels",
  measure: async (place, rounds) => {
    const figures = await benchTower(place, rounds);
    return {
      figures: { ...figures },
      text: table([
        ["", "ms", "as fast as PyTorch float32"],
        againstTorch("float32", figures.float32),
        againstTorch("w8a8", figures.w8a8),
        againstTorch("PyTorch float32", figures.torchFloat32),
        againstTorch("PyTorch bfloat16", figures.torchBfloat16),
        [
          `24 layers, 1,024 wide, 1,025 tokens; ${figures.threads} threads each; ${
            figures.torch ?? noTorch
          }`,
        ],
      ]),
    };
  },
};

export const chat: Section = {
  name: "chat",
  about: "a whole answer about a picture, against the reference in PyTorch",
  title: "Chat: a picture of 12 megapixels, end to end, synthetic model",
  measure: async (place, rounds) => {
    const figures = await benchChat(place, Math.max(1, rounds >> 1));
    const { tiles, promptTokens, tokens, threads, stages } = figures;
    const sides = ["float32", "quantized", "twoSets"];
    const names = [
      ...new Set(sides.flatMap((side) => Object.keys(stages[side] ?? {}))),
    ].filter((name) => sides.some((side) => (stages[side]?.[name] ?? 0) >= 50));
    return {
      figures: { ...figures },
      text: table([
        ["", "ms", "as fast as PyTorch"],
        againstTorch("float32", figures.float32),
        againstTorch("int4, tower w8a8", figures.quantized),
        againstTorch("int4, prompt and tower w8a8", figures.twoSets),
        againstTorch("the reference, eager, float32", figures.torchFloat32),
        [
          `${tiles} tiles, a prompt of ${
            promptTokens.toLocaleString("en-US")
          } tokens, ${tokens} tokens of an answer; ours with reading the picture, PyTorch's without; ${threads} threads each; ${
            figures.torch ?? noTorch
          }`,
        ],
      ]) + "\n\n" + table([
        ["stage, ms", "float32", "int4, tower w8a8", "prompt and tower w8a8"],
        ...names.map((name) => [
          name,
          ...sides.map((side) => show(stages[side]?.[name] ?? 0)),
        ]),
      ]),
    };
  },
};
