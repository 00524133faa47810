/**
 * Rotary tables: cos and sin of every position's angles, computed in double precision on the host.
 * @module
 */
import { Effect } from "effect";
import type { LanguageConfig } from "../config.ts";

/**
 * Base of the rotary angles for a sequence of `length` tokens, cached and new ones together. Dynamic
 * NTK (`InternLM2DynamicNTKScalingRotaryEmbedding`): once `length` is past
 * `max_position_embeddings` M, base · (factor · length / M - (factor - 1)) ^ (d / (d - 2)).
 */
export function rotaryBase(config: LanguageConfig, length: number): number {
  const { ropeScaling, ropeTheta, headDim } = config;
  const limit = config.maxPositionEmbeddings;
  if (ropeScaling?.type !== "dynamic" || length <= limit) return ropeTheta;
  const stretch = ropeScaling.factor * length / limit -
    (ropeScaling.factor - 1);
  return ropeTheta * stretch ** (headDim / (headDim - 2));
}

/** The longest sequence whose positions have the angles that they have in every shorter one. */
export function plainLength(
  { ropeScaling, maxPositionEmbeddings }: LanguageConfig,
): number {
  switch (ropeScaling?.type) {
    case "dynamic":
      return maxPositionEmbeddings;
    case "longrope":
      return ropeScaling.originalLength;
    default:
      return Infinity;
  }
}

/** What positions are multiplied by, and what cosines and sines are multiplied by. */
export interface Angles {
  /** [headDim / 2]: radians per position. */
  readonly frequencies: Float64Array<ArrayBuffer>;
  /** 1 but for `yarn` and `longrope`. */
  readonly magnitude: number;
}

/**
 * The angles in a sequence of `length` tokens, cached and new ones together (`modeling_rope_utils.py` of
 * `transformers`).
 */
export function rotaryAngles(config: LanguageConfig, length: number): Angles {
  const { headDim, ropeTheta, ropeScaling: scaling } = config;
  const base = rotaryBase(config, length);
  const frequencies = Float64Array.from(
    { length: headDim / 2 },
    (_, i) => base ** (-2 * i / headDim),
  );
  const scaled = (of: (frequency: number, i: number) => number): Angles => ({
    frequencies: frequencies.map(of),
    magnitude: scaling !== null && "magnitude" in scaling
      ? scaling.magnitude
      : 1,
  });
  switch (scaling?.type) {
    case "linear":
      return scaled((f) => f / scaling.factor);
    case "llama3": {
      const { originalLength, lowFrequencyFactor, highFrequencyFactor } =
        scaling;
      return scaled((f) => {
        // How often it turns in the length before, on a scale on which it is left from 1 on.
        const turns = originalLength * f / (2 * Math.PI);
        const left = (turns - lowFrequencyFactor) /
          (highFrequencyFactor - lowFrequencyFactor);
        return mixed(f, f / scaling.factor, left);
      });
    }
    case "yarn": {
      // Index of the frequency that turns so often in the length before.
      const index = (turns: number) =>
        headDim * Math.log(scaling.originalLength / (turns * 2 * Math.PI)) /
        (2 * Math.log(ropeTheta));
      const low = Math.max(0, Math.floor(index(scaling.betaFast)));
      const high = Math.min(headDim - 1, Math.ceil(index(scaling.betaSlow)));
      const span = low === high ? 0.001 : high - low;
      return scaled((f, i) =>
        mixed(f, f / scaling.factor, 1 - (i - low) / span)
      );
    }
    case "longrope": {
      const factors = length > scaling.originalLength
        ? scaling.longFactors
        : scaling.shortFactors;
      return scaled((f, i) => f / factors[i]!);
    }
    default:
      return scaled((f) => f);
  }
}

/** `part` of the first and the rest of the second; `part` is held between 0 and 1. */
function mixed(first: number, second: number, part: number): number {
  const share = Math.min(1, Math.max(0, part));
  return share * first + (1 - share) * second;
}

/** cos and sin, [positions, headDim / 2] each. */
export interface RotaryTable {
  /** Cosines, row-major. */
  readonly cos: Float32Array<ArrayBuffer>;
  /** Sines, row-major. */
  readonly sin: Float32Array<ArrayBuffer>;
}

