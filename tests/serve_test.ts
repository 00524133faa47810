import assert from "node:assert/strict";
import { Effect } from "effect";
import OpenAI from "openai";
import { version } from "../cli/version.ts";
import { LanguageModel, makeMemoryStore } from "../mod.ts";
import { busy, nano, shapes, until, withServer } from "./serve_kit.ts";

type Messages = OpenAI.ChatCompletionMessageParam[];

const aboutShapes: Messages = [{
  role: "user",
  content: [
    { type: "text", text: "What is in the picture?" },
    { type: "image_url", image_url: { url: shapes } },
  ],
}];

Deno.test("OpenAI's client: chat", async (t) => {
  const store = makeMemoryStore();
  await withServer({ store }, async ({ client, post, serving, url }) => {
    const ask = (more: object = {}) =>
      client.chat.completions.create({
        model: "nano",
        messages: aboutShapes,
        max_tokens: 40,
        ...more,
      }) as Promise<OpenAI.ChatCompletion>;

    await t.step("a picture, whole", async () => {
      const answer = await ask();
      const choice = answer.choices[0]!;
      assert.match(choice.message.content!, /red circle/);
      assert.equal(choice.finish_reason, "stop");
      const { usage } = answer;
      assert.equal(
        usage!.prompt_tokens + usage!.completion_tokens,
        usage!.total_tokens,
      );
      assert.match(answer.id, /^chatcmpl-/);
    });

    await t.step("streamed, with the same words and counts", async () => {
      const whole = await ask();
      const stream = await client.chat.completions.create({
        model: "nano",
        messages: aboutShapes,
        max_tokens: 40,
        stream: true,
        stream_options: { include_usage: true },
      });
      let text = "";
      let finish: string | null = null;
      let usage: OpenAI.CompletionUsage | null | undefined;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        finish = chunk.choices[0]?.finish_reason ?? finish;
        usage = chunk.usage;
      }
      assert.equal(text, whole.choices[0]!.message.content);
      assert.equal(finish, "stop");
      assert.equal(usage!.completion_tokens, whole.usage!.completion_tokens);
      assert.equal(usage!.prompt_tokens, whole.usage!.prompt_tokens);
    });

    await t.step("the client's own helper collects a stream", async () => {
      const stream = client.chat.completions.stream({
        model: "nano",
        messages: [{ role: "user", content: "Hello!" }],
        max_tokens: 8,
      });
      const text = await stream.finalContent();
      assert.ok(text!.length > 0);
    });

    await t.step("system message, rounds, stop and length", async () => {
      const answer = await ask({
        messages: [
          { role: "system", content: "You are InternVL nano." },
          ...aboutShapes,
          { role: "assistant", content: "A red circle." },
          { role: "user", content: "How many shapes are there?" },
        ],
        max_completion_tokens: 1,
      });
      assert.equal(answer.choices[0]!.finish_reason, "length");
      assert.equal(answer.usage!.completion_tokens, 1);
      const stopped = await ask({ stop: [" circle"] });
      assert.ok(!stopped.choices[0]!.message.content!.includes("circle"));
      assert.equal(stopped.choices[0]!.finish_reason, "stop");
    });

    await t.step("detail low is one tile, tiles can be bounded", async () => {
      const tokens = async (more: object, detail?: "low" | "high") => {
        const { usage } = await ask({
          messages: [{
            role: "user",
            content: [
              { type: "image_url", image_url: { url: shapes, detail } },
              { type: "text", text: "What is it?" },
            ],
          }],
          max_tokens: 1,
          ...more,
        });
        return (usage!.prompt_tokens_details as unknown as {
          image_tokens: number;
        }).image_tokens;
      };
      const one = await tokens({}, "low");
      const all = await tokens({}, "high");
      assert.ok(all > one);
      assert.equal(await tokens({}), all);
      assert.equal(
        await tokens({ mm_processor_kwargs: { max_dynamic_patch: 1 } }),
        one,
      );
    });

    await t.step("several answers, drawn by their seeds", async () => {
      const draw = async (seed = 7) => {
        const { choices, usage } = await ask({
          messages: [{ role: "user", content: "Hello!" }],
          n: 3,
          temperature: 2,
          seed,
          max_tokens: 12,
        });
        assert.deepEqual(choices.map(({ index }) => index), [0, 1, 2]);
        assert.ok(usage!.completion_tokens > 12);
        return choices.map(({ message }) => message.content);
      };
      const first = await draw();
      assert.ok(new Set(first).size > 1);
      assert.deepEqual(await draw(), first);
      // Clients may send 64 bits.
      assert.deepEqual(await draw(2 ** 62), await draw(2 ** 62));
    });

    await t.step("an aborted stream frees its place", async () => {
      const stream = await client.chat.completions.create({
        model: "nano",
        messages: [{ role: "user", content: "Hello!" }],
        max_tokens: 3000,
        // Never the end token, so that only the abort can end it.
        logit_bias: { 2: -100 },
        min_tokens: 3000,
        stream: true,
      } as OpenAI.ChatCompletionCreateParamsStreaming);
      for await (const _ of stream) break;
      await until(
        async () => await busy(serving) === 0 && serving.inFlight() === 0,
        "the place is free",
      );
    });

    await t.step("an aborted request frees its place", async () => {
      // The client's own `signal` may be collected as garbage before it reaches Deno's fetch.
      const stop = new AbortController();
      const answer = fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          model: "nano",
          messages: [{ role: "user", content: "Hello!" }],
          max_tokens: 3000,
          min_tokens: 3000,
        }),
        signal: stop.signal,
      });
      const failed = assert.rejects(answer, { name: "AbortError" });
      await until(async () => await busy(serving) > 0, "it runs");
      stop.abort();
      await failed;
      await until(
        async () => await busy(serving) === 0 && serving.inFlight() === 0,
        "the place is free",
      );
    });

    await t.step({
      // Deno does not tell of these; on Windows nothing else does.
      name: "a client that sent head and body apart frees its place",
      ignore: Deno.build.os === "windows",
      fn: async () => {
        const text = JSON.stringify({
          model: "nano",
          messages: [{ role: "user", content: "Hello!" }],
          max_tokens: 3000,
          min_tokens: 3000,
        });
        const socket = await Deno.connect({
          hostname: "127.0.0.1",
          port: serving.port,
        });
        const write = async (part: string) => {
          const writer = socket.writable.getWriter();
          await writer.write(new TextEncoder().encode(part));
          writer.releaseLock();
        };
        await write(
          `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:${serving.port}\r\n` +
            `content-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n`,
        );
        await new Promise((done) => setTimeout(done, 50));
        await write(text);
        await until(async () => await busy(serving) > 0, "it runs");
        socket.close();
        await until(
          async () => await busy(serving) === 0 && serving.inFlight() === 0,
          "the place is free",
        );
      },
    });

    await t.step("errors are the client's own", async () => {
      await assert.rejects(ask({ model: "other" }), (error) => {
        assert.ok(error instanceof OpenAI.NotFoundError);
        assert.equal(error.code, "model_not_found");
        assert.equal(error.type, "invalid_request_error");
        assert.equal(error.param, "model");
        return true;
      });
      await assert.rejects(ask({ temperature: 3 }), OpenAI.BadRequestError);
      await assert.rejects(
        ask({ messages: [{ role: "user", content: "word ".repeat(5000) }] }),
        {
          code: "context_length_exceeded",
          message:
            /This model's maximum context length is exceeded: the prompt has \d+ tokens; the context holds 4096/,
        },
      );
      await assert.rejects(
        ask({ messages: [{ role: "user", content: "a <|im_end|> b" }] }),
        { code: "invalid_prompt" },
      );
      await assert.rejects(
        client.chat.completions.create({
          model: "nano",
          messages: [{
            role: "user",
            content: [{
              type: "image_url",
              image_url: { url: "data:image/png;base64,AAAA" },
            }],
          }],
          stream: true,
        }),
        { status: 400, code: "invalid_media" },
      );
    });

    await t.step("models are listed", async () => {
      const list = await client.models.list();
      assert.deepEqual(list.data.map(({ id }) => id), ["nano"]);
      assert.equal((await client.models.retrieve("nano")).id, "nano");
      await assert.rejects(
        client.models.retrieve("none"),
        OpenAI.NotFoundError,
      );
    });

    await t.step("a request is a run in the store", async () => {
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          "x-request-id": "mine-1",
        },
        body: JSON.stringify({
          model: "nano",
          messages: [{ role: "user", content: "Hello!" }],
          max_tokens: 2,
        }),
      });
      assert.equal(response.headers.get("x-request-id"), "mine-1");
      await response.json();
      const { runs } = await Effect.runPromise(store.list());
      const run = await Effect.runPromise(store.get(runs[0]!.runId));
      assert.equal(run!.pipeline, "converse");
      assert.equal(run!.attributes.request, "mine-1");
      assert.equal(run!.attributes.endpoint, "/v1/chat/completions");
      assert.equal(run!.attributes.model, "nano");
    });

    await t.step("health, readiness, metrics, document", async () => {
      const get = (path: string) => fetch(url + path);
      assert.deepEqual(await (await get("/health")).json(), { status: "ok" });
      assert.equal((await get("/ready")).status, 200);
      const metrics = await (await get("/metrics")).text();
      for (
        const name of [
          "tessera_time_to_first_token_seconds_bucket",
          "tessera_time_per_output_token_seconds_count",
          "tessera_request_duration_seconds_sum",
          "tessera_generation_tokens_total",
          "tessera_vision_cache_hits_total",
          "tessera_engine_running",
          "tessera_kv_cache_tokens_used",
        ]
      ) assert.ok(metrics.includes(name), name);
      const document = await (await get("/openapi.json")).json();
      assert.ok(document.paths["/v1/chat/completions"].post);
      assert.equal(document.info.version, version);
      // A page made of it can give a key, and need not.
      assert.deepEqual(document.security, [{ key: [] }, {}]);
      assert.equal(document.components.securitySchemes.key.scheme, "bearer");
      const events = document.paths["/v1/responses"].post.responses[200]
        .content["text/event-stream"].schema;
      assert.ok(!JSON.stringify(events).includes("[DONE]"));
      assert.equal((await get("/nowhere")).status, 404);
      for (
        const [path, methods] of [
          ["/v1/chat/completions", "POST"],
          ["/v1/responses/resp_1", "GET, DELETE"],
        ] as const
      ) {
        const wrong = await fetch(url + path, { method: "PUT" });
        assert.equal(wrong.status, 405);
        assert.equal(wrong.headers.get("allow"), methods);
        assert.equal((await wrong.json()).error.code, "method_not_supported");
      }
      // Whatever its body is: first it goes to the wrong place.
      for (
        const [path, status, code] of [
          ["/v1/responses/resp_1/cancel", 404, "unknown_url"],
          ["/v1/audio/transcriptions", 404, "unknown_url"],
          ["/v1/models", 405, "method_not_supported"],
        ] as const
      ) {
        for (const body of [undefined, new FormData()]) {
          const wrong = await fetch(url + path, {
            method: "POST",
            ...(body === undefined ? {} : { body }),
          });
          assert.equal(wrong.status, status);
          assert.equal((await wrong.json()).error.code, code);
        }
      }
      const cut = await post("/v1/chat/completions", '{"model":');
      assert.equal(cut.status, 400);
      assert.equal((await cut.json()).error.code, "invalid_json");
    });
  });
});

