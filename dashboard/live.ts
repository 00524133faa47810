/**
 * Server-sent events: one reader for each thing that is watched, however many watch it; who comes back
 * goes on where it stopped.
 * @module
 */
import { Snapshot, type Source } from "./snapshot.ts";
import type { StoreAccess } from "./store_access.ts";
import { seenOf } from "./run_view.ts";
import { rowOf } from "./view.ts";

/** What is sent to everybody who watches a thing. */
interface Frame {
  /** Where to go on after it; of what says how things stand, and is said again, nothing. */
  readonly id?: number;
  /** The event as it goes over the wire. */
  readonly bytes: Uint8Array;
}

/** What has happened after a position. */
interface Batch {
  readonly frames: readonly Frame[];
  /** Where to go on. */
  readonly next: number;
  /** Whether nothing more will come. */
  readonly ended: boolean;
}

interface Viewer {
  at: number;
  readonly send: (bytes: Uint8Array) => boolean;
  readonly end: () => void;
}

const encoder = new TextEncoder();

/** A server-sent event. JSON has no line breaks of its own. */
const frame = (id: number, json: string): Frame => ({
  id,
  bytes: encoder.encode(`id: ${id}\ndata: ${json}\n\n`),
});

/** How a run stands, beside its events: its process says that it lives, others end it. */
interface Standing {
  /** It as JSON. */
  readonly read: () => Promise<string>;
  /** It as it was told last. */
  told: string;
}

/** Something watched. */
class Channel {
  readonly #viewers = new Set<Viewer>();
  readonly #read: (after: number) => Promise<Batch>;
  readonly #pause: number;
  #position = -1;
  #pumping = false;
  #dirty = false;
  /** Those who watch, and those who are being brought up to date. */
  watchers = 0;

  constructor(read: (after: number) => Promise<Batch>, pause: number) {
    this.#read = read;
    this.#pause = pause;
  }

  get watched(): boolean {
    return this.#viewers.size > 0;
  }