/** An empty table of `positions` rows. */
export function rotaryTable(
  config: LanguageConfig,
  positions: number,
): RotaryTable {
  const count = positions * config.headDim / 2;
  return { cos: new Float32Array(count), sin: new Float32Array(count) };
}

/** Fills the rows from `start` to `end` (exclusive). */
export function fillRotary(
  table: RotaryTable,
  { frequencies, magnitude }: Angles,
  start: number,
  end: number,
): void {
  const half = frequencies.length;
  for (let position = start; position < end; position++) {
    const row = position * half;
    for (let i = 0; i < half; i++) {
      const angle = position * frequencies[i];
      table.cos[row + i] = magnitude * Math.cos(angle);
      table.sin[row + i] = magnitude * Math.sin(angle);
    }
  }
}

/** Angles computed between two turns of the event loop: a few milliseconds of work. */
const SLICE = 1 << 15;

/**
 * The rotary tables of one model. The angles of plain lengths are the same for all generations: they are
 * computed once, as far as they are needed.
 */
export class RotaryTables {
  readonly #config: LanguageConfig;
  #plain: RotaryTable;

  /** Tables for a model. */
  constructor(config: LanguageConfig) {
    this.#config = config;
    this.#plain = rotaryTable(config, 0);
  }

  /**
   * The table for a prompt of `promptLength` tokens, `positions` rows or more; not to be written to.
   *
   * Where angles change with the length (dynamic NTK, longrope), the reference rotates the whole prompt by
   * those of its length, and each later token by those of the length it then has, the cached keys keeping
   * the angles they were given. So each row's length is known beforehand.
   */
  readonly forPrompt: (
    promptLength: number,
    positions: number,
  ) => Effect.Effect<RotaryTable> = Effect.fnUntraced(
    { self: this },
    function* (promptLength, positions) {
      const config = this.#config;
      const limit = plainLength(config);
      const plain = promptLength > limit ? 0 : Math.min(positions, limit);
      if (plain === positions) return yield* this.#plainRows(positions);
      const table = rotaryTable(config, positions);
      if (plain > 0) {
        const { cos, sin } = yield* this.#plainRows(plain);
        const count = plain * config.headDim / 2;
        table.cos.set(cos.subarray(0, count));
        table.sin.set(sin.subarray(0, count));
      }
      // Beyond, only dynamic NTK tells one length from another.
      const same = config.ropeScaling?.type !== "dynamic";
      yield* this.#fill(
        table,
        plain,
        positions,
        (position) => same ? Infinity : Math.max(promptLength, position + 1),
      );
      return table;
    },
  );

  readonly #plainRows: (rows: number) => Effect.Effect<RotaryTable> = Effect
    .fnUntraced({ self: this }, function* (rows) {
      const known = this.#plain;
      const half = this.#config.headDim / 2;
      if (known.cos.length >= rows * half) return known;
      const larger = rotaryTable(this.#config, rows);
      larger.cos.set(known.cos);
      larger.sin.set(known.sin);
      const start = known.cos.length / half;
      yield* this.#fill(larger, start, rows, () => 0);
      // Another generation may have made a longer one meanwhile.
      if (this.#plain.cos.length < larger.cos.length) this.#plain = larger;
      return larger;
    });

  /** Fills rows [start, end), giving the event loop a turn between slices. */
  readonly #fill: (
    table: RotaryTable,
    start: number,
    end: number,
    lengthAt: (position: number) => number,
  ) => Effect.Effect<void> = Effect.fnUntraced(
    { self: this },
    function* (table, start, end, lengthAt) {
      const slice = Math.max(1, Math.floor(SLICE * 2 / this.#config.headDim));
      for (let row = start; row < end;) {
        const stop = Math.min(end, row + slice);
        while (row < stop) {
          // Rows of one length at once.
          const length = lengthAt(row);
          let next = row + 1;
          while (next < stop && lengthAt(next) === length) next++;
          fillRotary(table, rotaryAngles(this.#config, length), row, next);
          row = next;
        }
        if (row < end) yield* Effect.yieldNow;
      }
    },
  );
}
