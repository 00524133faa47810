/**
 * What quantization costs in accuracy: a quantized model is led along the answers of the original, and
 * what it expects at every token is compared with what the original expects. No time is measured.
 * @module
 */
import { Effect } from "effect";
import {
  type EngineSettings,
  ImageSourceList,
  InternVL,
  LanguageModel,
  type LogitsProcessor,
  LogitsProcessors,
  pipeline,
  type Prompt,
  promptTemplate,
  type QuantizeOptions,
  type Scheme,
  Text,
  type ValueOf,
  type VisualTokensList,
} from "../mod.ts";
import { see } from "../nodes/see.ts";
import { schemeText } from "../plugins/internvl/mod.ts";
import type { Scratch } from "./scratch.ts";

/** A quantization to be measured. */
export interface Variant {
  /** For the table. */
  readonly name: string;
  /** What `tessera quantize` is told. */
  readonly options: QuantizeOptions;
}

/** What a quantization costs. */
export interface Quality {
  /** The quantization. */
  readonly name: string;
  /** Bytes of its weights over those of the original. */
  readonly size: number;
  /** Mean negative log-likelihood of the original's answers, in nats a token. */
  readonly loss: number;
  /** By how much that is more than the original's own. */
  readonly lossAdded: number;
  /** Mean Kullback-Leibler divergence from the original's distribution, in nats a token. */
  readonly divergence: number;
  /** Norm of the logits' difference over their norm, both about their mean. */
  readonly logitsError: number;
  /** Share of tokens at which the most likely one is the original's. */
  readonly topAgreement: number;
  /** Share of questions whose whole greedy answer is the original's; absent without answers. */
  readonly sameAnswers?: number;
}

/** A question the original has answered, or random ids. */
interface Lead {
  readonly images: readonly string[];
  /** Nothing where the ids have no meaning. */
  readonly question?: string;
  /** The answer, or the ids to be led along. */
  readonly ids: Int32Array<ArrayBuffer>;
}

/** What a model expected: logits at every step of every lead, and its own answers. */
interface Expected {
  readonly logits: readonly Float32Array[];
  readonly answers: readonly string[];
}

type Prompted = {
  readonly prompt: ValueOf<typeof Prompt>;
  readonly tokens: ValueOf<typeof VisualTokensList>;
};

const look = pipeline("look", (g) => {
  const { tiles, tokens } = see(g, g.input("images", ImageSourceList), {});
  const { prompt } = g.add(promptTemplate, {
    question: g.input("question", Text),
    images: tiles,
  });
  return { prompt, tokens };
});

const none: Prompted = {
  prompt: { text: "", ids: new Int32Array(0), images: [], question: "" },
  tokens: [],
};

const answerTokens = 32;

/** Leads a model along. Its own tower sees the pictures. */
async function expect(
  dir: string,
  leads: readonly Lead[],
  engine: EngineSettings = {},
): Promise<Expected> {
  await using model = await InternVL.load(dir, { engine });
  const logits: Float32Array[] = [];
  const answers: string[] = [];
  for (const { images, question, ids } of leads) {
    const { prompt, tokens } = question === undefined
      ? none
      : (await model.run(look, { images: [...images], question })).outputs;
    const generate = (
      ids: Int32Array<ArrayBuffer>,
      maxNewTokens: number,
      processors: readonly LogitsProcessor[] = [],
    ) =>
      model.effect(
        Effect.flatMap(LanguageModel, (language) =>
          language.generate({
            prompt: { ...prompt, ids },
            visual: tokens,
            settings: { maxNewTokens },
          })).pipe(Effect.provideService(LogitsProcessors, processors)),
      );
    if (question !== undefined) {
      answers.push((await generate(prompt.ids, answerTokens)).text);
    }
    // Random ids need something before them.
    const first = question === undefined ? 1 : 0;
    const before = Int32Array.of(...prompt.ids, ...ids.subarray(0, first));
    const rest = ids.subarray(first);
    const found = logits.length;
    const guide: LogitsProcessor = {
      name: "guide",
      process: (step) => {
        logits.push(step.logits.slice());
        step.logits.fill(-Infinity);
        step.logits[rest[step.ids.length]!] = 0;
      },
    };
    await generate(before, rest.length, [guide]);
    if (logits.length !== found + rest.length) {
      throw new Error("a lead ended before its last token");
    }
  }
  return { logits, answers };
}

