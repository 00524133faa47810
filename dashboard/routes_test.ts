import assert from "node:assert/strict";
import { Effect } from "effect";
import { eventsOf } from "../pipeline/store_contract.ts";
import { makeSqliteStore } from "../plugins/sqlite/mod.ts";
import type { AccessOptions } from "./access.ts";
import { makeDashboard, makeServices } from "./mod.ts";

/** Asks a dashboard over three runs, as a browser at this address would. */
async function withDashboard(
  access: Partial<AccessOptions>,
  body: (
    ask: (path: string, init?: RequestInit) => Promise<Response>,
  ) => Promise<void>,
): Promise<void> {
  await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
    const store = yield* makeSqliteStore({ filename: ":memory:" });
    for (const id of ["a", "b", "c/<d>"]) {
      for (
        const event of eventsOf(id, 1000, { text: "<i>hi</i>", tokens: 3 })
      ) {
        store.record(event);
      }
    }
    yield* store.flush("a");
    const services = yield* makeServices({
      store,
      access: { port: 80, ...access },
    });
    const host = makeDashboard(services, {
      onError: (error) => {
        throw error;
      },
    });
    yield* Effect.promise(() =>
      body(async (path, init) =>
        await host(new Request(`http://localhost${path}`, init))
      )
    );
  })));
}

const cookieOf = (response: Response): string =>
  response.headers.get("set-cookie")?.split(";")[0] ?? "";
const csrfOf = (html: string): string =>
  /<meta name="csrf" content="([^"]+)"/.exec(html)![1]!;

Deno.test("pages come with their headers, data escaped, and nothing inline", async () => {
  await withDashboard({}, async (ask) => {
    for (const path of ["/", "/runs/a", "/compare?run=a&run=b", "/nope"]) {
      const response = await ask(path);
      assert.equal(response.status, path === "/nope" ? 404 : 200, path);
      const policy = response.headers.get("content-security-policy")!;
      const nonce = /script-src 'nonce-([\w-]+)'/.exec(policy)![1]!;
      assert.ok(!policy.includes("unsafe"));
      assert.equal(response.headers.get("x-content-type-options"), "nosniff");
      const html = await response.text();
      assert.ok(!html.includes("<i>hi</i>"), path);
      assert.ok(!/ style="/.test(html), path);
      for (const [tag] of html.matchAll(/<script[^>]*>/g)) {
        assert.ok(
          tag.includes("application/json") || tag.includes(`nonce="${nonce}"`),
          tag,
        );
      }
    }
    assert.equal((await ask("/runs/never")).status, 404);
    assert.equal((await ask("/runs/c%2F%3Cd%3E")).status, 200);
    assert.equal((await ask("/runs/a", { method: "HEAD" })).status, 200);
    assert.equal((await ask("/runs/a/icon")).status, 404);
    assert.equal((await ask("/?after=%00&sort=x&from=y&state=z")).status, 200);
  });
});

Deno.test("files have media types, hashed ones stay, and come with an ETag", async () => {
  await withDashboard({}, async (ask) => {
    const html = await (await ask("/")).text();
    const script = /src="(\/assets\/RunTable-[^"]+)"/.exec(html)![1]!;
    const file = await ask(script);
    assert.match(file.headers.get("content-type")!, /javascript/);
    assert.match(file.headers.get("cache-control")!, /immutable/);
    const tag = file.headers.get("etag")!;
    const again = await ask(script, { headers: { "if-none-match": tag } });
    assert.equal(again.status, 304);
    assert.equal((await ask("/styles.css")).status, 200);
    assert.equal((await ask("/../deno.json")).status, 404);
    assert.equal((await ask("/%2e%2e/deno.json")).status, 404);
  });
});

Deno.test("another host name is refused without a token: DNS rebinding", async () => {
  await withDashboard({}, async (ask) => {
    const evil = await ask("/", { headers: { host: "evil.example" } });
    assert.equal(evil.status, 403);
    for (const host of ["localhost:8420", "127.0.0.1", "[::1]:9"]) {
      assert.equal((await ask("/", { headers: { host } })).status, 200, host);
    }
  });
});

