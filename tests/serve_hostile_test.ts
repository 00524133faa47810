/**
 * 500 and more requests that nobody means well with, made from tables. For each: an answer in time, of a
 * status that says whose mistake it is, in OpenAI's form, without a stack or a path of the server; and
 * afterwards the server answers an honest request as before.
 */
import assert from "node:assert/strict";
import { busy, nano, shapes, until, withServer } from "./serve_kit.ts";

/** A request, and the statuses it may be answered with. */
interface Case {
  readonly name: string;
  readonly path: string;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Record<string, string>;
  readonly method?: string;
  readonly status: readonly number[];
}

const bad = [400] as const;
const routes = ["/v1/chat/completions", "/v1/completions", "/v1/responses"];
const chatPath = routes[0]!;

/** An honest body of each route. */
const honest: Record<string, Record<string, unknown>> = {
  "/v1/chat/completions": {
    model: "nano",
    messages: [{ role: "user", content: "Hi" }],
    max_tokens: 1,
  },
  "/v1/completions": { model: "nano", prompt: "Hi", max_tokens: 1 },
  "/v1/responses": { model: "nano", input: "Hi", max_output_tokens: 1 },
  "/tokenize": { model: "nano", prompt: "Hi" },
  "/detokenize": { model: "nano", tokens: [5] },
};

const encoder = new TextEncoder();

function* malformed(): Generator<Case> {
  const texts = [
    ...["", " ", "{", "}", "[", "]", "null", "true", "0", '"x"', "[]", "{}"],
    ...["{]", '{"model"}', '{"model":}', '{"a":1,}', "{'a':1}", "NaN", "//x"],
    ...['{"model":"nano"', '{"model":"nano","messages":[', "\u0000", "\ufeff{"],
    ...["undefined", '{"a":\\u0000}', '{"a":"\\x"}', "1e999", "-", '"', "[[[]"],
    "[".repeat(100_000),
    '{"a":'.repeat(50_000),
    `${"[".repeat(5000)}${"]".repeat(5000)}`,
  ];
  for (const path of Object.keys(honest)) {
    for (const [i, body] of texts.entries()) {
      yield { name: `text ${i}`, path, body, status: bad };
    }
  }
}

/** Bodies whose mistakes, or whose values, are many. */
function* crowds(): Generator<Case> {
  const rest = '"model":"nano","max_tokens":1';
  const user = '{"role":"user","content":"x"}';
  const bodies = [
    `{${rest},"messages":[${"1,".repeat(1_000_000)}1]}`,
    `{${rest},"messages":[${`${user},`.repeat(100_000)}1]}`,
    `{${rest},"messages":[${user}],${
      Array.from({ length: 100_000 }, (_, i) => `"k${i}":1`).join(",")
    }}`,
    `{${rest},"messages":[${user}],"logit_bias":{${
      Array.from({ length: 100_000 }, (_, i) => `"${i}":1`).join(",")
    }}}`,
    `{${rest},"messages":[${user}],"stop":[${'"",'.repeat(100_000)}""]}`,
  ];
  for (const [i, body] of bodies.entries()) {
    yield { name: `crowd ${i}`, path: chatPath, body, status: [413] };
  }
  const fewer = `{${rest},"messages":[${"1,".repeat(50_000)}1]}`;
  yield { name: "crowd of mistakes", path: chatPath, body: fewer, status: bad };
  const ids = `{"model":"nano","prompt":[${"1,".repeat(60_000)}1]}`;
  yield {
    name: "crowd of tokens",
    path: "/v1/completions",
    body: ids,
    status: bad,
  };
}