Deno.test("two names for one folder are two models; an unknown folder is named", async () => {
  await withServer({
    models: [{ dir: nano, name: "a" }, { dir: nano, name: "b" }],
  }, async ({ client, serving }) => {
    for (const model of ["a", "b"]) {
      const { model: answered } = await client.chat.completions.create({
        model,
        messages: [{ role: "user", content: "Hello!" }],
        max_tokens: 1,
      });
      assert.equal(answered, model);
    }
    assert.ok(serving.models.list().every(({ loaded }) => loaded));
  });
  await assert.rejects(
    withServer({ models: [{ dir: "no/such" }] }, () => Promise.resolve()),
    { name: "CheckpointError" },
  );
});

Deno.test("several answers to one request compute its prompt once", () =>
  withServer({}, async ({ client, serving: server }) => {
    const counted = () =>
      Effect.runPromise(Effect.gen(function* () {
        const { context } = server.models.list()[0]!.loaded!;
        const { stats } = yield* Effect.provideContext(LanguageModel, context);
        return (yield* stats).prefix;
      }));
    for (const words of [3, 600]) {
      const before = await counted();
      const { usage, choices } = await client.chat.completions.create({
        model: "nano",
        messages: [{
          role: "user",
          content: `${words} ${"red circle ".repeat(words)}?`,
        }],
        n: 4,
        seed: 1,
        max_tokens: 3,
      });
      assert.equal(choices.length, 4);
      const prompt = usage!.prompt_tokens;
      const { tokensComputed, tokensReused } = await counted();
      // Two tokens at the end are computed for each answer.
      const computed = tokensComputed - before.tokensComputed;
      assert.ok(computed <= prompt + 3 * 2, `${computed} of ${prompt}`);
      assert.equal(
        computed + tokensReused - before.tokensReused,
        4 * prompt,
      );
    }
  }));
