import assert from "node:assert/strict";
import OpenAI from "openai";
import { shapes, type TestServer, withServer } from "./serve_kit.ts";

const model = "nano";
const picture: OpenAI.Responses.ResponseInput = [{
  role: "user",
  content: [
    { type: "input_text", text: "What is in the picture?" },
    { type: "input_image", image_url: shapes, detail: "auto" },
  ],
}];

const rounds = ({ client }: TestServer) => async () => {
  const max = { model, max_output_tokens: 24 };
  const first = await client.responses.create({ ...max, input: picture });
  assert.ok("store" in first && first.store);
  const next = await client.responses.create({
    ...max,
    previous_response_id: first.id,
    input: "How many shapes are there?",
  });
  assert.equal(next.previous_response_id, first.id);
  // As if everything had been sent along.
  const whole = await client.responses.create({
    ...max,
    input: [
      ...picture,
      ...first.output as OpenAI.Responses.ResponseInput,
      { role: "user", content: "How many shapes are there?" },
    ],
  });
  assert.equal(next.output_text, whole.output_text);
  assert.equal(next.usage!.input_tokens, whole.usage!.input_tokens);
  // The picture and the first round are not computed again.
  assert.ok(
    next.usage!.input_tokens_details.cached_tokens >= first.usage!.input_tokens,
  );
  // A streamed round goes on where the second ended, and is kept as well.
  const stream = client.responses.stream({
    ...max,
    previous_response_id: next.id,
    input: "Thank you!",
  });
  const third = await stream.finalResponse();
  assert.equal(third.previous_response_id, next.id);
  assert.ok(third.usage!.input_tokens > next.usage!.input_tokens);
  assert.equal(
    (await client.responses.retrieve(third.id)).output_text,
    third.output_text,
  );
};

const instructions = ({ client }: TestServer) => async () => {
  const max = { model, max_output_tokens: 2 };
  const long = "You answer in one word. ".repeat(8);
  const first = await client.responses.create({
    ...max,
    instructions: long,
    input: "Hello!",
  });
  const next = await client.responses.create({
    ...max,
    previous_response_id: first.id,
    input: "Hello!",
  });
  // They are not carried over: the second prompt is two rounds long, and shorter than the first.
  assert.ok(next.usage!.input_tokens < first.usage!.input_tokens);
  assert.equal(next.instructions, null);
};

const calls = ({ client }: TestServer) => async () => {
  const tools: OpenAI.Responses.Tool[] = [{
    type: "function",
    name: "weather",
    strict: false,
    parameters: {
      type: "object",
      properties: { city: { enum: ["Rome"] } },
      required: ["city"],
      additionalProperties: false,
    },
  }];
  const asked = await client.responses.create({
    model,
    input: "Weather?",
    tools,
    tool_choice: "required",
    max_output_tokens: 60,
  });
  const call = asked.output[0]!;
  assert.ok(call.type === "function_call");
  const told = await client.responses.create({
    model,
    previous_response_id: asked.id,
    input: [{
      type: "function_call_output",
      call_id: call.call_id,
      output: "22",
    }],
    max_output_tokens: 4,
  });
  assert.ok(told.output_text.length > 0);
};

/** What agents and newer clients write out although it is the default, or asks for what there is none of. */
const defaults = ({ client, post }: TestServer) => async () => {
  const ask = { model, input: "Hello!", max_output_tokens: 2 };
  const { output } = await client.responses.create({
    ...ask,
    tool_choice: "auto",
    tools: [],
    include: ["reasoning.encrypted_content"],
    max_tool_calls: 3,
    background: false,
    conversation: null,
    prompt: null,
    reasoning: null,
    text: { verbosity: "medium" },
  });
  const [message] = output;
  assert.ok(message!.type === "message");
  assert.ok(!("logprobs" in message.content[0]!));
  for (
    const [name, value] of Object.entries({
      background: true,
      conversation: "conv_1",
      reasoning: { effort: "low" },
      truncation: "auto",
    })
  ) {
    const response = await post("/v1/responses", { ...ask, [name]: value });
    assert.equal(response.status, 400);
    const { error } = await response.json();
    assert.equal(error.param, name);
    if (name !== "truncation") {
      assert.equal(error.code, "unsupported_parameter");
    }
  }
};

const nothing = ({ client }: TestServer) => async () => {
  // nano's answer begins with it.
  const ask = {
    model,
    input: "Hello!",
    max_output_tokens: 4,
    stop: ["H"],
  } as OpenAI.Responses.ResponseCreateParamsNonStreaming;
  const whole = await client.responses.create(ask);
  const streamed = await client.responses.stream(
    ask as unknown as Parameters<typeof client.responses.stream>[0],
  ).finalResponse();
  for (const { output } of [whole, streamed]) {
    const [message, ...more] = output;
    assert.deepEqual(more, []);
    assert.ok(message!.type === "message");
    assert.equal(message.status, "completed");
    const [part] = message.content;
    assert.ok(part!.type === "output_text");
    assert.equal(part.text, "");
  }
};

const references = ({ client }: TestServer) => async () => {
  const max = { model, max_output_tokens: 24 };
  const question = { role: "user" as const, content: "How many are there?" };
  const first = await client.responses.create({ ...max, input: picture });
  const ask = (said: OpenAI.Responses.ResponseInput) =>
    client.responses.create({ ...max, input: [...picture, ...said, question] });
  const whole = await ask(first.output as OpenAI.Responses.ResponseInput);
  // As the AI SDK of Vercel says what was answered before.
  const named = await ask([{
    type: "item_reference",
    id: first.output[0]!.id!,
  }]);
  assert.equal(named.output_text, whole.output_text);
  assert.equal(named.usage!.input_tokens, whole.usage!.input_tokens);
  await client.responses.delete(first.id);
  await assert.rejects(
    ask([{ type: "item_reference", id: first.output[0]!.id! }]),
    { status: 404, param: "input" },
  );
  // The round that named it has it still.
  const next = await client.responses.create({
    ...max,
    previous_response_id: named.id,
    input: "Thank you!",
  });
  assert.ok(next.usage!.input_tokens > named.usage!.input_tokens);
};