/** Questions about the example pictures and the original's greedy answers to them. */
async function questions(dir: string): Promise<readonly Lead[]> {
  await using model = await InternVL.load(dir);
  const asked = [
    "What is in the picture?",
    "How many shapes are there?",
    "What color is it?",
    "Read the text.",
    "图中有什么？",
  ];
  const leads: Lead[] = [];
  for (const image of ["shapes.png", "three.png", "letter.png", "chart.png"]) {
    const path = new URL(`../examples/images/${image}`, import.meta.url).href;
    for (const question of asked) {
      const { outputs } = await model.run(look, { images: [path], question });
      const { ids } = await model.effect(
        Effect.flatMap(LanguageModel, (language) =>
          language.generate({
            prompt: outputs.prompt,
            visual: outputs.tokens,
            settings: { maxNewTokens: answerTokens },
          })),
      );
      leads.push({ images: [path], question, ids });
    }
  }
  return leads;
}

/** Sequences of ids without meaning. */
export function randomLeads(count: number, length: number): readonly Lead[] {
  return Array.from({ length: count }, (_, n) => ({
    images: [],
    ids: Int32Array.from(
      { length },
      (_, i) => 3 + ((i + n * length) * 2_654_435_761 >>> 7) % 997,
    ),
  }));
}

/** Logits as the logarithms of probabilities. */
function logProbabilities(logits: Float32Array): Float64Array {
  let most = -Infinity;
  for (const value of logits) if (value > most) most = value;
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - most);
  const shift = most + Math.log(sum);
  return Float64Array.from(logits, (value) => value - shift);
}

function indexOfMost(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) {
    if (values[i]! > values[best]!) best = i;
  }
  return best;
}

/** Compares what two models expected of the same leads. */
export function compare(
  leads: readonly Lead[],
  original: Expected,
  found: Expected,
): Omit<Quality, "name" | "size"> {
  const targets = leads.flatMap(({ question, ids }) => [
    ...ids.subarray(question === undefined ? 1 : 0),
  ]);
  let loss = 0;
  let ownLoss = 0;
  let divergence = 0;
  let agreed = 0;
  let difference = 0;
  let norm = 0;
  for (const [i, target] of targets.entries()) {
    const [own, other] = [original.logits[i]!, found.logits[i]!];
    const p = logProbabilities(own);
    const q = logProbabilities(other);
    ownLoss -= p[target]!;
    loss -= q[target]!;
    if (indexOfMost(own) === indexOfMost(other)) agreed++;
    // A number added to all logits changes nothing.
    const mean = own.reduce((a, b) => a + b, 0) / own.length;
    const otherMean = other.reduce((a, b) => a + b, 0) / other.length;
    for (let k = 0; k < p.length; k++) {
      divergence += Math.exp(p[k]!) * (p[k]! - q[k]!);
      const centred = own[k]! - mean;
      difference += (other[k]! - otherMean - centred) ** 2;
      norm += centred ** 2;
    }
  }
  const count = targets.length;
  const same = original.answers.filter((text, i) => found.answers[i] === text);
  return {
    loss: loss / count,
    lossAdded: (loss - ownLoss) / count,
    divergence: divergence / count,
    logitsError: Math.sqrt(difference / norm),
    topAgreement: agreed / count,
    ...(original.answers.length === 0
      ? {}
      : { sameAnswers: same.length / original.answers.length }),
  };
}

