/**
 * The two bindings of ONNX Runtime, side by side.
 * @module
 */
import { Effect, Layer } from "effect";
import { ffiBackend, napiBackend } from "../plugins/onnx/mod.ts";
import { makeVisionEncoder } from "../plugins/internvl/graphs/encoder.ts";
import {
  anyPrompt,
  anyTile,
  endless,
  type Fixture,
  loadPart,
  openFixture,
  timed,
} from "./fixture.ts";
import { median, pairedRatio } from "./stats.ts";

/** One binding. */
export interface BindingFigures {
  /** Milliseconds to encode a tile. */
  readonly encodeMs: number;
  /** Prompt tokens per second. */
  readonly prefill: number;
  /** Generated tokens per second. */
  readonly decode: number;
}

/** Both bindings, measured in turns. */
export interface BindingsBench {
  /** The C API through FFI. */
  readonly ffi: BindingFigures;
  /** The N-API package in a worker. */
  readonly napi: BindingFigures;
  /** How many times as fast FFI is. */
  readonly ratio: BindingFigures;
}

/** Measures in turns. */
export async function benchBindings(
  dir: string,
  rounds: number,
  steps: number,
): Promise<BindingsBench> {
  const open = Effect.fnUntraced(function* (fixture: Fixture) {
    const vision = yield* loadPart(fixture, "vision");
    const language = yield* loadPart(fixture, "language");
    const encoder = makeVisionEncoder(vision, fixture.config);
    const model = yield* endless(fixture, language);
    const tile = anyTile(fixture);
    return Effect.gen(function* () {
      const [encodeMs] = yield* timed(encoder.encode(tile));
      const start = performance.now();
      let first = 0;
      yield* model.generate({
        prompt: anyPrompt(fixture, 256 - steps / 2),
        visual: [],
        settings: { maxNewTokens: steps + 1 },
        observer: { onFirstToken: () => first = performance.now() },
      });
      return {
        encodeMs,
        prefill: (256 - steps / 2) * 1000 / (first - start),
        decode: steps * 1000 / (performance.now() - first),
      };
    });
  });
  const program = Effect.gen(function* () {
    const fixture = yield* openFixture(dir);
    const turns = {
      ffi: yield* Effect.provide(open(fixture), yield* Layer.build(ffiBackend)),
      napi: yield* Effect.provide(
        open(fixture),
        yield* Layer.build(napiBackend),
      ),
    };
    yield* turns.ffi;
    yield* turns.napi;
    const ffi: BindingFigures[] = [];
    const napi: BindingFigures[] = [];
    for (let round = 0; round < rounds; round++) {
      ffi.push(yield* turns.ffi);
      napi.push(yield* turns.napi);
    }
    const each = (
      figure: (key: keyof BindingFigures) => number,
    ): BindingFigures => ({
      encodeMs: figure("encodeMs"),
      prefill: figure("prefill"),
      decode: figure("decode"),
    });
    const of = (list: BindingFigures[], key: keyof BindingFigures) =>
      list.map((figures) => figures[key]);
    return {
      ffi: each((key) => median(of(ffi, key))),
      napi: each((key) => median(of(napi, key))),
      ratio: each((key) =>
        key === "encodeMs"
          ? pairedRatio(of(napi, key), of(ffi, key))
          : pairedRatio(of(ffi, key), of(napi, key))
      ),
    };
  });
  return await Effect.runPromise(Effect.scoped(program));
}
