/**
 * What the sections about the model share: a checkpoint's sessions, prompts of random ids, and a
 * language model that never stops by itself.
 * @module
 */
import { Effect, type Scope } from "effect";
import type { BackendError, CheckpointError } from "../nodes/errors.ts";
import type { LanguageModel } from "../nodes/services.ts";
import { type HostTensor, hostTensor } from "../nodes/tensor.ts";
import type { Prompt } from "../nodes/values.ts";
import { openCheckpoint } from "../plugins/internvl/checkpoint.ts";
import { type InternVLConfig, tileSize } from "../plugins/internvl/config.ts";
import type { EngineSettings } from "../plugins/internvl/engine/options.ts";
import { makeLanguageModel } from "../plugins/internvl/generate/model.ts";
import { languageGraph } from "../plugins/internvl/graphs/language.ts";
import { projectorGraph } from "../plugins/internvl/graphs/projector.ts";
import { type Part, partSizes } from "../plugins/internvl/graphs/tensors.ts";
import { visionGraph } from "../plugins/internvl/graphs/vision.ts";
import {
  type GraphSettings,
  graphSource,
} from "../plugins/internvl/graphs/weights.ts";
import { openTokenizer } from "../plugins/internvl/tokenizer/load.ts";
import type { Tokenizer } from "../plugins/internvl/tokenizer/tokenizer.ts";
import {
  Backend,
  type ModelSource,
  type Session,
} from "../plugins/onnx/mod.ts";

/** An open checkpoint. */
export interface Fixture {
  /** Its configuration. */
  readonly config: InternVLConfig;
  /** Its tokenizer. */
  readonly tokenizer: Tokenizer;
  /** Elements by part. */
  readonly parameters: Readonly<Record<Part, number>>;
  /** The graph of a part. */
  readonly graph: (part: Part, settings?: GraphSettings) => ModelSource;
}

/** Opens a checkpoint folder; nothing native yet. */
export const openFixture: (
  dir: string,
) => Effect.Effect<Fixture, CheckpointError> = Effect.fnUntraced(
  function* (dir) {
    const checkpoint = yield* openCheckpoint(dir);
    const { config, tensors } = checkpoint;
    const source = yield* graphSource(checkpoint);
    const { language } = config;
    const sizes = partSizes(config, tensors);
    const graphs = {
      vision: visionGraph,
      projector: projectorGraph,
      language: languageGraph,
    };
    return {
      config,
      tokenizer: yield* openTokenizer(dir, language.vocabSize),
      parameters: {
        vision: sizes.vision.parameters,
        projector: sizes.projector.parameters,
        language: sizes.language.parameters,
      },
      graph: (part, settings) => graphs[part](source, settings),
    };
  },
);

/** Loads one part into the current scope. */
export function loadPart(
  fixture: Fixture,
  part: Part,
  settings?: GraphSettings,
): Effect.Effect<Session, BackendError, Backend | Scope.Scope> {
  return Effect.flatMap(
    Backend,
    (backend) => backend.load(fixture.graph(part, settings), { name: part }),
  );
}

/** The language model over a session, without anything that ends an answer but its length. */
export function endless(
  { config, tokenizer }: Fixture,
  session: Session,
  settings: EngineSettings & { readonly prefill?: Session } = {},
): Effect.Effect<LanguageModel, never, Scope.Scope> {
  return makeLanguageModel({
    session,
    config: config.language,
    endIds: [],
    detokenizer: () => tokenizer.streamDecoder({ skipSpecialTokens: true }),
    ...settings,
  });
}

/** A prompt of ids without meaning, the same at every call with the same seed. */
export function anyPrompt(
  { config }: Fixture,
  length: number,
  seed = 0,
): Prompt {
  const most = Math.min(config.language.vocabSize, 1000);
  return {
    text: "",
    ids: Int32Array.from(
      { length },
      (_, i) => 3 + ((i + seed) * 2_654_435_761 >>> 7) % (most - 3),
    ),
    images: [],
    question: "",
  };
}

/** One tile of noise. */
export function anyTile({ config }: Fixture): HostTensor<"float32"> {
  const edge = tileSize(config);
  return hostTensor(
    "float32",
    [1, 3, edge, edge],
    Float32Array.from(
      { length: 3 * edge * edge },
      (_, i) => (i * 2_654_435_761 >>> 8) / 2 ** 23 - 1,
    ),
  );
}

/** Milliseconds an effect takes. */
export const timed: <A, E, R>(
  effect: Effect.Effect<A, E, R>,
) => Effect.Effect<[milliseconds: number, value: A], E, R> = Effect.fnUntraced(
  function* <A, E, R>(effect: Effect.Effect<A, E, R>) {
    const start = performance.now();
    const value = yield* effect;
    return [performance.now() - start, value] as [number, A];
  },
);