Deno.test("a change needs the cookie, the token of the page and the same origin", async () => {
  await withDashboard({}, async (ask) => {
    const page = await ask("/");
    const cookie = cookieOf(page);
    const csrf = csrfOf(await page.text());
    const remove = (
      fields: Record<string, string>,
      headers: Record<string, string> = {},
    ) =>
      ask("/runs/actions", {
        method: "POST",
        headers: { cookie, host: "localhost", ...headers },
        body: new URLSearchParams({ run: "a", action: "delete", ...fields }),
      });
    const refused = [
      await remove({}),
      await remove({ csrf: "x" }),
      await remove({ csrf }, { cookie: "" }),
      await remove({ csrf }, { cookie: `${cookie}x` }),
      await remove({ csrf }, { origin: "http://evil.example" }),
      await remove({ csrf }, { "sec-fetch-site": "cross-site" }),
    ];
    assert.deepEqual(refused.map(({ status }) => status), Array(6).fill(403));
    assert.equal((await ask("/runs/a")).status, 200);
    const done = await remove({ csrf }, { origin: "http://localhost" });
    assert.deepEqual([done.status, done.headers.get("location")], [303, "/"]);
    assert.equal((await ask("/runs/a")).status, 404);
    const long = await ask("/runs/actions", {
      method: "POST",
      headers: { cookie, "x-csrf-token": csrf },
      body: new URLSearchParams({ run: "x".repeat(100_000) }),
    });
    assert.equal(long.status, 413);
    const header = await ask("/runs/actions", {
      method: "POST",
      headers: { cookie, "x-csrf-token": csrf },
      body: new URLSearchParams({ run: "b", action: "explode" }),
    });
    assert.equal(header.status, 400);
  });
});

Deno.test("with a token, nobody sees anything before signing in", async () => {
  const token = "a long enough token";
  await withDashboard({ token }, async (ask) => {
    const page = { headers: { accept: "text/html" } };
    const asked = await ask("/runs/a?node=x", page);
    assert.equal(asked.status, 303);
    assert.equal(
      asked.headers.get("location"),
      "/sign-in?to=%2Fruns%2Fa%3Fnode%3Dx",
    );
    for (const path of ["/live", "/runs/a/live", "/export?run=a"]) {
      assert.equal((await ask(path)).status, 401, path);
    }
    const wrong = await ask("/sign-in?token=nope", page);
    assert.equal(wrong.status, 401);
    assert.equal(wrong.headers.get("set-cookie"), null);
    const to = encodeURIComponent("//evil.example");
    const right = await ask(
      `/sign-in?token=${encodeURIComponent(token)}&to=${to}`,
      page,
    );
    assert.deepEqual([right.status, right.headers.get("location")], [303, "/"]);
    assert.match(right.headers.get("set-cookie")!, /HttpOnly; SameSite=Strict/);
    const cookie = cookieOf(right);
    assert.ok(!cookie.includes(token));
    const inside = await ask("/", { headers: { cookie } });
    assert.equal(inside.status, 200);
    const form = await ask("/sign-in", {
      method: "POST",
      body: new URLSearchParams({ token, to: "/latency" }),
    });
    assert.equal(form.headers.get("location"), "/latency");
  });
});

Deno.test("a stream begins where the reader stopped, and ends with the run", async () => {
  await withDashboard({}, async (ask) => {
    const cookie = cookieOf(await ask("/"));
    const all = await (await ask("/runs/a/live", { headers: { cookie } }))
      .text();
    const ids = [...all.matchAll(/^id: (\d+)$/gm)].map(([, id]) => id);
    assert.deepEqual(ids, ["0", "1", "2"]);
    const rest = await ask("/runs/a/live", {
      headers: { cookie, "last-event-id": "1" },
    });
    const text = await rest.text();
    assert.deepEqual(
      [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => id),
      ["2"],
    );
    const data = JSON.parse(/^data: (.*)$/m.exec(text)![1]!);
    assert.equal(data._tag, "RunFinished");
  });
});

Deno.test("too many files, or too large ones, are told in words of those who brought them", async () => {
  await withDashboard({}, async (ask) => {
    const page = await ask("/");
    const headers = {
      cookie: cookieOf(page),
      "x-csrf-token": csrfOf(await page.text()),
      "content-type": "application/json",
    };
    const many = await ask(`/chat/${"a".repeat(22)}/ask`, {
      method: "POST",
      headers,
      body: JSON.stringify({
        question: "Which?",
        uploads: Array(17).fill("0".repeat(64)),
        settings: {},
        seen: "",
      }),
    });
    assert.deepEqual([many.status, await many.json()], [400, {
      error: "A question has 16 files at most, and this one has 17.",
    }]);
    const large = await ask("/chat/uploads?name=a.mov", {
      method: "POST",
      headers: { ...headers, "content-length": `${2 ** 40}` },
      body: "x",
    });
    assert.deepEqual([large.status, await large.json()], [413, {
      error: "the file is larger than 128 MiB",
    }]);
  });
});