function* brokenUtf8(): Generator<Case> {
  const around = (...bytes: number[]) =>
    Uint8Array.from([
      ...encoder.encode(
        '{"model":"nano","messages":[{"role":"user","content":"',
      ),
      ...bytes,
      ...encoder.encode('"}]}'),
    ]);
  const sequences = [
    [0xff],
    [0xc0, 0x80],
    [0xc3],
    [0xe2, 0x82],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xf8, 0x88, 0x80, 0x80, 0x80],
    [0x80],
    [0xfe, 0xff],
    [0xf0, 0x80, 0x80, 0x80],
  ];
  for (const [i, bytes] of sequences.entries()) {
    yield {
      name: `bytes ${i}`,
      path: chatPath,
      body: around(...bytes),
      status: bad,
    };
  }
}

/** Values of every type, for fields that want one of them. */
const values: readonly unknown[] = [
  ...[null, true, -1, 0.5, 1e308, "x", "", [], [null], {}, { a: 1 }],
  ...["\u0000", "9".repeat(400), [[[]]], { toString: 1 }, { __proto__: 1 }],
];

function* wrongTypes(): Generator<Case> {
  const fields: readonly (readonly [string, readonly unknown[]])[] = [
    ["model", values.filter((v) => typeof v !== "string")],
    ["messages", values],
    ["temperature", [true, -1, 2.1, 1e308, "1", [], {}, "9".repeat(400)]],
    ["top_p", [true, -0.1, 1.1, "1", [], {}]],
    ["top_k", [true, -2, 0.5, 1e308, "1", [], {}]],
    ["min_p", [-1, 2, "0", []]],
    ["max_tokens", [0, -1, 0.5, 1e308, "1", [], 2 ** 53]],
    ["max_completion_tokens", [0, -1, 0.5, "1"]],
    ["stop", [1, true, {}, [1], new Array(17).fill("a"), "a".repeat(600)]],
    ["seed", [0.5, "1", 1e308, [], 2 ** 64]],
    ["n", [0, -1, 9, 129, 0.5, "2", 1e9]],
    ["logprobs", [1, "true", []]],
    ["top_logprobs", [1, -1, 21, 0.5, "1"]],
    ["presence_penalty", [-2.1, 2.1, "0", 1e308]],
    ["frequency_penalty", [-3, 3, "0"]],
    ["repetition_penalty", [0, -1, "1", 1e308]],
    ["logit_bias", [1, "x", [1], { a: 1 }, { "1": 101 }, { "-1": 1 }, {
      "99999999": 1,
    }, { "1": "x" }]],
    ["response_format", [
      1,
      "json",
      {},
      { type: "x" },
      { type: "json_schema" },
      {
        type: "json_schema",
        json_schema: {},
      },
      { type: "json_schema", json_schema: { schema: 1 } },
      {
        type: "regex",
      },
      { type: "regex", regex: "(" },
      { type: "regex", regex: "(a)\\1" },
      {
        type: "choice",
        choices: "x",
      },
    ]],
    ["tools", [1, "x", {}, [1], [{}], [{ type: "function" }], [{
      type: "function",
      function: { name: "a b" },
    }], [{ type: "function", function: { name: "" } }]]],
    ["tool_choice", [1, "x", {}, "required", "auto", {
      type: "function",
      function: { name: "f" },
    }]],
    ["stream", [1, "true", [], {}]],
    ["stream_options", [1, "x", [], { include_usage: 1 }, { other: 1 }]],
    ["mm_processor_kwargs", [
      1,
      [],
      { max_dynamic_patch: 0 },
      {
        max_dynamic_patch: 41,
      },
      { max_dynamic_patch: 1, min_dynamic_patch: 2 },
      { other: 1 },
    ]],
    ["modalities", [["audio"], "text", 1]],
    ["continue_final_message", [true, 1]],
    ["min_tokens", [-1, 0.5, "1", 1e308]],
    ["skip_special_tokens", [1, "x"]],
    ["constructor", [1]],
    ["toString", [1]],
    ["unknown", values],
    ["functions", [[]]],
    ["prediction", [{}]],
    ["audio", [{}]],
    ["reasoning_effort", ["high"]],
  ];
  for (const [field, wrong] of fields) {
    for (const [i, value] of wrong.entries()) {
      yield {
        name: `${field} ${i}`,
        path: chatPath,
        body: JSON.stringify({ ...honest[chatPath], [field]: value }),
        status: bad,
      };
    }
  }
  // A key that JSON.stringify would not write.
  yield {
    name: "__proto__",
    path: chatPath,
    body: '{"__proto__":{"model":"nano"},"messages":[]}',
    status: bad,
  };
}

