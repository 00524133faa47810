/**
 * Runs of the language graph: a part of one prompt, or one token of each sequence.
 * @module
 */
import { Effect, Exit, Scope } from "effect";
import { BackendError } from "../../../nodes/errors.ts";
import {
  type HostTensor,
  hostTensor,
  type Tensor,
} from "../../../nodes/tensor.ts";
import {
  type BackendTensor,
  type PreparedRun,
  prepareRun,
  type Running,
  type RunOptions,
  type Session,
  startRun,
} from "../../onnx/mod.ts";
import type { LanguageConfig } from "../config.ts";
import { noVisual, type VisualFeeds } from "../generate/visual.ts";
import type { Window } from "./pool.ts";

/** One row of a decoding step. */
export interface DecodeRow {
  /** Token to feed. */
  readonly id: number;
  /** Its position. */
  readonly position: number;
}

/** Feeds of decoding steps over one window, kept as long as the same rows take part. */
interface DecodeFeeds {
  readonly window: Window;
  readonly ids: BigInt64Array<ArrayBuffer>;
  readonly last: Int32Array<ArrayBuffer>;
  readonly total: Int32Array<ArrayBuffer>;
  readonly rows: readonly number[];
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly options: RunOptions;
  /** By the session that computes them. */
  readonly runs: Map<Session, PreparedRun>;
}

/** See the module. One run at a time. */
export class Steps {
  readonly #session: Session;
  readonly #prefill: Session;
  readonly #vocabulary: number;
  readonly #none: VisualFeeds;
  readonly #scope = Scope.makeUnsafe();
  /** Where logits are written, if this process can address it: no copy, no fresh memory per token. */
  #logits: BackendTensor<"float32"> | undefined;
  readonly #views = new Map<number, BackendTensor<"float32">>();
  #rows = 0;
  #decode: DecodeFeeds | undefined;
  #running: Running | undefined;

  /** Runs of a session, and of the one that computes prompts, if that is another. */
  constructor(
    session: Session,
    config: LanguageConfig,
    prefill: Session = session,
  ) {
    this.#session = session;
    this.#prefill = prefill;
    this.#vocabulary = config.vocabSize;
    this.#none = noVisual(config.hiddenSize);
  }

  /**
   * Computes tokens of one sequence, `ids[0]` at `position`; the logits are the last one's, valid until
   * the next run.
   */
  async prefill(
    window: Window,
    ids: Int32Array,
    position: number,
    visual: VisualFeeds,
    rotary: Readonly<Record<"cos" | "sin", Tensor>> | undefined,
  ): Promise<Float32Array> {
    const feeds = sequenceFeeds(window, ids, position, visual, [
      ids.length - 1,
    ]);
    const options = await this.#options(window, 1);
    const outputs = await this.#under(
      startRun(this.#prefill, { ...feeds, ...rotary }, options),
    );
    return this.#read(outputs, 1)[0];
  }