  /** Brings a viewer up to date, then among the others. */
  async join(viewer: Viewer, left: () => boolean): Promise<void> {
    for (;;) {
      const { frames, next, ended } = await this.#read(viewer.at);
      if (left()) return;
      for (const { bytes } of frames) if (!viewer.send(bytes)) return;
      const moved = next !== viewer.at;
      viewer.at = next;
      if (ended) return viewer.end();
      if (!moved && viewer.at >= this.#position) break;
    }
    if (this.#viewers.size === 0) this.#position = viewer.at;
    this.#viewers.add(viewer);
    // What was written between the last read and now.
    this.poke();
  }

  leave(viewer: Viewer): void {
    this.#viewers.delete(viewer);
  }

  /** Something was written. */
  poke(): void {
    if (this.#pumping) {
      this.#dirty = true;
      return;
    }
    if (this.watched) this.#pump();
  }

  async #pump(): Promise<void> {
    this.#pumping = true;
    try {
      do {
        this.#dirty = false;
        const { frames, next, ended } = await this.#read(this.#position);
        if (next > this.#position) this.#dirty = true;
        this.#position = next;
        for (const viewer of [...this.#viewers]) {
          for (const { id, bytes } of frames) {
            if (id !== undefined) {
              if (id <= viewer.at) continue;
              viewer.at = id;
            }
            if (!viewer.send(bytes)) {
              this.#viewers.delete(viewer);
              break;
            }
          }
          if (ended) {
            this.#viewers.delete(viewer);
            viewer.end();
          }
        }
        if (this.#pause > 0) {
          await new Promise((resolve) => setTimeout(resolve, this.#pause));
        }
      } while (this.#dirty && this.watched);
    } catch {
      // The store could not be read; viewers come back, and are told then.
      for (const viewer of [...this.#viewers]) viewer.end();
      this.#viewers.clear();
    } finally {
      this.#pumping = false;
    }
  }
}

/** Bytes that may wait for a slow viewer before it is sent away; it comes back and goes on. */
const mostWaiting = 1 << 22;

/** Between two signs of life, in milliseconds. */
const beat = 15_000;

/** Snapshots that are kept for those who come back, so that they need not be sent all of it again. */
const mostSnapshots = 30;

/** How often what changes by the clock is looked at, in milliseconds. */
const tick = 5000;

/** Streams what happens to the runs of a store. */
export class Live {
  readonly #access: StoreAccess;
  readonly #channels = new Map<string, Channel>();
  readonly #snapshots = new Map<string, Snapshot>();
  #watching: (() => void) | undefined;
  #viewers = 0;

  constructor(access: StoreAccess) {
    this.#access = access;
  }

  /** Changes of all runs, from a mark or from now. */
  async list(after: number | undefined): Promise<Response> {
    const { store, run } = this.#access;
    const from = after ?? (await run(store.changes())).mark;
    // A table need not move more often than people can see.
    return this.#stream(
      "runs",
      () => new Channel((after) => this.#changes(after), 50),
      from,
    );
  }

  /** The events of one run after a number; −1 for all. */
  one(runId: string, after: number): Response {
    return this.#stream(
      `run ${runId}`,
      () => {
        const standing = { read: this.#seen(runId), told: "" };
        return new Channel((seq) => this.#events(runId, seq, standing), 0);
      },
      after,
    );
  }

  /**
   * What is different in something that is read whole, since the moment when somebody read it; −1 for
   * all of it. Those who give the same name share its source.
   */
  shown(name: string, source: () => Source, moment: number): Response {
    return this.#stream(`shown ${name}`, () => {
      const snapshot = this.#snapshot(name, source);
      return new Channel(async (after) => {
        const { json, moment } = await snapshot.since(after);
        return {
          frames: json === undefined ? [] : [frame(moment, json)],
          next: moment,
          ended: false,
        };
      }, 0);
    }, moment);
  }

  #snapshot(name: string, source: () => Source): Snapshot {
    const found = this.#snapshots.get(name) ??
      new Snapshot(this.#access, source());
    this.#snapshots.delete(name);
    this.#snapshots.set(name, found);
    for (const oldest of this.#snapshots.keys()) {
      if (this.#snapshots.size <= mostSnapshots) break;
      this.#snapshots.delete(oldest);
    }
    return found;
  }

  async #changes(after: number): Promise<Batch> {
    const { store, run } = this.#access;
    const { mark, runs, removed } = await run(store.changes(after));
    const data = { runs: runs.map(rowOf), removed };
    return {
      frames: mark === after ? [] : [frame(mark, JSON.stringify(data))],
      next: mark,
      ended: false,
    };
  }

  /** What the store says of a run, as JSON; looked at no more often than what changes by the clock. */
  #seen(runId: string): () => Promise<string> {
    const { store, run } = this.#access;
    let json = "";
    let looked = 0;
    return async () => {
      if (Math.abs(Date.now() - looked) >= tick) {
        looked = Date.now();
        json = JSON.stringify(seenOf(await run(store.summary(runId))));
      }
      return json;
    };
  }

  async #events(
    runId: string,
    seq: number,
    standing: Standing,
  ): Promise<Batch> {
    const { store, run } = this.#access;
    // The standing first: of a run that ended meanwhile, its own last event is what is told.
    const json = await standing.read();
    const events = await run(store.eventsAfter(runId, seq));
    const last = events.at(-1);
    // Who says that he saw what never was begins anew, and does not make the others wait for it.
    const seen = last !== undefined || seq < 0 ||
      (await run(store.eventsAfter(runId, seq - 1))).length > 0;
    const frames = events.map((event) =>
      frame(event.seq, JSON.stringify(event))
    );
    if (last === undefined && json !== standing.told) {
      standing.told = json;
      frames.push({ bytes: encoder.encode(`event: seen\ndata: ${json}\n\n`) });
    }
    return {
      frames,
      next: last?.seq ?? (seen ? seq : -1),
      ended: last?._tag === "RunFinished",
    };
  }

  #watch(): () => void {
    const poke = (): void => {
      for (const channel of this.#channels.values()) channel.poke();
    };
    const unwatch = this.#access.store.watch(poke);
    const timer = setInterval(poke, tick);
    return () => {
      unwatch();
      clearInterval(timer);
    };
  }

  #stream(name: string, make: () => Channel, after: number): Response {
    const channel = this.#channels.get(name) ?? make();
    this.#channels.set(name, channel);
    channel.watchers++;
    let timer: ReturnType<typeof setInterval> | undefined;
    let left = false;
    let viewer: Viewer;
    const leave = (): void => {
      if (left) return;
      left = true;
      clearInterval(timer);
      channel.leave(viewer);
      channel.watchers--;
      if (channel.watchers === 0) this.#channels.delete(name);
      this.#viewers--;
      if (this.#viewers === 0) {
        this.#watching?.();
        this.#watching = undefined;
      }
    };
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        const end = (): void => {
          if (left) return;
          leave();
          controller.close();
        };
        const send = (bytes: Uint8Array): boolean => {
          if (left) return false;
          controller.enqueue(bytes);
          if ((controller.desiredSize ?? 0) < -mostWaiting) end();
          return !left;
        };
        viewer = { at: after, send, end };
        this.#viewers++;
        this.#watching ??= this.#watch();
        send(encoder.encode("retry: 1000\n\n"));
        timer = setInterval(() => send(encoder.encode(":\n\n")), beat);
        channel.join(viewer, () => left).catch(end);
      },
      cancel: leave,
    }, new ByteLengthQueuingStrategy({ highWaterMark: 0 }));
    return new Response(body, { headers: streamHeaders });
  }
}

/** Headers of an event stream; the last one keeps nginx from holding it back until it is full. */
export const streamHeaders: Readonly<Record<string, string>> = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-store",
  "x-accel-buffering": "no",
};

/** Where a stream goes on: after what the browser saw last, or what the page had. */
export function resumeAt(req: Request): number | undefined {
  const given = req.headers.get("last-event-id") ??
    new URL(req.url).searchParams.get("seen");
  const at = given === null || given === "" ? NaN : Number(given);
  return Number.isSafeInteger(at) && at >= -1 ? at : undefined;
}