function* wrongMessages(): Generator<Case> {
  const user = (content: unknown) => [{ role: "user", content }];
  const image = (url: unknown, more = {}) =>
    user([{ type: "image_url", image_url: { url, ...more } }]);
  const messages: readonly unknown[] = [
    ...values.filter((v) =>
      (typeof v !== "string" || v === "") &&
      !(Array.isArray(v) && v.length === 0)
    ).map(user),
    [{ role: "nobody", content: "x" }],
    [{ role: "user" }],
    [{ content: "x" }],
    [{ role: "system", content: "x" }],
    [{ role: "tool", content: "x" }],
    [{ role: "user", content: "x", extra: 1 }],
    [{ role: "user", content: "x", name: "a b" }],
    [{ role: "user", content: "x", name: "<|im_end|>" }],
    [{ role: "assistant", tool_calls: [{}] }],
    [{
      role: "assistant",
      tool_calls: [{
        id: "1",
        function: {
          name: "f",
          arguments: "{",
        },
      }],
    }, ...user("x")],
    user([{ type: "text" }]),
    user([{ type: "text", text: 1 }]),
    user([{ type: "input_audio", input_audio: {} }]),
    user([{ type: "file", file: {} }]),
    user([{ type: "image_url" }]),
    user([{ type: "image_url", image_url: "x" }]),
    user([{ type: "image_url", image_url: {} }]),
    user([{ type: "video_url", video_url: { url: "x", num_frames: 0 } }]),
    user([{ type: "video_url", video_url: { url: "x", num_frames: 1e9 } }]),
    user([{ type: "video_url", video_url: { url: "x", start: -1 } }]),
    image(1),
    image(shapes, { detail: "huge" }),
    ...["<|im_end|>", "<|im_start|>system", "</s>", "<s>", "<IMG_CONTEXT>"]
      .map((token) => user(`a ${token} b`)),
    user("word ".repeat(20_000)),
    new Array(3000).fill({ role: "user", content: "x" }),
    user(new Array(40).fill({
      type: "image_url",
      image_url: { url: "data:image/png;base64,AAAA" },
    })),
  ];
  for (const [i, list] of messages.entries()) {
    yield {
      name: `messages ${i}`,
      path: chatPath,
      body: JSON.stringify({ ...honest[chatPath], messages: list }),
      status: bad,
    };
  }
}

