/**
 * A server under clients of every kind for a long time: `deno task test:soak:serve [--minutes N]`.
 * Clients ask, stream, leave in the middle, send nonsense and vanish. At the end no place may be lost, an
 * answer must be what it was at the beginning, and memory must be flat: at most 5 % above what it was after
 * the first quarter. It is measured after a collection: by itself the process grows until V8 finds one worth
 * its while, which takes minutes, and shrinks by as much.
 * @module
 */
import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { startServer } from "../process_kit.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: { minutes: { type: "string", default: "20" } },
});
const minutes = Number(values.minutes);
assert.ok(minutes > 0, "--minutes must be a number above 0");

const root = new URL("../../", import.meta.url);
const picture = Deno.readFileSync(new URL("examples/images/shapes.png", root))
  .toBase64();
const inspector = Promise.withResolvers<string>();
let heard = "";
const { line: { url, port }, child, end: ended } = await startServer(
  ["--max-concurrent", "24", "--log", "none"],
  {
    options: ["--inspect=127.0.0.1:0"],
    onSaid: (part) => {
      if (!/debugger/i.test(part)) console.error(part.trimEnd());
      heard = (heard + part).slice(-1000);
      const found = /ws:\/\/127\.0\.0\.1\S+/.exec(heard);
      if (found !== null) inspector.resolve(found[0]);
    },
  },
);
const base = url.replace(/\/v1$/, "");

/** One gauge or counter of the server. */
async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${base}/metrics`)).text();
  const line = text.split("\n").find((line) =>
    line.startsWith(`${name} `) || line.startsWith(`${name}{`)
  );
  return Number(line?.split(" ").at(-1) ?? 0);
}

/** Has the server's V8 collect what it can; the bytes that are left in its heap. */
async function collect(): Promise<number> {
  const socket = new WebSocket(await inspector.promise);
  const answers = new Map<number, (result: { usedSize: number }) => void>();
  socket.onmessage = ({ data }) => {
    const { id, result } = JSON.parse(data);
    answers.get(id)?.(result);
  };
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error("the inspector does not answer"));
  });
  const call = (id: number, method: string) =>
    new Promise<{ usedSize: number }>((resolve) => {
      answers.set(id, resolve);
      socket.send(JSON.stringify({ id, method }));
    });
  await call(1, "HeapProfiler.collectGarbage");
  const { usedSize } = await call(2, "Runtime.getHeapUsage");
  socket.close();
  return usedSize;
}

const body = (more: object) => ({
  model: "nano",
  messages: [{ role: "user", content: "Hello!" }],
  max_tokens: 16,
  ...more,
});
const post = (value: unknown, signal?: AbortSignal) =>
  fetch(`${url}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof value === "string" ? value : JSON.stringify(value),
    ...(signal === undefined ? {} : { signal }),
  });
const withPicture = (question: string) => ({
  messages: [{
    role: "user",
    content: [
      {
        type: "image_url",
        image_url: { url: `data:image/png;base64,${picture}` },
      },
      { type: "text", text: question },
    ],
  }],
});
const fixed = async (): Promise<string> => {
  const answer = await post(body(withPicture("What is in the picture?")));
  assert.equal(answer.status, 200);
  return (await answer.json()).choices[0].message.content;
};

const counts: Record<string, number> = {};
const client: Record<string, () => Promise<unknown>> = {
  plain: async () => (await post(body({}))).text(),
  drawn: async () =>
    (await post(body({ temperature: 1.5, n: 2, seed: 1 }))).text(),
  picture: async () =>
    (await post(body(withPicture(`Question ${Math.random()}?`)))).text(),
  stream: async () => (await post(body({ stream: true }))).text(),
  json: async () =>
    (await post(body({ response_format: { type: "json_object" } }))).text(),
  leaves: async () => {
    const stop = new AbortController();
    const answer = await post(
      body({ stream: true, max_tokens: 400, min_tokens: 400 }),
      stop.signal,
    );
    const parts = answer.body!.getReader();
    for (let i = 0; i < 3; i++) await parts.read();
    stop.abort();
    await parts.cancel().catch(() => {});
  },
  vanishes: async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(), Math.random() * 200);
    const answer = await post(
      body({ max_tokens: 400, min_tokens: 400 }),
      stop.signal,
    );
    await answer.text();
  },
  nonsense: async () => (await post('{"model":')).text(),
  breaksOff: async () => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(new TextEncoder().encode(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n" +
        "Content-Type: application/json\r\nContent-Length: 999\r\n\r\n{",
    ));
    await new Promise((resolve) => setTimeout(resolve, 10));
    conn.close();
  },
};
const kinds = Object.keys(client);

const first = await fixed();
// As much at once as these clients can ask for: the cache of keys and values grows to it, whenever it comes.
const CLIENTS = 12;
await Promise.all(
  Array.from({ length: CLIENTS }, async () => {
    const most = { n: 2, temperature: 1.5, max_tokens: 400, min_tokens: 400 };
    await (await post(body(most))).text();
    await client.picture!();
  }),
);
const start = performance.now();
const end = start + minutes * 60_000;
const memory: number[] = [];
const heap: number[] = [];
const watch = async () => {
  const every = Math.max(1000, minutes * 60_000 / 40);
  for (let next = start + every; next < end; next += every) {
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(0, next - performance.now()))
    );
    heap.push(await collect());
    memory.push(await metric("tessera_process_resident_bytes"));
  }
};
const watched = watch();
await Promise.all(Array.from({ length: CLIENTS }, async () => {
  while (performance.now() < end) {
    const kind = kinds[Math.floor(Math.random() * kinds.length)]!;
    counts[kind] = (counts[kind] ?? 0) + 1;
    await client[kind]!().catch((error) => {
      if (!["AbortError"].includes(error.name)) throw error;
    });
  }
}));
await watched;
for (let tries = 0;; tries++) {
  const left = await metric("tessera_requests_in_flight") +
    await metric("tessera_engine_running") +
    await metric("tessera_engine_waiting");
  if (left === 0) break;
  assert.ok(tries < 100, `${left} places are lost`);
  await new Promise((resolve) => setTimeout(resolve, 100));
}
const last = await fixed();
child.kill("SIGTERM");
const { code } = await ended();

const mib = (bytes: number) => Math.round(bytes / 2 ** 20);
const mean = (list: readonly number[]) =>
  list.reduce((sum, value) => sum + value, 0) / list.length;
/** How much more there is in the last quarter than in the second. */
const growthOf = (list: readonly number[]) => {
  const quarter = Math.floor(list.length / 4);
  return mean(list.slice(-quarter)) /
      mean(list.slice(quarter, 2 * quarter)) - 1;
};
const growth = growthOf(memory);
const heapGrowth = growthOf(heap);
console.log(
  JSON.stringify({
    minutes,
    requests: counts,
    residentMiB: memory.map(mib),
    heapMiB: heap.map(mib),
    growth,
    heapGrowth,
    exitCode: code,
  }),
);
assert.equal(last, first, "the answer changed");
assert.equal(code, 130, "the server ended by itself");
assert.ok(growth < 0.05, "memory grew by more than 5 %");
assert.ok(heapGrowth < 0.05, "V8's heap grew by more than 5 %");
