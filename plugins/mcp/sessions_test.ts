import assert from "node:assert/strict";
import { boundSessions } from "./sessions.ts";

const info = { began: 0, id: "", endpoint: "/mcp", caller: "", owner: "" };
const url = "http://127.0.0.1/mcp";

/** A route that keeps sessions until they are deleted, as Effect's does. */
function route() {
  const open = new Set<string>();
  let made = 0;
  return {
    open,
    inner: (request: Request) => {
      const id = request.headers.get("mcp-session-id");
      if (request.method === "DELETE") {
        return Promise.resolve(
          new Response(null, { status: open.delete(id!) ? 204 : 404 }),
        );
      }
      if (id !== null) return Promise.resolve(Response.json({ id }));
      const name = `s${made++}`;
      open.add(name);
      return Promise.resolve(
        Response.json({}, { headers: { "mcp-session-id": name } }),
      );
    },
  };
}

Deno.test("the least recently used session of too many is ended", async () => {
  const { open, inner } = route();
  const handle = boundSessions(inner, { most: 2 });
  const begin = () =>
    handle(new Request(url, { method: "POST", body: "{}" }), info);
  const use = (id: string, method = "POST") =>
    handle(
      new Request(url, {
        method,
        headers: { "mcp-session-id": id },
        ...(method === "POST" ? { body: "{}" } : {}),
      }),
      info,
    );
  await begin();
  await begin();
  await use("s0");
  await begin();
  assert.deepEqual([...open], ["s0", "s2"]);
  // One that its client ends makes room; a name that is not known takes none.
  await use("s2", "DELETE");
  await use("somebody else's");
  await begin();
  assert.deepEqual([...open], ["s0", "s3"]);
});

Deno.test("a refusal without words is given some; what the route says itself stays", async () => {
  const answering = (response: Response) =>
    boundSessions(() => Promise.resolve(response))(new Request(url), info);
  for (const status of [400, 403, 404, 405, 406]) {
    const said = await answering(
      new Response(null, { status, headers: { allow: "POST, DELETE" } }),
    );
    assert.equal(said.status, status);
    assert.equal(said.headers.get("allow"), "POST, DELETE");
    assert.match((await said.json()).error.message, /\w/);
  }
  const own = Response.json({ error: { message: "mine" } }, { status: 400 });
  assert.equal((await (await answering(own)).json()).error.message, "mine");
  assert.equal(
    (await answering(new Response(null, { status: 202 }))).body,
    null,
  );
});

Deno.test("what begins a session is small; other routes are left alone", async () => {
  const { open, inner } = route();
  const handle = boundSessions(inner, { largest: 100 });
  const post = (length: number, endpoint = "/mcp", headers = {}) =>
    handle(
      new Request(url, { method: "POST", body: "x".repeat(length), headers }),
      { ...info, endpoint },
    );
  const large = await post(101);
  assert.equal(large.status, 413);
  assert.match((await large.json()).error.message, /longer than 100 bytes/);
  assert.equal(open.size, 0);
  assert.equal((await post(100)).status, 200);
  assert.equal(
    (await post(101, "/mcp", { "mcp-session-id": "s0" })).status,
    200,
  );
  assert.equal((await post(101, "/v1/chat/completions")).status, 200);
});