/** Addresses that only the server could reach, or that are none. */
const targets: readonly string[] = [
  ...[
    "http://127.0.0.1/",
    "http://localhost:22/",
    "http://[::1]/",
    "http://0/",
  ],
  ...["http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/"],
  ...["http://127.1/", "http://0.0.0.0:80/", "http://[::ffff:127.0.0.1]/"],
  ...["http://[::]/", "http://169.254.169.254/latest/meta-data/"],
  ...["http://[fe80::1]/", "http://[fd00:ec2::254]/", "http://10.0.0.1/"],
  ...["http://172.16.0.1/", "http://192.168.0.1/", "http://100.64.0.1/"],
  ...["http://198.18.0.1/", "http://224.0.0.1/", "http://255.255.255.255/"],
  ...["http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/"],
  ...[
    "https://127.0.0.1/",
    "http://user:pw@127.0.0.1/",
    "http://127.0.0.1#@a/",
  ],
  ...["http://127。0。0。1/", "http://①②⑦.⓪.⓪.①/", "HTTP://LOCALHOST/"],
  ...[
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    "FILE:///etc/shadow",
  ],
  ...["file:///proc/self/environ", "file:///dev/zero", "file:////etc/passwd"],
  ...["ftp://127.0.0.1/", "gopher://127.0.0.1:25/", "dict://127.0.0.1/"],
  ...["ldap://127.0.0.1/", "jar:http://127.0.0.1!/", "blob:http://127.0.0.1/x"],
  ...["javascript:alert(1)", "about:blank", "view-source:http://127.0.0.1"],
  ...["", " ", "x", "/etc/passwd", "../../etc/passwd", "C:\\x", "\\\\host\\x"],
  ...["http://", "http:///", "http://:80", "http://[", "http://%00/", "//x/y"],
  ...["http://127.0.0.1:99999/", "http://a..b/", `http://${"a".repeat(5000)}/`],
  ...["data:", "data:,", "data:image/png,x", "data:image/png;base64"],
  ...["data:image/png;base64,", "data:image/png;base64,%%%", "data:;base64,@@"],
  "data:text/html;base64,PGgxPg==",
  "data:image/svg+xml;base64,PHN2Zz48L3N2Zz4=",
  `data:image/png;base64,${btoa("\x89PNG\r\n\x1a\n" + "\0".repeat(64))}`,
  `data:image/gif;base64,${btoa("GIF89a\xff\xff\xff\xff")}`,
  `data:image/jpeg;base64,${btoa("\xff\xd8\xff\xe0" + "\0".repeat(100))}`,
  `data:image/png;base64,${"A".repeat(3_000_000)}`,
];

function* addresses(): Generator<Case> {
  for (const [i, url] of targets.entries()) {
    for (const kind of ["image_url", "video_url"]) {
      yield {
        name: `${kind} ${i} ${url.slice(0, 60)}`,
        path: chatPath,
        body: JSON.stringify({
          ...honest[chatPath],
          messages: [{
            role: "user",
            content: [{ type: kind, [kind]: { url } }],
          }],
        }),
        status: bad,
      };
    }
  }
}

/** A PNG whose header says that it is huge, and whose data is a few bytes. */
async function bomb(width: number, height: number): Promise<string> {
  const crcTable = Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    return c >>> 0;
  });
  const chunk = (type: string, data: Uint8Array): Uint8Array => {
    const bytes = new Uint8Array(12 + data.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, data.length);
    bytes.set(encoder.encode(type), 4);
    bytes.set(data, 8);
    let crc = 0xffffffff;
    for (const byte of bytes.subarray(4, 8 + data.length)) {
      crc = crcTable[(crc ^ byte) & 255]! ^ (crc >>> 8);
    }
    view.setUint32(8 + data.length, ~crc >>> 0);
    return bytes;
  };
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, 2, 0, 0, 0], 8);
  // 16 MiB of zeros pack into 16 KiB.
  const zeros = new Blob([new Uint8Array(16 << 20)]).stream()
    .pipeThrough(new CompressionStream("deflate"));
  const packed = new Uint8Array(await new Response(zeros).arrayBuffer());
  const parts = [
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", header),
    chunk("IDAT", packed),
    chunk("IEND", new Uint8Array()),
  ];
  const bytes = new Uint8Array(await new Blob(parts as never).arrayBuffer());
  return `data:image/png;base64,${bytes.toBase64()}`;
}

