/**
 * The engine: one loop that owns the language model's session and computes all requests together.
 *
 * Each turn of the loop admits what there is room for, computes one chunk of a prompt or as many tokens of
 * several short ones, and then one token of every sequence that is past its prompt. So prompts delay the
 * others by one chunk a turn, and sequences join and leave between steps. Nothing here is an Effect: a fiber that lived as
 * long as the engine would keep something of every step.
 * @module
 */
import { BackendError } from "../../../nodes/errors.ts";
import type { EngineStats } from "../../../nodes/services.ts";
import { CapacityError } from "../../../pipeline/errors.ts";
import { type Session, Stopped } from "../../onnx/mod.ts";
import type { Job } from "./job.ts";
import { bytesPerToken, KvPool, type PoolParts } from "./pool.ts";
import { nextPrompt, Sequence } from "./sequence.ts";
import { roundUp, type Shape, shapeFor } from "./shape.ts";
import { empty, idleRow, LEAST_COPY, type Slot, SlotTable } from "./slots.ts";
import { type Speculate, Speculation } from "./speculate.ts";
import { type DecodeRow, Steps } from "./steps.ts";

/** How much an engine takes on. */
export interface EngineOptions {
  /** Sequences computed at once. */
  readonly slots: number;
  /** Memory of the key-value cache. */
  readonly kvCacheBytes: number;
  /** Prompt tokens computed at once. */
  readonly chunk: number;
  /** Requests that may wait. */
  readonly queue: number;
  /** Whether keys and values of generated tokens serve later prompts. */
  readonly reuseAnswers: boolean;
  /** Whether a step has an even number of rows, as far as there is memory for that. */
  readonly evenSteps: boolean;
  /** Prompts are cut, and their beginnings kept, at multiples of this. */
  readonly grain: 1 | 2;
  /** Sequences from which on a step is computed as prompts are. */
  readonly wideFrom: number;
  /** How tokens are guessed, if they are. */
  readonly speculate?: Speculate | undefined;
  /** Longest sequence. */
  readonly contextLength: number;
}

