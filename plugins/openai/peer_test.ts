import assert from "node:assert/strict";
import { canonicalHost, hostOf, watchPeer } from "./peer.ts";

const windows = Deno.build.os === "windows";

/** Both ends of connections to a listener of its own. */
async function connected(
  count: number,
  test: (
    clients: Deno.TcpConn[],
    servers: Deno.TcpConn[],
  ) => Promise<void>,
): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const clients: Deno.TcpConn[] = [], servers: Deno.TcpConn[] = [];
  for (let i = 0; i < count; i++) {
    clients.push(
      await Deno.connect({
        hostname: "127.0.0.1",
        port: listener.addr.port,
      }),
    );
    servers.push(await listener.accept());
  }
  try {
    await test(clients, servers);
  } finally {
    for (const one of [...clients, ...servers]) {
      try {
        one.close();
      } catch {
        // The test closed it.
      }
    }
  }
}

const watch = (server: Deno.TcpConn, gone: () => void) =>
  watchPeer(server.remoteAddr, server.localAddr.port, gone);

const turns = (ms: number) => new Promise((done) => setTimeout(done, ms));

Deno.test({
  name: "a peer that closes is noticed, and none that stays",
  ignore: windows,
  fn: () =>
    connected(3, async ([quiet, leaving, talking], servers) => {
      const gone: number[] = [];
      const left = Promise.withResolvers<void>();
      const ends = servers.map((server, i) =>
        watch(server, () => {
          gone.push(i);
          left.resolve();
        })
      );
      await talking!.write(new Uint8Array(3));
      await turns(150);
      assert.deepEqual(gone, []);
      leaving!.close();
      await left.promise;
      await turns(150);
      // Told once, and what another one sent is still there to be read.
      assert.deepEqual(gone, [1]);
      assert.equal(await servers[2]!.read(new Uint8Array(8)), 3);
      assert.equal(await quiet!.write(new Uint8Array(1)), 1);
      for (const end of ends) end();
    }),
});

Deno.test({
  name: "a watch that has ended tells nothing",
  ignore: windows,
  fn: () =>
    connected(2, async ([first, second], servers) => {
      const gone: string[] = [];
      const left = Promise.withResolvers<void>();
      watch(servers[0]!, () => gone.push("ended"))();
      const end = watch(servers[1]!, left.resolve);
      first!.close();
      second!.close();
      await left.promise;
      assert.deepEqual(gone, []);
      end();
    }),
});

Deno.test("the ends of a socket are read in both families", () => {
  const four = new Uint8Array(16);
  four.set([192, 0, 2, 7], 4);
  assert.equal(hostOf(new DataView(four.buffer), 16), "192.0.2.7");
  const six = new Uint8Array(28);
  six.set([0x20, 0x01, 0x0d, 0xb8], 8);
  six[23] = 1;
  assert.equal(
    hostOf(new DataView(six.buffer), 28),
    canonicalHost("2001:db8::1"),
  );
  // An IPv4 client of a server that listens on both.
  six.fill(0).set([0xff, 0xff, 192, 0, 2, 7], 18);
  assert.equal(
    hostOf(new DataView(six.buffer), 28),
    canonicalHost("::ffff:192.0.2.7"),
  );
  assert.equal(hostOf(new DataView(six.buffer), 2), "");
});
