/**
 * `tessera serve` as a process: what it prints, and how it ends.
 */
import assert from "node:assert/strict";

const root = new URL("../", import.meta.url);

Deno.test("the process: serve takes requests, lets a running one end on Ctrl-C, and leaves", async () => {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--no-prompt",
      "--config",
      new URL("deno.json", root).pathname,
      "--allow-read",
      "--allow-env",
      "--allow-ffi",
      "--allow-sys",
      "--allow-net=127.0.0.1",
      new URL("cli.ts", root).pathname,
      ...["serve", "--port", "0", "--store", "none", "--json"],
      ...["--api-key", "a-key-of-mine"],
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", TESSERA_CWD: "" },
  }).spawn();
  const errors = new Response(child.stderr).text();
  const reader = child.stdout.getReader();
  let out = "";
  while (!out.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`it ended: ${await errors}`);
    out += new TextDecoder().decode(value);
  }
  const { url, models } = JSON.parse(out);
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
  await reader.cancel();
  const { code } = await child.status;
  assert.equal(code, 130);
  const said = await errors;
  assert.match(said, /serving nano on http:\/\/127\.0\.0\.1/);
  assert.ok(!said.includes("a-key-of-mine"), said);
});