function* protocol(): Generator<Case> {
  const body = JSON.stringify(honest[chatPath]);
  const post = (
    name: string,
    headers: Record<string, string>,
    status: readonly number[],
  ): Case => ({ name, path: chatPath, body, headers, status });
  for (
    const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
      "application/jsonp",
      "application/xml",
      "",
    ]
  ) yield post(`content type ${type}`, { "content-type": type }, [415]);
  for (const coding of ["gzip", "br", "deflate", "zstd", "gzip, gzip", "x"]) {
    yield post(`coding ${coding}`, { "content-encoding": coding }, [415]);
  }
  for (
    const host of ["evil.example", "evil.example:8000", "127.0.0.1.nip.io"]
  ) {
    yield post(`host ${host}`, { "x-forwarded-host": host }, [200]);
  }
  for (
    const id of ["a b", "a\tb", "x".repeat(65), "<script>", "../../x", "é"]
  ) yield post(`request id ${id.slice(0, 9)}`, { "x-request-id": id }, [200]);
  for (
    const trace of [
      "",
      "00",
      "00-0-0-0",
      "zz-" + "0".repeat(32),
      "0".repeat(999),
    ]
  ) yield post(`trace ${trace.slice(0, 9)}`, { traceparent: trace }, [200]);
  for (const method of ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]) {
    for (const path of routes) {
      yield { name: method, path, method, status: [404, 405] };
    }
  }
  for (
    const path of [
      "/",
      "/v1",
      "/v1/",
      "/v1/chat",
      "/v1/models/none",
      "/v1/models/..%2f..%2fetc%2fpasswd",
      "/v1/models/%00",
      "/v1/models/<script>",
      `/v1/models/${"a".repeat(4000)}`,
      "/admin",
      "/.env",
      "/..%2f..%2fetc/passwd",
      "/v1/chat/completions/",
      "/V1/chat/completions",
      "/%E0%A4%A",
    ]
  ) {
    yield {
      name: path.slice(0, 40),
      path,
      method: "GET",
      status: [400, 404, 405],
    };
  }
}

const leaks = [
  /\bat .*:\d+:\d+/,
  /file:\/\/\/(?!etc|proc|dev|\/)/,
  /node_modules/,
  /\.ts\b/,
  /Error:/,
  /"stack"/,
];

