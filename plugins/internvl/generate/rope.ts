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

/** Fills the rows from `start` to `end` (exclusive) with the angles of `base`. */
export function fillRotary(
  table: RotaryTable,
  config: LanguageConfig,
  base: number,
  start: number,
  end: number,
): void {
  const half = config.headDim / 2;
  const divisor = config.ropeScaling?.type === "linear"
    ? config.ropeScaling.factor
    : 1;
  const frequencies = Float64Array.from(
    { length: half },
    (_, i) => base ** (-2 * i / config.headDim) / divisor,
  );
  for (let position = start; position < end; position++) {
    const row = position * half;
    for (let i = 0; i < half; i++) {
      const angle = position * frequencies[i];
      table.cos[row + i] = Math.cos(angle);
      table.sin[row + i] = Math.sin(angle);
    }
  }
}

/** Angles computed between two turns of the event loop: a few milliseconds of work. */
const SLICE = 1 << 15;

/**
 * The rotary tables of one model. The angles of the plain base are the same for all generations: they
 * are computed once, as far as they are needed.
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
   * Where dynamic NTK applies, the reference rotates the whole prompt by the base of its length, and
   * each later token by the base of the length it then has, the cached keys keeping the angles they
   * were given. So each row's base is known beforehand.
   */
  readonly forPrompt: (
    promptLength: number,
    positions: number,
  ) => Effect.Effect<RotaryTable> = Effect.fnUntraced(
    { self: this },
    function* (promptLength, positions) {
      const config = this.#config;
      const limit = config.ropeScaling?.type === "dynamic"
        ? config.maxPositionEmbeddings
        : Infinity;
      const plain = promptLength > limit ? 0 : Math.min(positions, limit);
      if (plain === positions) return yield* this.#plainRows(positions);
      const table = rotaryTable(config, positions);
      if (plain > 0) {
        const { cos, sin } = yield* this.#plainRows(plain);
        const count = plain * config.headDim / 2;
        table.cos.set(cos.subarray(0, count));
        table.sin.set(sin.subarray(0, count));
      }
      yield* this.#fill(
        table,
        plain,
        positions,
        (position) => rotaryBase(config, Math.max(promptLength, position + 1)),
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
      yield* this.#fill(larger, start, rows, () => this.#config.ropeTheta);
      // Another generation may have made a longer one meanwhile.
      if (this.#plain.cos.length < larger.cos.length) this.#plain = larger;
      return larger;
    });

  /** Fills rows [start, end), giving the event loop a turn between slices. */
  readonly #fill: (
    table: RotaryTable,
    start: number,
    end: number,
    base: (position: number) => number,
  ) => Effect.Effect<void> = Effect.fnUntraced(
    { self: this },
    function* (table, start, end, base) {
      const slice = Math.max(1, Math.floor(SLICE * 2 / this.#config.headDim));
      for (let row = start; row < end;) {
        const stop = Math.min(end, row + slice);
        while (row < stop) {
          // Rows of one base at once.
          const first = base(row);
          let next = row + 1;
          while (next < stop && base(next) === first) next++;
          fillRotary(table, this.#config, first, row, next);
          row = next;
        }
        if (row < end) yield* Effect.yieldNow;
      }
    },
  );
}