  /** Computes tokens of one sequence, `ids[0]` at `position`; logits of all, valid until the next run. */
  async verify(
    window: Window,
    ids: Int32Array,
    position: number,
  ): Promise<readonly Float32Array[]> {
    const feeds = sequenceFeeds(window, ids, position, this.#none, [
      ...ids.keys(),
    ]);
    const options = await this.#options(window, ids.length);
    return this.#read(
      await this.#under(startRun(this.#session, feeds, options)),
      ids.length,
    );
  }

  /**
   * Computes one token of every row of a window, with `wide` by the session that computes prompts; logits
   * of the rows `wanted`, in their order, valid until the next run.
   */
  async decode(
    window: Window,
    rows: readonly DecodeRow[],
    wanted: readonly number[],
    wide = false,
  ): Promise<readonly Float32Array[]> {
    const known = this.#decode;
    const step = known !== undefined && known.window === window &&
        known.rows.length === wanted.length &&
        known.rows.every((row, i) => row === wanted[i])
      ? known
      : await this.#decodeFeeds(window, rows.length, wanted);
    let most = 0;
    for (let i = 0; i < rows.length; i++) {
      const { id, position } = rows[i];
      step.ids[i] = BigInt(id);
      step.last[i] = position;
      if (position > most) most = position;
    }
    step.total[0] = most + 1;
    const session = wide ? this.#prefill : this.#session;
    let run = step.runs.get(session);
    if (run === undefined) {
      run = prepareRun(session, step.feeds, step.options);
      step.runs.set(session, run);
    }
    return this.#read(await this.#under(run.start()), wanted.length);
  }

  /** Ends the run that is under way, if any: it rejects with `Stopped`. */
  stop(): void {
    this.#running?.stop();
  }

  /** Forgets what belongs to windows that are no more. */
  forget(): void {
    for (const run of this.#decode?.runs.values() ?? []) run.close();
    this.#decode = undefined;
  }

  /** Gives the memory back. */
  async close(): Promise<void> {
    this.forget();
    await Effect.runPromise(Scope.close(this.#scope, Exit.void));
  }

  async #decodeFeeds(
    window: Window,
    count: number,
    wanted: readonly number[],
  ): Promise<DecodeFeeds> {
    this.forget();
    const ids = new BigInt64Array(count);
    const last = new Int32Array(count);
    const total = new Int32Array(1);
    return this.#decode = {
      window,
      ids,
      last,
      total,
      rows: [...wanted],
      feeds: {
        ...window.feeds,
        seqlens_k: hostTensor("int32", [count], last),
        total_sequence_length: hostTensor("int32", [], total),
        input_ids: hostTensor("int64", [count, 1], ids),
        visual_embeds: this.#none.embeds,
        visual_rows: this.#none.rows,
        logit_rows: hostTensor(
          "int64",
          [wanted.length],
          BigInt64Array.from(wanted, BigInt),
        ),
      },
      options: await this.#options(window, wanted.length),
      runs: new Map(),
    };
  }

  /** Where the outputs of a run with `rows` rows of logits go. */
  async #options({ into }: Window, rows: number): Promise<RunOptions> {
    if (this.#session.device !== "cpu") return { into, outputs: ["logits"] };
    if (this.#rows < rows) {
      const shape = [Math.max(rows, 2 * this.#rows), this.#vocabulary];
      this.#views.clear();
      // Its logits would go where nobody looks any more.
      this.forget();
      this.#logits = await Effect.runPromise(
        Effect.provideService(
          this.#session.allocate("float32", shape),
          Scope.Scope,
          this.#scope,
        ),
      );
      this.#rows = shape[0];
    }
    const logits = this.#logits!;
    if (logits.host === undefined) return { into, outputs: ["logits"] };
    let view = this.#views.get(rows);
    if (view === undefined) {
      view = await Effect.runPromise(logits.view([rows, this.#vocabulary]));
      this.#views.set(rows, view);
    }
    return { into: { ...into, logits: view }, outputs: [] };
  }

  #read(
    outputs: Readonly<Record<string, Tensor>>,
    rows: number,
  ): readonly Float32Array[] {
    const numbers = "logits" in outputs
      ? (outputs.logits as HostTensor<"float32">).data
      : this.#logits!.host!;
    const size = this.#vocabulary;
    const logits: Float32Array[] = [];
    for (let row = 0; row < rows; row++) {
      logits.push(numbers.subarray(row * size, (row + 1) * size));
    }
    return logits;
  }

  async #under(
    running: Running,
  ): Promise<Readonly<Record<string, Tensor>>> {
    this.#running = running;
    try {
      return await running.ended;
    } finally {
      this.#running = undefined;
    }
  }
}

/** Feeds of a run over neighbouring tokens of one sequence. */
function sequenceFeeds(
  window: Window,
  ids: Int32Array,
  position: number,
  visual: VisualFeeds,
  wanted: readonly number[],
): Readonly<Record<string, Tensor>> {
  const total = position + ids.length;
  // In another order than a decoding step's, so that each kind keeps its bindings.
  return {
    input_ids: hostTensor(
      "int64",
      [1, ids.length],
      BigInt64Array.from(ids, BigInt),
    ),
    visual_embeds: visual.embeds,
    visual_rows: visual.rows,
    logit_rows: hostTensor(
      "int64",
      [wanted.length],
      BigInt64Array.from(wanted, BigInt),
    ),
    seqlens_k: hostTensor("int32", [1], new Int32Array([total - 1])),
    total_sequence_length: hostTensor("int32", [], new Int32Array([total])),
    ...window.feeds,
  };
}

/** A failure as a `BackendError`, whatever was thrown. */
export function asBackendError(cause: unknown): BackendError {
  return cause instanceof BackendError ? cause : new BackendError({
    message: `the language model failed: ${
      cause instanceof Error ? cause.message : String(cause)
    }`,
    cause,
  });
}
