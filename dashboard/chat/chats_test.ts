import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { Effect } from "effect";
import { InternVL } from "../../sdk/mod.ts";
import { noSettings, withLost } from "../../components/chat.ts";
import { makeSqliteStore } from "../../plugins/sqlite/mod.ts";
import { makeSite } from "../browser_kit.ts";
import { picture, slowModel, video } from "./chats_kit.ts";
import { Chats, newChatId, StaleError } from "./chats.ts";
import { askOptions, ChatError, readSettings } from "./settings.ts";
import { chatStream, readPosition } from "./stream.ts";
import { lookAt, UploadError, Uploads } from "./uploads.ts";

const bytesOf = async (path: string) => new Uint8Array(await readFile(path));

Deno.test("uploads: pictures and videos by their content, bounded, gone at the end", async () => {
  const uploads = new Uploads({ pictures: 20_000, videos: 1 << 20 });
  const png = await bytesOf(picture);
  const upload = await uploads.put(png);
  assert.deepEqual([upload.kind, upload.type], ["image", "image/png"]);
  assert.deepEqual(uploads.picture(upload.digest), {
    name: "picture",
    bytes: png,
  });
  assert.deepEqual(await uploads.put(png), upload);
  // A name stands in messages of one line.
  const odd = await uploads.put(png, "../a\nb\u202e.png");
  assert.equal(odd.name, "../a b .png");
  const film = await uploads.put(await bytesOf(video));
  const { source: file, name } = uploads.video(film.digest)!;
  assert.ok(file.endsWith(film.digest));
  assert.equal(name, "video");
  const text = (words: string) => new TextEncoder().encode(words);
  for (
    const odd of [
      text(""),
      text("hello"),
      text('<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>'),
      text("<!doctype html><script>alert(1)</script>"),
      text("%PDF-1.7"),
      new Uint8Array(100),
    ]
  ) {
    assert.throws(() => lookAt(odd), UploadError);
    await assert.rejects(uploads.put(odd), UploadError);
  }
  // The longest unused goes.
  const large = new Uint8Array(20_000);
  large.set(png.subarray(0, 16));
  await uploads.put(large);
  assert.equal(uploads.get(upload.digest), undefined);
  await uploads.close();
  await assert.rejects(Deno.stat(file), Deno.errors.NotFound);
});

Deno.test("settings: numbers in range, by name where they are not", () => {
  const settings = readSettings((name) =>
    ({
      maxNewTokens: " 8 ",
      temperature: "0.5",
      doSample: "on",
      evil: "x",
      topK: {},
    } as Record<string, unknown>)[name]
  );
  assert.deepEqual(askOptions(settings), {
    generation: { maxNewTokens: 8, doSample: true, temperature: 0.5 },
  });
  for (
    const [wrong, words] of [
      [{ maxNewTokens: "many" }, /Tokens at most: "many"/],
      [{ topP: "2" }, /Top p: "2"/],
      [{ maxTiles: "1.5" }, /Tiles at most: "1.5" is no whole number/],
      [{ seed: "1e400" }, /Seed/],
    ] as const
  ) {
    assert.throws(
      () => askOptions({ ...noSettings, ...wrong }),
      (error) => error instanceof ChatError && words.test(error.message),
    );
  }
});