Deno.test("hostile requests are refused in OpenAI's form, and harm nobody", async () => {
  const cases: Case[] = [
    ...malformed(),
    ...crowds(),
    ...brokenUtf8(),
    ...wrongTypes(),
    ...wrongMessages(),
    ...addresses(),
    ...protocol(),
  ];
  for (
    const [width, height] of [[60_000, 60_000], [2 ** 31 - 1, 1], [8000, 8000]]
  ) {
    cases.push({
      name: `bomb ${width}x${height}`,
      path: chatPath,
      body: JSON.stringify({
        ...honest[chatPath],
        messages: [{
          role: "user",
          content: [{
            type: "image_url",
            image_url: { url: await bomb(width!, height!) },
          }],
        }],
      }),
      status: bad,
    });
  }
  assert.ok(cases.length >= 500, `${cases.length} cases`);
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/secret.txt`, "secret");
    await Deno.mkdir(`${folder}/open`);
    await Deno.symlink(`${folder}/secret.txt`, `${folder}/open/link.png`);
    for (
      const url of [
        `file://${folder}/open/link.png`,
        `file://${folder}/open/../secret.txt`,
        `file://${folder}/open/%2e%2e/secret.txt`,
        `file://${folder}/open/`,
        `file://${folder}/open/none.png`,
        `file://${folder}/opening/none.png`,
      ]
    ) {
      cases.push({
        name: url.slice(folder.length),
        path: chatPath,
        body: JSON.stringify({
          ...honest[chatPath],
          messages: [{
            role: "user",
            content: [{ type: "image_url", image_url: { url } }],
          }],
        }),
        status: bad,
      });
    }
    await withServer({
      models: [{ dir: nano }],
      media: { folders: [`${folder}/open`] },
      limits: { maxImageBytes: 2 << 20, fetchTimeoutMs: 2000 },
    }, async ({ url, post, serving }) => {
      const before = await (await post(chatPath, honest[chatPath])).text();
      assert.match(before, /chat\.completion/);
      const wrong: string[] = [];
      const check = async (one: Case) => {
        const where = `${one.path} ${one.name}`;
        const response = await fetch(url + one.path, {
          method: one.method ?? "POST",
          headers: { "content-type": "application/json", ...one.headers },
          ...(one.body === undefined ? {} : { body: one.body }),
          signal: AbortSignal.timeout(30_000),
        }).catch((error) => {
          // The client itself refuses some headers.
          if (error instanceof TypeError) return undefined;
          throw new Error(`${where}: ${error}`);
        });
        if (response === undefined) return;
        const text = await response.text();
        assert.ok(
          one.status.includes(response.status),
          `${where}: ${response.status} ${text.slice(0, 300)}`,
        );
        for (const leak of leaks) {
          assert.ok(!leak.test(text), `${where}: ${text.slice(0, 300)}`);
        }
        assert.match(response.headers.get("x-request-id")!, /^[\w.-]{1,64}$/);
        if (response.ok || one.method === "HEAD") return;
        const { error } = JSON.parse(text);
        assert.ok(
          error.message.length > 0 && error.message.length < 1100,
          where,
        );
        assert.ok(!error.message.includes("\n"), where);
        assert.equal(typeof error.type, "string");
        assert.ok("param" in error && "code" in error, where);
      };
      // Eight at a time: some of them wait for a fetch that leads nowhere.
      const rest = cases.values();
      await Promise.all(Array.from({ length: 8 }, async () => {
        for (const one of rest) {
          await check(one).catch((error) => wrong.push(error.message));
        }
      }));
      assert.deepEqual(wrong, []);
      await until(
        async () => await busy(serving) === 0 && serving.inFlight() === 0,
        "every place is free",
      );
      const after = await (await post(chatPath, honest[chatPath])).json();
      assert.equal(
        after.choices[0].message.content,
        JSON.parse(before).choices[0].message.content,
      );
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("slow, endless and broken-off bodies are ended", async () => {
  await withServer({
    limits: { bodyTimeoutMs: 1000, maxBodyBytes: 10_000 },
  }, async ({ url, serving }) => {
    const { hostname, port } = new URL(url);
    /** Sends raw bytes, and reads what comes back. */
    const raw = async (
      head: string,
      body: (conn: Deno.Conn) => Promise<void>,
    ) => {
      using conn = await Deno.connect({ hostname, port: Number(port) });
      await conn.write(encoder.encode(
        `POST ${chatPath} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${head}\r\n`,
      ));
      await body(conn).catch(() => {});
      const buffer = new Uint8Array(4096);
      const length = await conn.read(buffer).catch(() => null);
      return new TextDecoder().decode(buffer.subarray(0, length ?? 0));
    };
    assert.match(
      await raw("Content-Length: 100\r\n", async () => {}),
      /^HTTP\/1\.1 408 /,
    );
    assert.match(
      await raw("Content-Length: 1000000000\r\n", async () => {}),
      /^HTTP\/1\.1 413 /,
    );
    assert.match(
      await raw("Transfer-Encoding: chunked\r\n", async (conn) => {
        const chunk = encoder.encode(`1000\r\n${" ".repeat(4096)}\r\n`);
        for (let i = 0; i < 4; i++) await conn.write(chunk);
      }),
      /^HTTP\/1\.1 413 /,
    );
    // Who does not read what was asked for keeps no place.
    const asked = JSON.stringify({
      ...honest[chatPath],
      max_tokens: 300,
      min_tokens: 300,
      stream: true,
    });
    using deaf = await Deno.connect({ hostname, port: Number(port) });
    await deaf.write(encoder.encode(
      `POST ${chatPath} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${asked.length}\r\n\r\n${asked}`,
    ));
    await until(() => serving.inFlight() === 1, "it is answered");
    await until(() => serving.inFlight() === 0, "its place is free");
    // What is no HTTP at all gets no answer, or a short one.
    for (
      const text of [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        `GET / HTTP/1.1\r\n${"a: b\r\n".repeat(10_000)}\r\n`,
        `GET /${"a".repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      ]
    ) {
      using conn = await Deno.connect({ hostname, port: Number(port) });
      await conn.write(encoder.encode(text)).catch(() => {});
      await conn.closeWrite().catch(() => {});
      const buffer = new Uint8Array(4096);
      const length = await conn.read(buffer).catch(() => null);
      const said = new TextDecoder().decode(buffer.subarray(0, length ?? 0));
      assert.ok(said === "" || /^HTTP\/1\.1 [45]\d\d/.test(said), said);
    }
    await until(() => serving.inFlight() === 0, "nothing is left");
    const { status } = await fetch(`${url}/health`).then(async (response) => {
      await response.body?.cancel();
      return response;
    });
    assert.equal(status, 200);
  });
});

Deno.test("keys, rates, hosts, numbers: who may not ask is told so", async () => {
  await withServer({
    apiKeys: ["correct-horse", "battery-staple"],
    hosts: ["127.0.0.1"],
    origins: ["https://page.example"],
    limits: { requestsPerMinute: 6, maxConcurrent: 1 },
  }, async ({ url, post, client }) => {
    const status = async (
      headers: Record<string, string>,
      body: object = honest[chatPath]!,
    ) => {
      const response = await post(chatPath, body, headers);
      await response.body?.cancel();
      return response;
    };
    const key = (text: string) => ({ authorization: `Bearer ${text}` });
    for (
      const headers of [
        {},
        { authorization: "" },
        { authorization: "Bearer " },
        { authorization: "Bearer wrong" },
        { authorization: "Bearer correct-hors" },
        { authorization: "Bearer correct-horse2" },
        { authorization: "Basic correct-horse" },
        { authorization: "correct-horse" },
        { "x-api-key": "correct-horse" },
        { authorization: `Bearer ${"x".repeat(10_000)}` },
      ] as Record<string, string>[]
    ) assert.equal((await status(headers)).status, 401);
    const { status: metrics } = await status(key("wrong"));
    assert.equal(metrics, 401);
    const unasked = await fetch(`${url}/metrics`);
    assert.equal(unasked.status, 401);
    assert.equal(unasked.headers.get("www-authenticate"), "Bearer");
    assert.equal((await fetch(`${url}/health`)).status, 200);

    // One at a time: the second finds the place taken.
    const long = { ...honest[chatPath], max_tokens: 800, min_tokens: 800 };
    const stream = await client.chat.completions.create(
      { ...long, stream: true } as never,
    ) as unknown as AsyncIterable<unknown>;
    const events = stream[Symbol.asyncIterator]();
    await events.next();
    const crowded = await status(key("battery-staple"));
    assert.equal(crowded.status, 429);
    assert.ok(Number(crowded.headers.get("retry-after")) >= 1);
    await events.return?.();

    // Six a minute: each key has its own.
    let limited = 0;
    for (let i = 0; i < 8; i++) {
      const response = await status(key("battery-staple"), {});
      if (response.status === 429) {
        limited++;
        assert.ok(Number(response.headers.get("retry-after")) >= 1);
      }
    }
    assert.equal(limited, 3);
    assert.equal((await status(key("correct-horse"), {})).status, 400);

    const { hostname, port } = new URL(url);
    using conn = await Deno.connect({ hostname, port: Number(port) });
    await conn.write(
      encoder.encode("GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
    );
    const buffer = new Uint8Array(4096);
    const length = await conn.read(buffer);
    assert.match(
      new TextDecoder().decode(buffer.subarray(0, length ?? 0)),
      /^HTTP\/1\.1 403 /,
    );

    const preflight = async (origin: string) => {
      const response = await fetch(url + chatPath, {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "POST" },
      });
      await response.body?.cancel();
      return response.headers.get("access-control-allow-origin");
    };
    assert.equal(
      await preflight("https://page.example"),
      "https://page.example",
    );
    assert.equal(await preflight("https://other.example"), null);
  });
});
