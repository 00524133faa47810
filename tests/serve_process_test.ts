/**
 * `tessera serve` as a process: what it prints, and how it ends.
 */
import assert from "node:assert/strict";
import { startServer } from "./process_kit.ts";

Deno.test("the process: serve takes requests, lets a running one end on Ctrl-C, and leaves", async () => {
  const { line, child, end } = await startServer([
    "--api-key",
    "a-key-of-mine",
  ]);
  const { url, models } = line;
  assert.deepEqual(models, ["nano"]);
  const ask = (maxTokens: number, key: string) =>
    fetch(`${url}/chat/completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${key}`,
      },
      body: JSON.stringify({
        model: "nano",
        messages: [{ role: "user", content: "Hello!" }],
        stream: true,
        max_tokens: maxTokens,
        min_tokens: maxTokens,
      }),
    });
  const refused = await ask(1, "another-key");
  assert.equal(refused.status, 401);
  await refused.body?.cancel();
  // The headers are here when the first token is.
  const running = await ask(100, "a-key-of-mine");
  assert.equal(running.status, 200);
  child.kill("SIGINT");
  const text = await running.text();
  assert.ok(text.endsWith("data: [DONE]\n\n"), text.slice(-200));
  const { code, said } = await end();
  assert.equal(code, 130);
  assert.match(said, /serving nano on http:\/\/127\.0\.0\.1/);
  assert.ok(!said.includes("a-key-of-mine"), said);
});

Deno.test("the process: --dashboard shows requests, and its chat page asks the server's model", async () => {
  const { line, child, end } = await startServer([
    "--dashboard",
    "--dashboard-port=0",
  ]);
  try {
    const dashboard = String(line.dashboard).replace(/\/$/, "");
    const reused = async () => {
      const text = await (await fetch(
        `${line.url.replace(/\/v1$/, "")}/metrics`,
      )).text();
      const hits = /^tessera_prefix_cache_hits\{[^}]*\} (\d+)$/m.exec(text);
      return Number(hits![1]);
    };
    const answer = await fetch(`${line.url}/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        model: "nano",
        messages: [{ role: "user", content: "Hello!" }],
        max_tokens: 4,
      }),
    });
    assert.equal(answer.status, 200);
    await answer.body?.cancel();
    const runs = await fetch(`${dashboard}/`);
    assert.equal(runs.status, 200);
    assert.equal((await runs.text()).match(/data-run="/g)?.length, 1);

    assert.equal(await reused(), 0);
    const first = await fetch(`${dashboard}/chat`);
    assert.equal(first.status, 200);
    const csrf = /name="csrf" content="([^"]+)"/.exec(await first.text())![1]!;
    const form = new FormData();
    form.append("question", "Hello!");
    const asked = await fetch(
      `${first.url}/ask?csrf=${encodeURIComponent(csrf)}`,
      {
        method: "POST",
        body: form,
        headers: { cookie: first.headers.get("set-cookie")!.split(";")[0]! },
        redirect: "manual",
      },
    );
    await asked.body?.cancel();
    assert.equal(asked.status, 303);
    const events = await (await fetch(`${first.url}/events`)).text();
    assert.match(events, /event: end/);
    // The same engine: it has found the prompt of the request before.
    assert.equal(await reused(), 1);
  } finally {
    child.kill("SIGINT");
  }
  const { code, said } = await end();
  assert.equal(code, 130, said);
  assert.equal(said.match(/: loading nano/g)?.length, 1, said);
});