Deno.test("a conversation: changes as they come, late listeners, stop, what cannot be asked", async () => {
  const uploads = new Uploads();
  const chats = new Chats(() => Promise.resolve(slowModel(1000, 1)), uploads);
  const id = newChatId();
  const ask = { question: "Go on", uploads: [], settings: noSettings };
  assert.throws(() => chats.ask(id, { ...ask, question: "  " }), ChatError);
  assert.throws(
    () => chats.ask(id, { ...ask, uploads: ["0".repeat(64)] }),
    /no longer here/,
  );
  chats.ask(id, ask);
  assert.throws(() => chats.ask(id, ask), /still being answered/);
  const first: number[] = [];
  const over = Promise.withResolvers<void>();
  await new Promise<void>((resolve) =>
    chats.listen(id, 0, (change, seq) => {
      first.push(seq);
      if (change === undefined) over.resolve();
      else if (change.type === "text") resolve();
    })
  );
  const seen = first.at(-1)!;
  const late: number[] = [];
  chats.listen(id, seen - 1, (_, seq) => late.push(seq));
  assert.equal(late[0], seen);
  assert.equal(chats.stop(id), true);
  await over.promise;
  assert.equal(chats.stop(id), false);
  const [round] = chats.view(id).rounds;
  assert.deepEqual(withLost([round!]), [round]);
  const [lost] = withLost([{ ...round!, status: "running" }]);
  assert.deepEqual([lost!.status, lost!.answer, lost!.states], [
    "lost",
    round!.answer,
    {},
  ]);
  assert.equal(round!.status, "interrupted");
  assert.match(round!.answer, /^word0/);
  assert.equal(round!.states.decode?.status, "running");
  // A stopped round is not remembered, but the conversation goes on, for those who know of it.
  for (const seen of ["", crypto.randomUUID()]) {
    assert.throws(() => chats.ask(id, { ...ask, seen }), StaleError);
  }
  chats.ask(id, { ...ask, seen: round!.id });
  await chats.close();
  assert.equal(chats.view(id).rounds.length, 2);
  await uploads.close();
});

