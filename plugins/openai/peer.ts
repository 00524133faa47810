/**
 * Notices that a client has left while its answer is computed.
 *
 * Deno (2.8.3 to 2.9.6) looks for the end of a connection only where the whole body came together with the
 * head. Where it came later, which is so for every picture and for every client or proxy that sends head and
 * body apart, `request.signal` is silent until the answer has been written. The system knows: a socket whose
 * other side has closed gives an end instead of bytes. Deno does not show its sockets, so this one is found by
 * the addresses of its two ends.
 * @module
 */

/** Milliseconds between two looks. */
const everyMs = 50;

/** The system gives the lowest descriptor that is free: behind so many that are no connections, none is left. */
const othersInRow = 1024;

const peek = 2;

/** The C library, and `MSG_DONTWAIT`, which have no common value; Windows has no descriptors. */
const systems: Partial<
  Record<typeof Deno.build.os, { readonly libc: string; readonly now: number }>
> = {
  linux: { libc: "libc.so.6", now: 0x40 },
  darwin: { libc: "/usr/lib/libSystem.B.dylib", now: 0x80 },
};

/** Sees whether a connection is still there. */
interface Sight {
  /** Tells those of connections that have a descriptor theirs, in one pass over all descriptors. */
  readonly find: (connections: readonly Watched[]) => void;
  /** Whether a descriptor is still this connection, and its other side has not closed it. */
  readonly open: (
    descriptor: number,
    remote: Deno.NetAddr,
    port: number,
  ) => boolean;
}

let sight: { readonly found: Sight | undefined } | undefined;

function openSight(): Sight | undefined {
  const system = systems[Deno.build.os];
  if (system === undefined) return undefined;
  const end = {
    parameters: ["i32", "buffer", "buffer"],
    result: "i32",
  } as const;
  const opened = () =>
    Deno.dlopen(system.libc, {
      getpeername: end,
      getsockname: end,
      recv: {
        parameters: ["i32", "buffer", "usize", "i32"],
        result: "isize",
      },
    });
  let symbols: ReturnType<typeof opened>["symbols"];
  try {
    symbols = opened().symbols;
  } catch {
    // Not allowed, or not there.
    return undefined;
  }
  const address = new Uint8Array(128);
  const length = new Uint32Array(1);
  const byte = new Uint8Array(1);
  const view = new DataView(address.buffer);
  /** Has the system write an end of a socket; the port, and 0 where there is none. */
  const portOf = (of: typeof symbols.getpeername, descriptor: number) => {
    length[0] = address.length;
    return of(descriptor, address, length) === 0 ? view.getUint16(2) : 0;
  };
  const is = (descriptor: number, remote: Deno.NetAddr, port: number) =>
    portOf(symbols.getpeername, descriptor) === remote.port &&
    hostOf(view, length[0]!) === canonicalHost(remote.hostname) &&
    portOf(symbols.getsockname, descriptor) === port;
  return {
    find: (connections) => {
      const byPort = Map.groupBy(connections, ({ remote }) => remote.port);
      let left = connections.length;
      let others = 0;
      for (let at = 0; left > 0 && others < othersInRow; at++) {
        const port = portOf(symbols.getpeername, at);
        others = port === 0 ? others + 1 : 0;
        for (const one of byPort.get(port) ?? []) {
          if (!is(at, one.remote, one.port)) continue;
          one.descriptor = at;
          left--;
        }
      }
    },
    open: (descriptor, remote, port) =>
      is(descriptor, remote, port) &&
      Number(symbols.recv(descriptor, byte, 1n, peek | system.now)) !== 0,
  };
}

/** An address in the one form that URLs have for it. */
export function canonicalHost(host: string): string {
  return URL.parse(`http://${host.includes(":") ? `[${host}]` : host}`)
    ?.hostname ?? host;
}

/** The host in a `sockaddr` of so many bytes, which is of IPv4 or of IPv6, as {@link canonicalHost} gives it. */
export function hostOf(address: DataView, bytes: number): string {
  if (bytes === 16) {
    return [4, 5, 6, 7].map((at) => address.getUint8(at)).join(".");
  }
  if (bytes !== 28) return "";
  const groups = Array.from(
    { length: 8 },
    (_, i) => address.getUint16(8 + 2 * i).toString(16),
  );
  return canonicalHost(groups.join(":"));
}

/** A connection that is looked at. */
interface Watched {
  readonly remote: Deno.NetAddr;
  readonly port: number;
  readonly gone: () => void;
  descriptor?: number;
}

const watched = new Set<Watched>();
let clock: ReturnType<typeof setInterval> | undefined;

function look({ find, open }: Sight): void {
  // Not sooner: most answers are there before it is worth it.
  const fresh = [...watched].filter(({ descriptor }) =>
    descriptor === undefined
  );
  if (fresh.length > 0) find(fresh);
  for (const one of watched) {
    const { remote, port, gone, descriptor } = one;
    // Of one that cannot be found nothing is known, now or later.
    if (descriptor === undefined) watched.delete(one);
    else if (!open(descriptor, remote, port)) {
      watched.delete(one);
      gone();
    }
  }
}

/**
 * Calls `gone` when the client of a connection to `port` has closed it, some 50 ms after; the function returned
 * ends the watch. Without permission for FFI, and on Windows, nothing is noticed.
 */
export function watchPeer(
  remote: Deno.NetAddr,
  port: number,
  gone: () => void,
): () => void {
  sight ??= { found: openSight() };
  const { found } = sight;
  if (found === undefined) return () => {};
  const one: Watched = { remote, port, gone };
  watched.add(one);
  clock ??= setInterval(look, everyMs, found);
  return () => {
    watched.delete(one);
    if (watched.size > 0) return;
    clearInterval(clock);
    clock = undefined;
  };
}
