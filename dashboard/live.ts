/**
 * Server-sent events: one reader for each thing that is watched, however many watch it; who comes back
 * goes on where it stopped.
 * @module
 */
import type { Services } from "./services.ts";
import { rowOf } from "./view.ts";

/** What is sent to everybody who watches a thing. */
interface Frame {
  /** Where to go on after it. */
  readonly id: number;
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

/** A server-sent event. Its data is one line, because JSON has no line breaks of its own. */
export function frame(id: number, data: unknown, event?: string): Uint8Array {
  return encoder.encode(
    `${event === undefined ? "" : `event: ${event}\n`}id: ${id}\ndata: ${
      JSON.stringify(data)
    }\n\n`,
  );
}

/** Something watched. */
class Channel {
  readonly #viewers = new Set<Viewer>();
  readonly #read: (after: number) => Promise<Batch>;
  readonly #pause: number;
  #position = -1;
  #pumping = false;
  #dirty = false;

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
            if (id <= viewer.at) continue;
            viewer.at = id;
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

/** Streams what happens to the runs of a store. */
export class Live {
  readonly #services: Pick<Services, "store" | "run">;
  readonly #runs = new Map<string, Channel>();
  readonly #list: Channel;
  #watching: (() => void) | undefined;
  #viewers = 0;

  constructor(services: Pick<Services, "store" | "run">) {
    this.#services = services;
    // A table need not move more often than people can see.
    this.#list = new Channel((after) => this.#changes(after), 50);
  }

  /** Changes of all runs, from a mark or from now. */
  async list(after: number | undefined): Promise<Response> {
    const { store, run } = this.#services;
    const from = after ?? (await run(store.changes())).mark;
    return this.#stream(this.#list, from, () => {});
  }

  /** The events of one run after a number; −1 for all. */
  one(runId: string, after: number): Response {
    let channel = this.#runs.get(runId);
    if (channel === undefined) {
      channel = new Channel((seq) => this.#events(runId, seq), 0);
      this.#runs.set(runId, channel);
    }
    const own = channel;
    return this.#stream(own, after, () => {
      if (!own.watched) this.#runs.delete(runId);
    });
  }

  async #changes(after: number): Promise<Batch> {
    const { store, run } = this.#services;
    const { mark, runs, removed } = await run(store.changes(after));
    return {
      frames: mark === after ? [] : [{
        id: mark,
        bytes: frame(mark, { runs: runs.map(rowOf), removed }),
      }],
      next: mark,
      ended: false,
    };
  }

  async #events(runId: string, seq: number): Promise<Batch> {
    const { store, run } = this.#services;
    const events = await run(store.eventsAfter(runId, seq));
    const last = events.at(-1);
    return {
      frames: events.map((event) => ({
        id: event.seq,
        bytes: frame(event.seq, event),
      })),
      next: last?.seq ?? seq,
      ended: last?._tag === "RunFinished",
    };
  }

  #stream(channel: Channel, after: number, gone: () => void): Response {
    let timer: ReturnType<typeof setInterval> | undefined;
    let left = false;
    let viewer: Viewer;
    const leave = (): void => {
      if (left) return;
      left = true;
      clearInterval(timer);
      channel.leave(viewer);
      gone();
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
        this.#watching ??= this.#services.store.watch(() => this.#poke());
        send(encoder.encode("retry: 1000\n\n"));
        timer = setInterval(() => send(encoder.encode(":\n\n")), beat);
        channel.join(viewer, () => left).catch(end);
      },
      cancel: leave,
    }, new ByteLengthQueuingStrategy({ highWaterMark: 0 }));
    return new Response(body, {
      headers: {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
      },
    });
  }

  #poke(): void {
    this.#list.poke();
    for (const channel of this.#runs.values()) channel.poke();
  }
}

/** Where a stream goes on: after what the browser saw last, or what the page had. */
export function resumeAt(req: Request): number | undefined {
  const given = req.headers.get("last-event-id") ??
    new URL(req.url).searchParams.get("after");
  const at = given === null || given === "" ? NaN : Number(given);
  return Number.isSafeInteger(at) && at >= -1 ? at : undefined;
}