const blocks = (
  weights: "int4" | "int8",
  blockSize: 32 | 64 | 128,
  symmetric: boolean,
): Variant => {
  const scheme: Scheme = {
    type: "blocks",
    bits: weights === "int4" ? 4 : 8,
    blockSize,
    symmetric,
  };
  return {
    name: schemeText(scheme),
    options: { weights, blockSize, symmetric, vision: "float" },
  };
};

/** The decoder by itself, at every setting. */
export const decoderVariants: readonly Variant[] = [true, false].flatMap((
  symmetric,
) =>
  ([32, 64, 128] as const).flatMap((blockSize) => [
    blocks("int8", blockSize, symmetric),
    blocks("int4", blockSize, symmetric),
  ])
).sort((a, b) => b.options.weights.localeCompare(a.options.weights));

/** The other groups, at the decoder's defaults. */
export const otherVariants: readonly Variant[] = [
  {
    name: "int4, head int8",
    options: { weights: "int4", head: "int8", vision: "float" },
  },
  {
    name: "int4, head float",
    options: { weights: "int4", head: "float", vision: "float" },
  },
  {
    name: "int4, embedding int4",
    options: { weights: "int4", embedding: "int4", vision: "float" },
  },
  ...(["int4", "int8"] as const).map((weights): Variant => ({
    name: `${weights}, prefill w8a8`,
    options: { weights, prefill: "w8a8", vision: "float" },
  })),
  ...(["w8a8", "int8", "int4"] as const).map((vision): Variant => ({
    name: `int8, vision ${vision}`,
    options: { weights: "int8", vision },
  })),
  { name: "w8a8, vision float", options: { weights: "w8a8", vision: "float" } },
  { name: "w8a8, all defaults", options: { weights: "w8a8" } },
  { name: "int8, all defaults", options: { weights: "int8" } },
  { name: "int4, all defaults", options: { weights: "int4" } },
];

/** Quantizes a checkpoint in several ways, each into `out`, and measures it. */
async function measure(
  dir: string,
  out: string,
  variants: readonly Variant[],
  leads: readonly Lead[],
): Promise<readonly Quality[]> {
  const original = await expect(dir, leads);
  const result: Quality[] = [{
    name: "original",
    size: 1,
    ...compare(leads, original, original),
  }];
  for (const kvCache of ["float16", "int8"] as const) {
    result.push({
      name: `original, ${kvCache} cache`,
      size: 1,
      ...compare(leads, original, await expect(dir, leads, { kvCache })),
    });
  }
  for (const { name, options } of variants) {
    console.error(`  ${name}`);
    const { bytes, bytesBefore } = await InternVL.quantize(dir, out, {
      ...options,
      force: true,
    });
    const found = await expect(out, leads);
    result.push({
      name,
      size: bytes / bytesBefore,
      ...compare(leads, original, found),
    });
  }
  return result;
}

/** A trained small model over questions, and a wide random one over random ids. */
export interface QualityBench {
  /** `models/nano`. */
  readonly nano: readonly Quality[];
  /** The random checkpoint. */
  readonly synthetic: readonly Quality[];
  /** Tokens that were compared. */
  readonly tokens: { readonly nano: number; readonly synthetic: number };
}

/** Measures both. */
export async function benchQuality(scratch: Scratch): Promise<QualityBench> {
  const out = scratch.path("quality");
  const asked = await questions(scratch.nano);
  const random = randomLeads(4, 24);
  return {
    nano: await measure(
      scratch.nano,
      out,
      [...decoderVariants, ...otherVariants],
      asked,
    ),
    synthetic: await measure(
      await scratch.synthetic(),
      out,
      [
        ...decoderVariants.filter(({ options }) =>
          options.symmetric || options.blockSize === 32
        ),
        { name: "w8a8", options: { weights: "w8a8", vision: "float" } },
      ],
      random,
    ),
    tokens: {
      nano: asked.reduce((sum, { ids }) => sum + ids.length, 0),
      synthetic: random.reduce((sum, { ids }) => sum + ids.length - 1, 0),
    },
  };
}
