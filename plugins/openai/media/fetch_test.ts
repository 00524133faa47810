import assert from "node:assert/strict";
import { fetchFile, type FetchPolicy } from "./fetch.ts";

const policy: FetchPolicy = {
  maxBytes: 1000,
  timeoutMs: 2000,
  maxRedirects: 2,
};

/** A host on the loopback that answers as told. */
async function host(
  answer: (path: string, request: Request) => Response | Promise<Response>,
  use: (base: string, seen: string[]) => Promise<void>,
  tls: { readonly cert: string; readonly key: string } | object = {},
): Promise<void> {
  const seen: string[] = [];
  const stop = new AbortController();
  const server = Deno.serve({
    port: 0,
    hostname: "127.0.0.1",
    signal: stop.signal,
    onListen: () => {},
    ...tls,
  }, (request) => {
    const { pathname } = new URL(request.url);
    seen.push(pathname);
    return answer(pathname, request);
  });
  try {
    await use(`127.0.0.1:${server.addr.port}`, seen);
  } finally {
    stop.abort();
    await server.finished;
  }
}

const refused = (address: string, message: RegExp, more = {}) =>
  assert.rejects(fetchFile(address, { ...policy, ...more }), {
    name: "FetchError",
    message,
  }, address);

Deno.test("private, loopback and link-local hosts are refused, however they are written", async () => {
  await host(() => new Response("secret"), async (base, seen) => {
    const port = base.split(":")[1];
    for (
      const name of [
        ...["127.0.0.1", "localhost", "2130706433", "0x7f.1", "017700000001"],
        ...["127.1", "0.0.0.0", "0", "[::1]", "[::ffff:127.0.0.1]", "[::]"],
        ...["169.254.169.254", "10.0.0.1", "[fe80::1]", "[fd00::1]"],
      ]
    ) {
      await refused(`http://${name}:${port}/x`, /public internet|no host/);
    }
    assert.deepEqual(seen, []);
  });
});

Deno.test("a name with one private address among public ones is refused", () =>
  refused("http://both.example/x", /public internet/, {
    resolve: () =>
      Promise.resolve([
        { address: "93.184.216.34", family: 4 },
        { address: "10.0.0.1", family: 4 },
      ]),
  }));

Deno.test("the connection goes to the address that was checked, not to a second look-up", async () => {
  await host(
    (_, request) => new Response(request.headers.get("host")),
    async (base) => {
      const port = base.split(":")[1];
      let asked = 0;
      const bytes = await fetchFile(`http://pinned.example:${port}/x`, {
        ...policy,
        trustedHosts: ["pinned.example"],
        resolve: () => {
          asked++;
          return Promise.resolve([{ address: "127.0.0.1", family: 4 }]);
        },
      });
      // A second look-up would have failed: no such name exists.
      assert.equal(asked, 1);
      assert.equal(new TextDecoder().decode(bytes), `pinned.example:${port}`);
    },
  );
});

Deno.test("redirects are checked like the first address, and counted", async () => {
  await host((path) => {
    const to = {
      "/inside": "http://127.0.0.2:1/secret",
      "/file": "file:///etc/passwd",
      "/loop": "/loop",
      "/ok": "/end",
    }[path];
    return to === undefined
      ? new Response("end")
      : new Response(null, { status: 302, headers: { location: to } });
  }, async (base) => {
    const trusted = { trustedHosts: [base] };
    await refused(`http://${base}/inside`, /public internet/, trusted);
    await refused(`http://${base}/file`, /kind file:/, trusted);
    await refused(`http://${base}/loop`, /more than 2 redirects/, trusted);
    const bytes = await fetchFile(`http://${base}/ok`, {
      ...policy,
      ...trusted,
    });
    assert.equal(new TextDecoder().decode(bytes), "end");
  });
});

Deno.test("size, time, status and coding are bounded", async () => {
  const endless = () =>
    new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(400)),
    });
  await host((path) => {
    switch (path) {
      case "/large":
        return new Response(new Uint8Array(1001));
      case "/endless":
        return new Response(endless());
      case "/slow":
        return new Response(new ReadableStream());
      case "/gzip":
        return new Response(new Uint8Array(10), {
          headers: { "content-encoding": "gzip" },
        });
      default:
        return new Response("no", { status: 404 });
    }
  }, async (base) => {
    const trusted = { trustedHosts: [base] };
    await refused(`http://${base}/large`, /larger than 1000/, trusted);
    await refused(`http://${base}/endless`, /larger than 1000/, trusted);
    await refused(`http://${base}/gzip`, /compressed/, trusted);
    await refused(`http://${base}/none`, /status 404/, trusted);
    await refused(`http://${base}/slow`, /within 50 ms/, {
      ...trusted,
      timeoutMs: 50,
    });
  });
});

Deno.test("other schemes, names in addresses and what is no address are refused", async () => {
  for (
    const address of [
      "file:///etc/passwd",
      "ftp://example.com/x",
      "gopher://example.com/",
      "data:text/plain,hi",
      "javascript:alert(1)",
      "blob:http://a/b",
    ]
  ) await refused(address, /not fetched/);
  await refused("http://user:secret@example.com/", /user name/);
  await refused("http://", /neither an address/);
  await refused("not an address", /neither an address/);
  await refused("http://1.1.1.1/", /not fetched/, { schemes: ["https"] });
});

Deno.test("an abort stops the fetching and rejects with its reason", async () => {
  await host(() => new Response(new ReadableStream()), async (base) => {
    const controller = new AbortController();
    const reason = new Error("enough");
    setTimeout(() => controller.abort(reason), 20);
    await assert.rejects(
      fetchFile(
        `http://${base}/slow`,
        { ...policy, trustedHosts: [base] },
        controller.signal,
      ),
      reason,
    );
  });
});

// Made for these tests, valid for a hundred years; the authority's key is gone.
const file = (name: string) =>
  Deno.readTextFileSync(new URL(`../testing/${name}`, import.meta.url));

Deno.test("over TLS the certificate must be the host's, and of an authority that is trusted", async () => {
  await host(() => new Response("a picture"), async (base, seen) => {
    const port = base.split(":")[1];
    const local = {
      ...policy,
      trustedHosts: ["pictures.test", "other.test"],
      resolve: () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]),
    };
    const untrusted = /host's certificate is not trusted/;
    const authorities = [file("ca.pem")];
    const pictures = `https://pictures.test:${port}/x`;
    await refused(pictures, untrusted, local);
    await refused(`https://other.test:${port}/x`, untrusted, {
      ...local,
      authorities,
    });
    await refused(pictures, /public internet/, {
      authorities,
      resolve: local.resolve,
    });
    // Nothing was asked of a host that nobody vouches for.
    assert.deepEqual(seen, []);
    const bytes = await fetchFile(pictures, { ...local, authorities });
    assert.equal(new TextDecoder().decode(bytes), "a picture");
    assert.deepEqual(seen, ["/x"]);
  }, { cert: file("host.pem"), key: file("host.key") });
});
