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
    // The words that clients know a wrong key by.
    const { error } = await refused.json();
    assert.deepEqual([error.code, error.message], [
      "invalid_api_key",
      "Incorrect API key provided",
    ]);
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

Deno.test("metrics count every request once, also those that no route takes", async () => {
  await withServer({ apiKeys: [key] }, async ({ serving, url, post }) => {
    const authorization = `Bearer ${key}`;
    const counted = async () => {
      const answer = await fetch(`${url}/metrics`, {
        headers: { authorization },
      });
      const text = await answer.text();
      return Object.fromEntries(
        [...text.matchAll(
          /^tessera_requests_total\{(?=[^}]*endpoint="([^"]*)")(?=[^}]*status="(\d+)")[^}]*\} (\d+)$/gm,
        )].map(([, endpoint, status, count]) => [
          `${endpoint} ${status}`,
          Number(count),
        ]),
      );
    };
    const before = await counted();
    const chat = "/v1/chat/completions";
    const messages = [{ role: "user", content: "Hello!" }];
    const asked = { model: "nano", messages, max_tokens: 1 };
    for (
      const [path, body, headers] of [
        [chat, asked, { authorization }],
        [chat, asked, {}],
        [chat, "{", { authorization }],
        [chat, { ...asked, temperature: 9 }, { authorization }],
        [chat, { ...asked, model: "none" }, { authorization }],
        [chat, asked, { authorization, "content-type": "text/plain" }],
        ["/v1/embeddings", asked, { authorization }],
        ["/v1/rerank", asked, { authorization }],
      ] as const
    ) await (await post(path, body, headers)).body?.cancel();
    const wrong = await fetch(url + chat, { headers: { authorization } });
    await wrong.body?.cancel();
    const stop = new AbortController();
    const left = assert.rejects(
      fetch(url + chat, {
        method: "POST",
        headers: { authorization, "content-type": "application/json" },
        body: JSON.stringify({ ...asked, max_tokens: 3000, min_tokens: 3000 }),
        signal: stop.signal,
      }),
    );
    await until(() => serving.inFlight() > 0, "it runs");
    stop.abort();
    await left;
    await until(
      async () => (await counted())[`${chat} 499`] !== undefined,
      "it is over",
    );
    const after = await counted();
    const added = Object.entries(after).flatMap(([name, count]) => {
      const more = count - (before[name] ?? 0);
      return more === 0 ? [] : [`${name} × ${more}`];
    });
    assert.deepEqual(added.toSorted(), [
      "/v1/chat/completions 200 × 1",
      "/v1/chat/completions 400 × 2",
      "/v1/chat/completions 401 × 1",
      "/v1/chat/completions 404 × 1",
      "/v1/chat/completions 405 × 1",
      "/v1/chat/completions 415 × 1",
      "/v1/chat/completions 499 × 1",
      "other 404 × 2",
    ]);
  });
});
