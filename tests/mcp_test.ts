/**
 * The Model Context Protocol: over HTTP in this process, and over standard input and output as a process.
 */
import assert from "node:assert/strict";
import { fileURLToPath, pathToFileURL } from "node:url";
import { shapes, withServer } from "./serve_kit.ts";
import { tessera } from "./process_kit.ts";

const root = new URL("../", import.meta.url);
const initialize = {
  protocolVersion: "2025-06-18",
  capabilities: {},
  clientInfo: { name: "test", version: "1" },
};
const message = (id: number, method: string, params: object = {}) => ({
  jsonrpc: "2.0",
  id,
  method,
  params,
});
const call = (id: number, name: string, args: object) =>
  message(id, "tools/call", { name, arguments: args });

Deno.test("MCP over HTTP: tools are listed, answer, and say what is wrong", async () => {
  await withServer({ mcp: { version: "1.2.3" } }, async ({ url }) => {
    let session: string | undefined;
    const send = async (body: object) => {
      const response = await fetch(`${url}/mcp`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
          ...(session === undefined ? {} : {
            "mcp-session-id": session,
            "mcp-protocol-version": "2025-06-18",
          }),
        },
        body: JSON.stringify(body),
      });
      session ??= response.headers.get("mcp-session-id") ?? undefined;
      const text = await response.text();
      const data = /^data: (.*)$/m.exec(text)?.[1] ?? text;
      return data === "" ? undefined : JSON.parse(data);
    };
    const hello = await send(message(1, "initialize", initialize));
    assert.deepEqual(hello.result.serverInfo.name, "tessera");
    assert.equal(hello.result.serverInfo.version, "1.2.3");
    await send({ jsonrpc: "2.0", method: "notifications/initialized" });
    const { result } = await send(message(2, "tools/list"));
    assert.deepEqual(
      result.tools.map(({ name }: { name: string }) => name).toSorted(),
      ["ask_image", "ask_images", "ask_video", "read_text"],
    );
    const seen = await send(call(3, "ask_image", {
      image: shapes,
      question: "What is in the picture?",
    }));
    assert.match(seen.result.structuredContent.answer, /red circle/);
    const wrong = await send(call(4, "ask_image", {
      image: "http://127.0.0.1/x.png",
      question: "What is it?",
    }));
    assert.equal(wrong.result.isError, true);
    assert.match(
      wrong.result.content[0].text,
      /"image: the host 127\.0\.0\.1 is not on the public internet"/,
    );
    // By the names of the arguments, which is all that an agent knows.
    for (
      const [name, args, said] of [
        [
          "ask_images",
          { images: [shapes, "b.png"] },
          /"images\[1\]: it is neither an address, https:.* nor a data URL/,
        ],
        [
          "ask_images",
          { images: [shapes, shapes.slice(0, 60)] },
          /"images\[1\] is a damaged/,
        ],
        [
          "ask_video",
          { video: "data:video/mp4;base64,AAAA" },
          /"video: not a video/,
        ],
        [
          "ask_video",
          { video: "clip.mp4", frames: 100 },
          /"frames: at most 64/,
        ],
      ] as const
    ) {
      const { result } = await send(
        call(8, name, { question: "What?", ...args }),
      );
      assert.equal(result.isError, true);
      assert.match(result.content[0].text, said);
    }
    // Over HTTP no file of the server is read, whatever the agent calls it.
    const file = await send(call(5, "read_text", { image: "/etc/passwd" }));
    assert.equal(file.result.isError, true);
    assert.match(
      file.result.content[0].text,
      /"image: files of the server are not read/,
    );
    const page = await fetch(`${url}/mcp`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        origin: "https://evil.example",
      },
      body: JSON.stringify(message(6, "initialize", initialize)),
    });
    assert.equal(page.status, 403);
    await page.body?.cancel();
    // What begins a session is small, by whatever name the route is called.
    for (const path of ["/mcp", "/mcp/", "//mcp", "/MCP", "/%6dcp"]) {
      const large = await fetch(url + path, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
        },
        body: JSON.stringify(message(7, "initialize", {
          ...initialize,
          clientInfo: { name: "x".repeat(70_000), version: "1" },
        })),
      });
      assert.equal(large.status, 413, path);
      await large.body?.cancel();
    }
  });
});