/** See the module. */
export class Engine {
  readonly #options: EngineOptions;
  readonly #pool: KvPool;
  readonly #steps: Steps;
  readonly #table: SlotTable;
  /** Tokens the memory is for, all slots together. */
  readonly #tokens: number;
  readonly #waiting: Sequence[] = [];
  /** Admitted, oldest first. */
  readonly #active: Sequence[] = [];
  /** Takes part in the run under way. */
  #inRun: readonly Sequence[] = [];
  #loop: Promise<void> | undefined;
  #closed = false;
  #oldestFirst = true;
  #counts = {
    hits: 0,
    misses: 0,
    tokensReused: 0,
    prefill: 0,
    decode: 0,
    tokensPrefilled: 0,
    tokensDecoded: 0,
    tokensDrafted: 0,
    tokensAccepted: 0,
  };

  /** Whether prompts have weights of their own, so that a token's keys and values are not a prompt's. */
  readonly #apart: boolean;

  /** Queries that ONNX Runtime's attention on the CPU takes at once, where the processor's L2 holds so many. */
  readonly #queryBlock: number;

  /**
   * An engine with nothing to do; it allocates when the first job comes. `prefill` computes prompts, if that
   * is not `parts.session`, in the same memory.
   */
  constructor(parts: PoolParts, options: EngineOptions, prefill?: Session) {
    this.#options = options;
    this.#table = new SlotTable(options.grain);
    this.#pool = new KvPool(parts);
    this.#steps = new Steps(parts.session, parts.config, prefill);
    this.#apart = prefill !== undefined;
    this.#queryBlock = 2 * parts.config.headDim;
    this.#tokens = Math.floor(
      options.kvCacheBytes / bytesPerToken(parts.config, parts.kvCache),
    );
  }

  /**
   * Takes a job on; its end comes through `onEnd`. The function returned cancels it: it then ends within
   * a step. Throws {@link CapacityError} when the queue is full or the memory too small for the job.
   */
  submit(job: Job): () => void {
    if (this.#closed) {
      throw new BackendError({ message: "the language model was closed" });
    }
    if (roundUp(job.room) > this.#tokens) {
      throw new CapacityError({
        kind: "memory",
        message:
          `prompt and answer need ${job.room} tokens of the key-value cache, which holds ${this.#tokens}; ask for fewer new tokens, or raise kvCacheBytes (--kv-cache)`,
      });
    }
    const { slots, queue, speculate } = this.#options;
    // Those for which there is a slot are let in by the next turn of the loop.
    const excess = this.#active.length + this.#waiting.length - slots;
    if (excess >= queue) {
      throw new CapacityError({
        kind: "queue",
        message:
          `${slots} requests are being computed and ${excess} wait, as many as the queue holds; try again later`,
      });
    }
    const ahead = this.#waiting.length;
    const sequence = new Sequence(
      job,
      speculate !== undefined && job.guessable === true
        ? new Speculation(speculate)
        : undefined,
    );
    const at = this.#waiting.findIndex((other) =>
      other.job.priority < job.priority
    );
    this.#waiting.splice(at < 0 ? ahead : at, 0, sequence);
    if (excess >= 0) this.#tellQueued(sequence, at < 0 ? excess : at);
    this.#loop ??= this.#work();
    return () => this.#cancel(sequence);
  }

  /** What it holds and has done; the ends of requests are counted elsewhere. */
  stats(): Omit<EngineStats, "finished" | "cancelled" | "failed"> {
    const { hits, misses, tokensReused, ...steps } = this.#counts;
    return {
      running: this.#active.length,
      waiting: this.#waiting.length,
      slots: this.#options.slots,
      kvTokensUsed: this.#table.tokens,
      kvTokensCapacity: this.#tokens,
      prefix: {
        hits,
        misses,
        tokensReused,
        tokensComputed: steps.tokensPrefilled,
      },
      steps,
    };
  }

  /** Drops everything that is under way and gives all memory back. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const sequence of [...this.#waiting, ...this.#active]) {
      sequence.cancelled = true;
    }
    this.#steps.stop();
    await this.#loop;
    await this.#steps.close();
    await this.#pool.close();
  }

  #cancel(sequence: Sequence): void {
    sequence.cancelled = true;
    const at = this.#waiting.indexOf(sequence);
    if (at >= 0) {
      this.#waiting.splice(at, 1);
      sequence.job.onEnd({ kind: "dropped" });
    } else if (this.#inRun.every(({ cancelled }) => cancelled)) {
      // Nobody waits for this run.
      this.#steps.stop();
    }
  }

  async #work(): Promise<void> {
    // Jobs that come in the same turn of the event loop start together.
    await Promise.resolve();
    try {
      for (;;) {
        this.#sweep();
        await this.#admit();
        if (this.#active.length === 0) break;
        await this.#prompts();
        // Who left during a prompt's chunk does not wait for the step as well.
        this.#sweep();
        const rows = this.#active.filter(({ next }) => next >= 0);
        if (rows.length > 0) await this.#guard(rows, this.#decode);
      }
    } finally {
      this.#loop = undefined;
    }
  }

  /**
   * A chunk of one prompt, and others whose next part fits in what is left of a chunk: prompts that come
   * together decode together, instead of one row more a step.
   */
  async #prompts(): Promise<void> {
    const { chunk } = this.#options;
    let oldestFirst = this.#oldestFirst = !this.#oldestFirst;
    for (let room = chunk; room > 0;) {
      const ready = this.#active.filter((sequence) => !this.#follows(sequence));
      const prompt = nextPrompt(ready, oldestFirst);
      if (prompt === undefined || prompt.cancelled) return;
      if (Math.min(prompt.remaining, chunk) > room) return;
      const before = this.#counts.tokensPrefilled;
      await this.#guard([prompt], this.#prefill);
      room -= this.#counts.tokensPrefilled - before;
      oldestFirst = false;
    }
  }

  /**
   * Whether another is computing right now what this one begins with, which it can take over as soon as it is
   * there.
   */
  #follows(sequence: Sequence): boolean {
    return sequence.slot === undefined && sequence.job.rotary === undefined &&
      this.#pool.copies &&
      this.#active.some((other) =>
        other.slot !== undefined && !other.cancelled &&
        other.job.rotary === undefined &&
        sequence.common(other) >= other.done + LEAST_COPY
      );
  }

  /** Ends what was cancelled. */
  #sweep(): void {
    for (const list of [this.#waiting, this.#active]) {
      for (const sequence of list.filter(({ cancelled }) => cancelled)) {
        this.#end(sequence, { kind: "dropped" });
      }
    }
  }

  /** Tells how many are ahead; who cannot bear to be told fails alone. */
  #tellQueued(sequence: Sequence, ahead: number): void {
    try {
      sequence.job.onQueued?.(ahead);
    } catch (cause) {
      this.#end(sequence, { kind: "failed", cause });
    }
  }

  #end(sequence: Sequence, outcome: Parameters<Job["onEnd"]>[0]): void {
    for (const list of [this.#waiting, this.#active]) {
      const at = list.indexOf(sequence);
      if (at >= 0) list.splice(at, 1);
    }
    const { slot, job } = sequence;
    if (slot !== undefined) {
      this.#table.leave(slot);
      sequence.slot = undefined;
    }
    job.onEnd(outcome);
  }

  /** Lets in those that wait, in order, as far as there is room. */
  async #admit(): Promise<void> {
    while (this.#waiting.length > 0) {
      const head = this.#waiting[0];
      const { slots: most } = this.#options;
      const count = this.#active.length + 1;
      if (count > most) return;
      const fits = head.job.room <= this.#pool.capacity &&
        count <= this.#pool.slots;
      if (!fits) {
        const shape = this.#shapeFor(head);
        if (shape === undefined) return;
        try {
          await this.#resize(shape);
        } catch (cause) {
          // Whoever was in a pool that is empty now has lost what was computed.
          const lost = this.#pool.slots > 0 ? [] : [...this.#active];
          for (const sequence of [...lost, head]) {
            this.#end(sequence, { kind: "failed", cause });
          }
          if (this.#pool.slots === 0) this.#table.resize(0, 0, []);
          continue;
        }
        // Others may have gone, or come before it, meanwhile.
        if (this.#waiting[0] !== head || head.cancelled) continue;
      }
      this.#waiting.shift();
      this.#active.push(head);
      for (const [ahead, waiting] of [...this.#waiting].entries()) {
        this.#tellQueued(waiting, ahead);
      }
    }
  }

  /** The pool's shape with one sequence more; `undefined` when it must wait. */
  #shapeFor(head: Sequence): Shape | undefined {
    if (this.#active.length > 0 && !this.#pool.copies) return undefined;
    return shapeFor([head, ...this.#active].map(({ job }) => job.room), {
      slots: this.#options.slots,
      tokens: this.#tokens,
      contextLength: this.#options.contextLength,
      even: this.#options.evenSteps,
    });
  }

  /** Changes the pool's shape. */
  async #resize({ slots, capacity }: Shape): Promise<void> {
    this.#steps.forget();
    const kept = this.#table.plan(slots, capacity, this.#pool.copies);
    const moves = kept.map(({ index, length }, to) => ({
      from: index,
      to,
      length,
    }));
    await this.#pool.resize(slots, capacity, moves);
    this.#table.resize(slots, capacity, kept);
  }

  /** Runs a step; a failure of the run fails the sequence whose fault it is, and no other. */
  async #guard(
    sequences: readonly Sequence[],
    step: (sequences: readonly Sequence[]) => Promise<void>,
  ): Promise<void> {
    this.#inRun = sequences;
    try {
      await step.call(this, sequences);
    } catch (cause) {
      // Stopped because nobody waits for it any more: the sweep drops them.
      if (cause instanceof Stopped) return;
      if (sequences.length === 1) {
        this.#end(sequences[0], { kind: "failed", cause });
        return;
      }
      // A step that failed has changed nothing: what it wrote is written again.
      for (const sequence of sequences) await this.#guard([sequence], step);
    } finally {
      this.#inRun = [];
    }
  }

  async #prefill([sequence]: readonly Sequence[]): Promise<void> {
    const { job } = sequence;
    const { ids, keys, visual, rotary } = job;
    const slot = sequence.slot ?? await this.#enter(sequence);
    if (sequence.cancelled) return;
    const start = sequence.done;
    const end = this.#cut(start, ids.length);
    const logits = await this.#steps.prefill(
      await this.#pool.window(slot.index, 1),
      ids.subarray(start, end),
      start,
      visual.chunk(start, end),
      rotary,
    );
    slot.keys.set(keys.subarray(start, end), start);
    slot.length = sequence.done = end;
    if (rotary === undefined) slot.shared = end;
    this.#counts.prefill++;
    this.#counts.tokensPrefilled += end - start;
    if (sequence.cancelled) return;
    job.onPrefill?.(end);
    if (end === ids.length) this.#take(sequence, logits);
  }

  /** Where the chunk ends that begins at `start`, in a prompt of `length` tokens. */
  #cut(start: number, length: number): number {
    const { chunk, grain } = this.#options;
    // A token alone takes another path through the attention, with other rounding: in a run of its own, and
    // left over behind blocks of queries.
    const lonely = (end: number) =>
      length - end === 1 || (end - start) % this.#queryBlock === 1;
    let end = Math.min(length, start + chunk);
    // Two can always be cut off; a prompt of one token has no other way.
    while (
      end - start > 2 && (lonely(end) || (end < length && end % grain !== 0))
    ) end--;
    return end;
  }

  /** Finds a slot for a sequence, with as much of its prompt computed as is known. */
  async #enter(sequence: Sequence): Promise<Slot> {
    const { job } = sequence;
    // At least two tokens are computed: see the chunks.
    const limit = job.rotary === undefined ? job.ids.length - 2 : 0;
    const { slot, reused, source } = this.#table.place(
      job.keys,
      limit,
      this.#pool.copies,
    );
    empty(slot);
    slot.busy = true;
    sequence.slot = slot;
    if (source !== undefined) {
      await this.#pool.copy(source.index, slot.index, reused);
    }
    this.#table.enter(slot, job.keys, reused);
    sequence.done = reused;
    this.#counts.tokensReused += reused;
    this.#counts[reused > 0 ? "hits" : "misses"]++;
    if (!sequence.cancelled) job.onStart(reused);
    return slot;
  }

  async #decode(sequences: readonly Sequence[]): Promise<void> {
    const lone = sequences.length === 1
      ? sequences[0].speculation?.pace
      : undefined;
    if (lone !== undefined) {
      const draft = this.#draft(sequences[0]);
      if (draft.length > 0) return this.#verify(sequences[0], draft);
    }
    await this.#closeRanks(sequences);
    const rows = sequences.map(({ slot }) => slot!.index);
    let first = Math.min(...rows);
    let count = Math.max(...rows) + 1 - first;
    if (this.#options.evenSteps) {
      if (count % 2 === 1 && count < this.#pool.slots) {
        if (first > 0) first--;
        count++;
      }
      // Some row's logits twice: the head is a product of as many rows as there are logits of.
      if (rows.length % 2 === 1) rows.push(rows[0]);
    }
    const window = await this.#pool.window(first, count);
    const feeds: DecodeRow[] = [];
    for (let row = first; row < first + count; row++) {
      feeds.push(idleRow(this.#table.slots[row], this.#pool.capacity));
    }
    for (const { slot, next } of sequences) {
      feeds[slot!.index - first] = { id: next, position: slot!.length };
    }
    const begun = performance.now();
    const restore = this.#apart
      ? this.#keepFirsts(
        feeds.flatMap(({ position }, i) => position === 0 ? [first + i] : []),
      )
      : undefined;
    const logits = await this.#steps.decode(
      window,
      feeds,
      rows.map((row) => row - first),
      sequences.length >= this.#options.wideFrom,
    ).finally(restore);
    lone?.plain(performance.now() - begun);
    this.#counts.decode++;
    this.#counts.tokensDecoded += sequences.length;
    for (let i = 0; i < sequences.length; i++) {
      const sequence = sequences[i];
      this.#fed(sequence);
      if (!sequence.cancelled) this.#take(sequence, logits[i]);
    }
  }

  /**
   * Idle rows compute the first token of what they hold once more (see `idleRow`), which changes it where
   * prompts have weights of their own: a way to put it back.
   */
  #keepFirsts(slots: readonly number[]): () => void {
    const held = slots.filter((slot) => this.#table.slots[slot].length > 0)
      .map((slot) => [slot, this.#pool.first(slot)] as const);
    return () => {
      for (const [slot, kept] of held) this.#pool.putFirst(slot, kept);
    };
  }

  /** What may follow a sequence's next token; nothing where that is not worth a try. */
  #draft({ slot, job, next, speculation }: Sequence): readonly number[] {
    const { keys, length } = slot!;
    // The next token takes a place itself.
    return speculation!.draft(keys, length, next, job.room - length - 1);
  }

  /**
   * A step with tokens that are only guessed behind the next one. Each row's token is chosen as ever, in
   * order, as long as the rows before it were fed what was chosen; keys and values of the rest are
   * overwritten by what comes.
   */
  async #verify(sequence: Sequence, draft: readonly number[]): Promise<void> {
    const slot = sequence.slot!;
    const begun = performance.now();
    const logits = await this.#steps.verify(
      await this.#pool.window(slot.index, 1),
      Int32Array.of(sequence.next, ...draft),
      slot.length,
    );
    const ms = performance.now() - begun;
    // Counted before a token is told, so that whoever looks when its answer ends finds it.
    const counts = this.#counts;
    counts.decode++;
    counts.tokensDrafted += draft.length;
    let chosen = 0;
    do {
      this.#fed(sequence);
      if (sequence.cancelled) break;
      counts.tokensDecoded++;
      if (chosen > 0) counts.tokensAccepted++;
      this.#take(sequence, logits[chosen++]);
      // Where it has ended, it has no slot any more.
    } while (
      sequence.slot === slot && chosen < logits.length &&
      sequence.next === draft[chosen - 1]
    );
    sequence.speculation!.pace.drafted(ms, chosen);
  }

  /**
   * Idle rows between busy ones are computed for nothing. Where they are as many as the busy ones, the
   * outermost sequence changes places with one.
   */
  async #closeRanks(sequences: readonly Sequence[]): Promise<void> {
    if (!this.#pool.copies) return;
    for (;;) {
      const rows = sequences.map(({ slot }) => slot!.index);
      const first = Math.min(...rows);
      const last = Math.max(...rows);
      const idle = last + 1 - first - sequences.length;
      if (idle < Math.max(2, sequences.length)) return;
      const outer = this.#table.slots[last];
      const inner = this.#table.slots.find(({ index, busy }) =>
        index > first && index < last && !busy
      );
      if (inner === undefined) return;
      await this.#pool.swap(
        inner.index,
        outer.index,
        Math.max(inner.length, outer.length),
      );
      this.#table.swap(inner, outer);
    }
  }

  /** The keys and values of a sequence's next token are there. */
  #fed({ slot, next, job }: Sequence): void {
    slot!.keys[slot!.length++] = next;
    if (this.#options.reuseAnswers && job.rotary === undefined) {
      slot!.shared = slot!.length;
    }
  }

  #take(sequence: Sequence, logits: Float32Array): void {
    let next: number | undefined;
    try {
      next = sequence.job.next(logits);
    } catch (cause) {
      this.#end(sequence, { kind: "failed", cause });
      return;
    }
    if (next === undefined) this.#end(sequence, { kind: "complete" });
    else sequence.next = next;
  }
}