Deno.test("what the page does not explain is told to the server's log, and nothing else", async () => {
  const uploads = new Uploads();
  const told: unknown[] = [];
  const failed = async (error: unknown) => {
    const chats = new Chats(
      () => Promise.reject(error),
      uploads,
      (error, id) => told.push(error, id),
    );
    const id = newChatId();
    chats.ask(id, { question: "Hi", uploads: [], settings: noSettings });
    await new Promise<void>((resolve) =>
      chats.listen(id, 0, (change) => change === undefined && resolve())
    );
    return { id, error: chats.view(id).rounds[0]!.error };
  };
  const defect = new TypeError("x is undefined");
  const unknown = await failed(defect);
  assert.match(unknown.error!, /the server's log says why/);
  assert.deepEqual(told, [defect, unknown.id]);
  const known = await failed(new ChatError("no such thing"));
  assert.equal(known.error, "no such thing");
  await failed(new DOMException("stopped", "AbortError"));
  assert.equal(told.length, 2);
  await uploads.close();
});

Deno.test("the stream: who knows another round than the last is told all of them first", async () => {
  const uploads = new Uploads();
  const chats = new Chats(() => Promise.resolve(slowModel(2, 1)), uploads);
  const id = newChatId();
  const read = async (after: string) => {
    const stream = chatStream(chats, id, readPosition(after));
    const text = await new Response(stream).text();
    return [...text.matchAll(/^event: (\w+)$/gm)].map(([, type]) => type);
  };
  // As a server that was started anew.
  assert.deepEqual(await read("other.3"), ["chat", "end"]);
  const ask = { question: "Go on", uploads: [], settings: noSettings };
  const first = chats.ask(id, ask);
  const whole = await read(`${first.id}.0`);
  assert.deepEqual([...new Set(whole)], ["change", "end"]);
  const second = chats.ask(id, ask);
  // Changes of the second are none of the first.
  const late = await read(`${first.id}.2`);
  assert.deepEqual([...new Set(late)], ["chat", "change", "end"]);
  assert.deepEqual(await read(`${second.id}.${whole.length - 1}`), ["end"]);
  assert.deepEqual(await read("nonsense"), ["chat", "end"]);
  await chats.close();
  await uploads.close();
});

Deno.test("without scripts: a form with a picture, two rounds, wrong input; without the page's token nothing", async () => {
  await Effect.runPromise(Effect.scoped(Effect.gen(function* () {
    const store = yield* makeSqliteStore({ filename: ":memory:" });
    const model = yield* Effect.acquireRelease(
      Effect.promise(() => InternVL.load("models/nano", { store })),
      (model) => Effect.promise(async () => await model[Symbol.asyncDispose]()),
    );
    const { base, services } = yield* makeSite({
      load: () => Promise.resolve(model),
    });
    yield* Effect.promise(async () => {
      const id = newChatId();
      const page = await fetch(`${base}/chat/${id}`);
      const csrf = /name="csrf" content="([^"]+)"/.exec(await page.text())![1]!;
      const cookie = page.headers.get("set-cookie")!.split(";")[0]!;
      const post = async (
        fields: Record<string, string | Blob | readonly File[]>,
        token = csrf,
      ) => {
        const form = new FormData();
        for (const [name, value] of Object.entries(fields)) {
          for (const one of Array.isArray(value) ? value : [value]) {
            form.append(name, one);
          }
        }
        const response = await fetch(
          `${base}/chat/${id}/ask?csrf=${encodeURIComponent(token)}`,
          {
            method: "POST",
            body: form,
            headers: { cookie },
            redirect: "manual",
          },
        );
        await response.body?.cancel();
        return response;
      };
      const ended = async () => {
        const round = services.chats.view(id).rounds.at(-1)!.id;
        const response = await fetch(
          `${base}/chat/${id}/events?after=${round}.0`,
        );
        assert.equal(response.headers.get("x-accel-buffering"), "no");
        return await response.text();
      };
      assert.equal((await post({ question: "Hi" }, "wrong")).status, 403);
      const files = new Blob([await bytesOf(picture)]);
      const asked = await post({ question: "What is in the picture?", files });
      assert.equal(asked.status, 303);
      const stream = await ended();
      assert.match(stream, /event: change\ndata: {"type":"started"/);
      assert.match(stream, /event: end/);
      assert.ok(!stream.includes("data:image"));
      await post({
        question: "How many shapes are there?",
        maxNewTokens: "12",
      });
      await ended();
      const { rounds, settings } = services.chats.view(id);
      assert.deepEqual(rounds.map(({ status }) => status), [
        "succeeded",
        "succeeded",
      ]);
      assert.match(rounds[0]!.answer, /red circle/);
      assert.equal(settings.maxNewTokens, "12");
      const text = await (await fetch(`${base}/chat/${id}`)).text();
      assert.match(text, /red circle/);
      const run = await services.run(store.get(rounds[1]!.runId!));
      assert.equal(run?.attributes.chat, id);

      const odd = await post({
        question: "Hi",
        files: [
          new File([], "none.png"),
          new File([await bytesOf(picture)], "shapes.png"),
          new File(["hello"], "notes.txt"),
        ],
      });
      assert.match(
        decodeURIComponent(odd.headers.get("location")!),
        /error=none.png: the file is empty; notes.txt: the file is text, not a picture/,
      );
      // What only decoding finds out is said of the file that the person knows.
      const cut = (await bytesOf(picture)).subarray(0, 400);
      const film = (await bytesOf(video)).subarray(0, 400);
      for (
        const [file, words] of [
          [new File([cut], "holiday.png"), /^holiday\.png is a damaged/],
          [new File([film], "clip.mp4"), /^clip\.mp4\b/],
        ] as const
      ) {
        await post({ question: "What is this?", files: file });
        await ended();
        const { status, error } = services.chats.view(id).rounds.at(-1)!;
        assert.equal(status, "failed");
        assert.match(error!, words);
        assert.doesNotMatch(error!, /tessera-uploads/);
      }
      const upload = await fetch(`${base}/chat/uploads`, {
        method: "POST",
        body: "hello",
        headers: { cookie, "x-csrf-token": csrf },
      });
      assert.equal(upload.status, 415);
      assert.match((await upload.json()).error, /^the file is text/);
      const evil = await fetch(`${base}/chat/${id}?error=<script>x</script>`);
      assert.ok(!(await evil.text()).includes("<script>x"));
      assert.equal((await fetch(`${base}/chat/..%2f`)).status, 404);
    });
  })));
});