Deno.test("MCP over HTTP: a file of an allowed folder has the name of its path, too", async () => {
  const folder = fileURLToPath(new URL("examples/images/", root));
  await withServer({
    mcp: { version: "1.2.3" },
    media: { folders: [folder] },
  }, async ({ url }) => {
    const headers: Record<string, string> = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
    };
    const send = (body: object) =>
      fetch(`${url}/mcp`, {
        method: "POST",
        headers,
        body: JSON.stringify(body),
      });
    const hello = await send(message(1, "initialize", initialize));
    headers["mcp-session-id"] = hello.headers.get("mcp-session-id")!;
    await hello.body?.cancel();
    const ask = async (image: string) => {
      const answer = await send(
        call(2, "ask_image", { image, question: "What is in the picture?" }),
      );
      const text = await answer.text();
      return JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? text).result;
    };
    const path = fileURLToPath(new URL("examples/images/shapes.png", root));
    for (const image of [path, pathToFileURL(path).href]) {
      assert.match((await ask(image)).structuredContent.answer, /red circle/);
    }
    const outside = await ask(fileURLToPath(new URL("README.md", root)));
    assert.match(
      outside.content[0].text,
      /"image: the file is not in a folder that may be read"/,
    );
    // Where the server was started says nothing to an agent elsewhere.
    const relative = await ask("shapes.png");
    assert.match(relative.content[0].text, /"image: it is neither an address/);
  });
});

Deno.test("MCP over HTTP: pages that may ask can, and read their session; it ends for good", async () => {
  for (const origins of [["*"], ["https://app.example"]]) {
    await withServer({ mcp: { version: "1" }, origins }, async ({ url }) => {
      const send = (body: object | undefined, headers: object = {}) =>
        fetch(`${url}/mcp`, {
          method: body === undefined ? "DELETE" : "POST",
          headers: {
            "content-type": "application/json",
            accept: "application/json, text/event-stream",
            origin: "https://app.example",
            ...headers,
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
      const hello = await send(message(1, "initialize", initialize));
      assert.equal(hello.status, 200);
      await hello.body?.cancel();
      assert.match(
        hello.headers.get("access-control-expose-headers")!,
        /mcp-session-id/,
      );
      const session = {
        "mcp-session-id": hello.headers.get("mcp-session-id")!,
      };
      // As it is ended when there are too many: without a word about the protocol.
      const end = await send(undefined, session);
      assert.equal(end.status, 204);
      const after = await send(message(2, "tools/list"), session);
      assert.equal(after.status, 404);
      assert.match((await after.json()).error.message, /session has ended/);
    });
  }
});

Deno.test("the process: MCP over standard input and output, and its end", async () => {
  const child = tessera(["mcp", "--store", "none"], {
    permissions: ["--allow-write"],
    cwd: new URL("examples", root),
    stdin: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  const writer = child.stdin.getWriter();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let out = "";
  const send = (body: object) =>
    writer.write(new TextEncoder().encode(`${JSON.stringify(body)}\n`));
  const answer = async (id: number | null) => {
    while (true) {
      const lines = out.split("\n");
      for (const line of lines.slice(0, -1)) {
        const parsed = JSON.parse(line);
        if (parsed.id === id) return parsed;
      }
      const { value, done } = await reader.read();
      if (done) throw new Error(`it ended: ${await errors}`);
      out += value;
    }
  };
  await send(message(1, "initialize", initialize));
  assert.equal((await answer(1)).result.serverInfo.name, "tessera");
  await send({ jsonrpc: "2.0", method: "notifications/initialized" });
  // Not even a broken message ends it.
  await writer.write(new TextEncoder().encode('this is no json\n\n{"id":\n'));
  for (const _ of [1, 2]) {
    const error = await answer(null);
    out = out.replace(`${JSON.stringify(error)}\n`, "");
    assert.equal(error.error.code, -32700);
  }
  await send(call(2, "ask_image", {
    image: "images/shapes.png",
    question: "What is in the picture?",
  }));
  assert.match((await answer(2)).result.structuredContent.answer, /red circle/);
  await send(call(3, "ask_video", {
    video: "videos/moving.mp4",
    question: "Which way does it move?",
    frames: 2,
    max_tokens: 8,
  }));
  const video = await answer(3);
  assert.ok(!video.result.isError, JSON.stringify(video));
  await send(call(4, "ask_image", {
    image: "../deno.json",
    question: "What is it?",
  }));
  const outside = await answer(4);
  assert.equal(outside.result.isError, true);
  assert.match(outside.result.content[0].text, /folder/);
  await writer.close();
  const { code } = await child.status;
  await reader.cancel();
  assert.equal(code, 0, await errors);
});