const helpers = ({ client }: TestServer) => async () => {
  const schema = {
    type: "object",
    properties: { city: { enum: ["Rome"] } },
    required: ["city"],
    additionalProperties: false,
  };
  const ask = { model, input: "Weather?", max_output_tokens: 60 };
  // What the client's helpers read in an answer comes back with it.
  const read = await client.responses.parse({
    ...ask,
    text: {
      format: { type: "json_schema", name: "city", schema, strict: true },
    },
  });
  const called = await client.responses.parse({
    ...ask,
    tools: [{
      type: "function",
      name: "f",
      parameters: schema,
      strict: true,
    }],
    tool_choice: "required",
  });
  const call = called.output[0]!;
  assert.ok(call.type === "function_call" && "parsed_arguments" in call);
  const { output } = await client.responses.create({
    model,
    input: [
      { role: "user", content: "Weather?" },
      ...[...read.output, call] as OpenAI.Responses.ResponseInput,
      {
        type: "function_call_output",
        call_id: call.call_id,
        output: [
          { type: "input_text", text: "22" },
          { type: "input_text", text: "degrees" },
        ],
      },
    ],
    max_output_tokens: 4,
  });
  assert.equal(output.length, 1);
  const { choices } = await client.chat.completions.parse({
    model,
    messages: [{ role: "user", content: "Weather?" }],
    tools: [{
      type: "function",
      function: { name: "f", parameters: schema, strict: true },
    }],
    tool_choice: "required",
    max_tokens: 60,
  });
  const { message } = choices[0]!;
  assert.ok("parsed" in message && message.tool_calls!.length === 1);
  const next = await client.chat.completions.create({
    model,
    messages: [
      { role: "user", content: "Weather?" },
      message,
      {
        role: "tool",
        tool_call_id: message.tool_calls![0]!.id,
        content: "22",
      },
    ],
    max_tokens: 4,
  });
  assert.equal(next.choices.length, 1);
};

const lifetime = ({ client, post }: TestServer) => async () => {
  const ask = { model, input: "Hello!", max_output_tokens: 2 };
  const made = await client.responses.create(ask);
  const found = await client.responses.retrieve(made.id);
  assert.deepEqual(found.output, made.output);
  assert.deepEqual(found.usage, made.usage);
  await assert.rejects(
    client.responses.retrieve(made.id, { stream: true }),
    { status: 400, param: "stream", code: "unsupported_parameter" },
  );
  await client.responses.delete(made.id);
  for (
    const again of [
      client.responses.retrieve(made.id),
      client.responses.delete(made.id),
    ]
  ) {
    await assert.rejects(
      again,
      (error) =>
        error instanceof OpenAI.NotFoundError &&
        error.type === "invalid_request_error" &&
        error.message.includes(`Response with id '${made.id}' not found.`),
    );
  }
  await assert.rejects(
    client.responses.create({ ...ask, previous_response_id: made.id }),
    (error) =>
      error instanceof OpenAI.BadRequestError &&
      error.param === "previous_response_id" &&
      error.code === "previous_response_not_found",
  );
  const unkept = await client.responses.create({ ...ask, store: false });
  assert.equal(
    (unkept as unknown as { readonly store: boolean }).store,
    false,
  );
  await assert.rejects(client.responses.retrieve(unkept.id), { status: 404 });
  const odd = await post("/v1/responses", { ...ask, store: "yes" });
  assert.equal(odd.status, 400);
  assert.equal((await odd.json()).error.param, "store");
};

Deno.test("OpenAI's client: answers are kept for later rounds", async (t) => {
  await withServer({}, async (server) => {
    await t.step("rounds", rounds(server));
    await t.step("instructions", instructions(server));
    await t.step("calls", calls(server));
    await t.step("items of earlier answers by their ids", references(server));
    await t.step("answers that helpers have read", helpers(server));
    await t.step("what is written out and changes nothing", defaults(server));
    await t.step("an answer of nothing", nothing(server));
    await t.step("read, deleted, not kept", lifetime(server));
  });
});

Deno.test("answers are seen with the key only that asked for them, and no more are kept than may be", async () => {
  const apiKeys = ["key-of-ada-1", "key-of-eve-2"];
  await withServer(
    { apiKeys, limits: { maxKeptResponses: 2 } },
    async ({ client, url }) => {
      const ask = { model, input: "Hello!", max_output_tokens: 2 };
      const eve = new OpenAI({
        baseURL: `${url}/v1`,
        apiKey: apiKeys[1]!,
        maxRetries: 0,
      });
      const made = await client.responses.create(ask);
      await assert.rejects(eve.responses.retrieve(made.id), { status: 404 });
      await assert.rejects(eve.responses.delete(made.id), { status: 404 });
      await assert.rejects(
        eve.responses.create({ ...ask, previous_response_id: made.id }),
        { status: 400, code: "previous_response_not_found" },
      );
      assert.equal((await client.responses.retrieve(made.id)).id, made.id);
      await client.responses.create(ask);
      await client.responses.create(ask);
      await assert.rejects(client.responses.retrieve(made.id), { status: 404 });
    },
  );
});
