/**
 * The access log: what it says of requests, and what it does not.
 */
import assert from "node:assert/strict";
import { type AccessEntry, accessWords } from "../mod.ts";
import { startServer } from "./process_kit.ts";
import { until, withServer } from "./serve_kit.ts";

const key = "a-key-that-nobody-logs";

Deno.test("the access log: one entry a request, when it is over, without keys and words", async () => {
  const entries: AccessEntry[] = [];
  await withServer({
    apiKeys: [key],
    onAccess: (entry) => entries.push(entry),
  }, async ({ client, post, url }) => {
    const next = async (): Promise<AccessEntry> => {
      await until(() => entries.length > 0, "an entry");
      return entries.shift()!;
    };
    const ask = {
      model: "nano",
      messages: [{ role: "user" as const, content: "secret words" }],
      max_tokens: 4,
      min_tokens: 4,
    };
    const { response } = await client.chat.completions.create(ask)
      .withResponse();
    const whole = await next();
    assert.equal(whole.method, "POST");
    assert.equal(whole.path, "/v1/chat/completions");
    assert.equal(whole.status, 200);
    assert.equal(whole.model, "nano");
    assert.equal(whole.completionTokens, 4);
    assert.ok(whole.promptTokens! > 4 && whole.ms > 0);
    assert.equal(whole.request, response.headers.get("x-request-id"));
    assert.match(whole.caller, /^key-[0-9a-f]{8}$/);
    assert.ok(Math.abs(Date.parse(whole.time) - Date.now()) < 600_000);

    // A stream is over when its last byte is; all answers are counted.
    const stream = await client.chat.completions.create({
      ...ask,
      n: 2,
      stream: true,
    });
    for await (const _ of stream);
    const streamed = await next();
    assert.deepEqual([streamed.status, streamed.completionTokens], [200, 8]);

    const stop = new AbortController();
    const left = await client.chat.completions.create({
      ...ask,
      max_tokens: 2000,
      min_tokens: 2000,
      stream: true,
    } as never, { signal: stop.signal }) as unknown as AsyncIterable<unknown>;
    for await (const _ of left) break;
    assert.equal(entries.length, 0);
    stop.abort();
    const gone = await next();
    assert.deepEqual([gone.status, gone.completionTokens], [499, undefined]);

    // Who may not ask is nobody; what is asked behind `?` is left out.
    const refused = await fetch(`${url}/v1/models?q=secret`, {
      headers: { authorization: "Bearer another-secret" },
    });
    await refused.body?.cancel();
    const stranger = await next();
    assert.deepEqual(
      [stranger.status, stranger.caller, stranger.path],
      [401, "", "/v1/models"],
    );
    const mistaken = await post("/v1/chat/completions", "{", {
      authorization: `Bearer ${key}`,
    });
    await mistaken.body?.cancel();
    assert.equal((await next()).status, 400);
    const said = JSON.stringify([whole, streamed, gone, stranger]) +
      accessWords(whole) + accessWords(stranger);
    assert.ok(!said.includes("secret") && !said.includes(key), said);
  });
});

Deno.test("the process: --log json writes objects, and nothing for a probe that goes well", async () => {
  const { line, child, end } = await startServer(["--log", "json"]);
  for (const path of ["/health", "/v1/models"]) {
    const response = await fetch(line.url.replace(/\/v1$/, "") + path);
    await response.text();
  }
  child.kill("SIGTERM");
  const { said } = await end();
  const logged = said.split("\n").filter((text) => text.startsWith("{"))
    .map((text) => JSON.parse(text) as AccessEntry);
  assert.deepEqual(logged.map(({ path }) => path), ["/v1/models"]);
  assert.equal(logged[0]!.caller, "127.0.0.1");
});
