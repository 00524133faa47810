/**
 * Follows something that can only be read whole, such as a page of a batch, and tells what is different
 * since a moment.
 * @module
 */
import type { Shown } from "./shown.ts";
import type { StoreAccess } from "./store_access.ts";

/** Something that is read whole. */
export interface Source {
  /** Reads it. */
  readonly read: () => Promise<Shown<unknown, unknown>>;
  /** Least milliseconds between two readings. */
  readonly pace: number;
  /** It changes by the clock alone whenever so many milliseconds are over; default: it does not. */
  readonly step?: number;
}

/** Something as JSON, and since when it has been so. */
interface Dated {
  readonly json: string;
  readonly since: number;
}

const ready = Promise.resolve();

/** Something that is read again after something was written, and what is different each time. */
export class Snapshot {
  readonly #access: StoreAccess;
  readonly #source: Source;
  #mark = -1;
  #read = 0;
  #latest = 0;
  #head: Dated | undefined;
  #order: Dated | undefined;
  #parts = new Map<string, Dated>();
  #turn: Promise<void> = ready;

  constructor(access: StoreAccess, source: Source) {
    this.#access = access;
    this.#source = source;
  }

  /**
   * What is different from what somebody saw who read it at a moment, as the JSON of a `ShownChange`,
   * nothing where all is as it was; and the moment of the latest difference.
   */
  async since(
    moment: number,
  ): Promise<{ readonly json?: string; readonly moment: number }> {
    // One after the other, so that who comes now does not get what was read before he came.
    const turn = this.#turn.then(() => this.#renew());
    this.#turn = turn.catch(() => {});
    await turn;
    // Nobody has seen the future.
    if (moment > Math.max(this.#latest, Date.now())) moment = -1;
    if (this.#latest <= moment) return { moment: this.#latest };
    const fields: string[] = [];
    const field = (name: string, { json, since }: Dated): void => {
      if (since > moment) fields.push(`${JSON.stringify(name)}:${json}`);
    };
    field("head", this.#head!);
    field("order", this.#order!);
    const parts = [...this.#parts].filter(([, part]) => part.since > moment)
      .map(([key, { json }]) => `${JSON.stringify(key)}:${json}`);
    if (parts.length > 0) fields.push(`"parts":{${parts.join(",")}}`);
    return { json: `{${fields.join(",")}}`, moment: this.#latest };
  }

  async #renew(): Promise<void> {
    const { store, run } = this.#access;
    const { read, pace, step } = this.#source;
    const stepOf = (at: number) =>
      step === undefined ? 0 : Math.floor(at / step);
    const markNow = async () => (await run(store.changes())).mark;
    const known = this.#read > 0 && stepOf(Date.now()) === stepOf(this.#read);
    if (known && await markNow() === this.#mark) return;
    const wait = this.#read + pace - Date.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    // The mark first: what is written meanwhile is read once more.
    const mark = await markNow();
    const { head, parts } = await read();
    this.#mark = mark;
    this.#read = Date.now();
    // Whoever read before this moment may not have seen it.
    const now = Math.max(this.#read, this.#latest) + 1;
    const dated = (before: Dated | undefined, value: unknown): Dated => {
      const json = JSON.stringify(value);
      if (before?.json === json) return before;
      this.#latest = now;
      return { json, since: now };
    };
    this.#head = dated(this.#head, head);
    this.#order = dated(this.#order, parts.map(([key]) => key));
    this.#parts = new Map(
      parts.map(([key, part]) => [key, dated(this.#parts.get(key), part)]),
    );
  }
}
