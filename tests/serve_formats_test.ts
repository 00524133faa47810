import assert from "node:assert/strict";
import type OpenAI from "openai";
import { shapes, type TestServer, withServer } from "./serve_kit.ts";

const hello: OpenAI.ChatCompletionMessageParam[] = [{
  role: "user",
  content: "Hello!",
}];

const weather: OpenAI.ChatCompletionTool = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather of a city",
    parameters: {
      type: "object",
      properties: { city: { enum: ["Paris", "Rome"] } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};

const structured = ({ client }: TestServer) => async () => {
  const schema = {
    type: "object",
    properties: {
      shape: { enum: ["circle", "square"] },
      count: { type: "integer", minimum: 0, maximum: 9 },
    },
    required: ["shape", "count"],
    additionalProperties: false,
  };
  const ask = async (
    format: OpenAI.ChatCompletionCreateParams["response_format"] | object,
  ) => {
    const { choices } = await client.chat.completions.create({
      model: "nano",
      messages: hello,
      max_tokens: 100,
      response_format: format as never,
    });
    return choices[0]!.message.content!;
  };
  const value = JSON.parse(
    await ask({
      type: "json_schema",
      json_schema: { name: "seen", schema, strict: true },
    }),
  );
  assert.ok(["circle", "square"].includes(value.shape));
  assert.ok(Number.isInteger(value.count));
  assert.match(await ask({ type: "regex", regex: "[ab]{3}" }), /^[ab]{3}$/);
  assert.ok(
    ["yes", "no"].includes(
      await ask({ type: "choice", choices: ["yes", "no"] }),
    ),
  );
  await assert.rejects(
    ask({
      type: "json_schema",
      json_schema: { name: "x", schema: { type: "object", $ref: "http://x/" } },
    }),
    { status: 400 },
  );
};

const tools = ({ client }: TestServer) => async () => {
  const messages: OpenAI.ChatCompletionMessageParam[] = [{
    role: "user",
    content: "What is the weather in Rome?",
  }];
  const ask = {
    model: "nano",
    messages,
    tools: [weather],
    tool_choice: "required" as const,
    max_tokens: 60,
  };
  const whole = await client.chat.completions.create(ask);
  const { message, finish_reason: finish } = whole.choices[0]!;
  assert.equal(finish, "tool_calls");
  assert.equal(message.content, null);
  const call = message.tool_calls![0]!;
  assert.ok(call.type === "function");
  assert.equal(call.function.name, "get_weather");
  const { city } = JSON.parse(call.function.arguments);
  assert.ok(["Paris", "Rome"].includes(city));

  const stream = client.chat.completions.stream({ ...ask, stream: true });
  const streamed = await stream.finalMessage();
  const again = streamed.tool_calls![0]!;
  assert.ok(again.type === "function");
  assert.equal(again.function.arguments, call.function.arguments);

  // The result goes back as OpenAI's clients send it.
  const next = await client.chat.completions.create({
    model: "nano",
    messages: [
      ...messages,
      message,
      { role: "tool", tool_call_id: call.id, content: '{"degrees": 22}' },
    ],
    tools: [weather],
    max_tokens: 8,
  });
  assert.ok(next.usage!.prompt_tokens > whole.usage!.prompt_tokens);
  const one = await client.chat.completions.create({
    ...ask,
    tool_choice: { type: "function", function: { name: "get_weather" } },
  });
  assert.equal(one.choices[0]!.finish_reason, "tool_calls");
  await assert.rejects(
    client.chat.completions.create({
      ...ask,
      tool_choice: { type: "function", function: { name: "other" } },
    }),
    { status: 400, param: "tool_choice" },
  );
};

const logprobs = ({ client }: TestServer) => async () => {
  const ask = {
    model: "nano",
    messages: hello,
    max_tokens: 6,
    logprobs: true,
    top_logprobs: 3,
  };
  const whole = await client.chat.completions.create(ask);
  const content = whole.choices[0]!.logprobs!.content!;
  assert.equal(content.length, whole.usage!.completion_tokens);
  for (const token of content) {
    assert.ok(token.logprob <= 0);
    assert.equal(token.top_logprobs.length, 3);
    // Greedy: the chosen token is the likeliest.
    assert.equal(token.top_logprobs[0]!.token, token.token);
    assert.ok(token.bytes!.every((byte) => byte >= 0 && byte < 256));
  }
  const stream = await client.chat.completions.create({ ...ask, stream: true });
  const tokens: string[] = [];
  for await (const { choices } of stream) {
    for (const entry of choices[0]?.logprobs?.content ?? []) {
      tokens.push(entry.token);
    }
  }
  assert.deepEqual(tokens, content.map(({ token }) => token));
};

const completions = ({ client }: TestServer) => async () => {
  const ask = { model: "nano", prompt: "The circle is", max_tokens: 5 };
  const whole = await client.completions.create({ ...ask, echo: true });
  assert.ok(whole.choices[0]!.text.startsWith("The circle is"));
  assert.equal(whole.object, "text_completion");
  let text = "";
  const stream = await client.completions.create({
    ...ask,
    echo: true,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) text += chunk.choices[0]?.text ?? "";
  assert.equal(text.trim(), whole.choices[0]!.text.trim());
  const several = await client.completions.create({
    ...ask,
    prompt: ["One", "Two"],
    logprobs: 2,
  });
  assert.deepEqual(several.choices.map(({ index }) => index), [0, 1]);
  const lengths = several.choices.map(({ logprobs }) =>
    logprobs!.tokens!.length
  );
  assert.equal(
    lengths.reduce((sum, n) => sum + n),
    several.usage!.completion_tokens,
  );
  // What goes on with a text keeps the white space between.
  const red = await client.completions.create({
    ...ask,
    prompt: "The picture shows a red",
    logprobs: 1,
  });
  assert.match(red.choices[0]!.text, /^ /);
  assert.equal(
    red.choices[0]!.text,
    red.choices[0]!.logprobs!.tokens!.join("").slice(
      0,
      red.choices[0]!.text.length,
    ),
  );
  await assert.rejects(
    client.completions.create({ ...ask, echo: true, logprobs: 1 }),
    /echo with logprobs is not supported/,
  );
  const ids = await client.completions.create({ ...ask, prompt: [1, 5, 6] });
  assert.equal(ids.usage!.prompt_tokens, 3);
};

const responses = ({ client }: TestServer) => async () => {
  const whole = await client.responses.create({
    model: "nano",
    instructions: "You are InternVL nano.",
    input: [{
      role: "user",
      content: [
        { type: "input_text", text: "What is in the picture?" },
        { type: "input_image", image_url: shapes, detail: "auto" },
      ],
    }],
    max_output_tokens: 40,
  });
  assert.match(whole.output_text, /red circle/);
  assert.equal(whole.status, "completed");
  assert.ok(whole.usage!.total_tokens > whole.usage!.input_tokens);

  const stream = client.responses.stream({
    model: "nano",
    input: "Hello!",
    max_output_tokens: 4,
  });
  const types: string[] = [];
  for await (const event of stream) types.push(event.type);
  assert.equal(types[0], "response.created");
  assert.ok(types.includes("response.output_text.delta"));
  assert.match(types.at(-1)!, /^response\.(completed|incomplete)$/);
  const final = await stream.finalResponse();
  assert.ok(final.output_text.length > 0);

  const probable = {
    model: "nano",
    input: "Hello!",
    max_output_tokens: 4,
    include: ["message.output_text.logprobs" as const],
    top_logprobs: 2,
  };
  const likely = (await client.responses.create(probable)).output[0]!;
  assert.ok(likely.type === "message");
  const [said] = likely.content;
  assert.ok(said?.type === "output_text");
  const likelies = said.logprobs!;
  assert.equal(likelies.length, 4);
  assert.equal(likelies.map(({ token }) => token).join("").trim(), said.text);
  for (const { token, logprob, top_logprobs: top } of likelies) {
    // Nothing is drawn, so that the token is the most likely one.
    assert.equal(top.length, 2);
    assert.equal(top[0]!.token, token);
    assert.equal(top[0]!.logprob, logprob);
    assert.ok(top[0]!.logprob >= top[1]!.logprob);
  }
  const streamed: unknown[] = [];
  for await (const event of client.responses.stream(probable)) {
    if (event.type === "response.output_text.delta") {
      streamed.push(...event.logprobs);
    }
    if (event.type === "response.output_text.done") {
      assert.deepEqual(event.logprobs, likelies);
    }
  }
  assert.deepEqual(streamed, likelies);
  const called = await client.responses.create({
    model: "nano",
    input: "Weather?",
    tools: [{
      type: "function",
      strict: false,
      ...weather.function,
      parameters: weather.function.parameters!,
    }],
    tool_choice: "required",
    max_output_tokens: 60,
  });
  const call = called.output[0]!;
  assert.ok(call.type === "function_call");
  assert.equal(call.name, "get_weather");
  const next = await client.responses.create({
    model: "nano",
    input: [
      { role: "user", content: "Weather?" },
      call,
      { type: "function_call_output", call_id: call.call_id, output: "22" },
    ],
    max_output_tokens: 4,
  });
  assert.equal(next.object, "response");
  await assert.rejects(
    client.responses.create({
      model: "nano",
      input: "x",
      previous_response_id: "resp_1",
    }),
    { status: 400, param: "previous_response_id" },
  );
};

const tokens = ({ post }: TestServer) => async () => {
  const json = async (path: string, body: object) => {
    const response = await post(path, { model: "nano", ...body });
    return { status: response.status, body: await response.json() };
  };
  const { body } = await json("/tokenize", {
    prompt: "a red circle",
    return_token_strs: true,
  });
  assert.equal(body.count, body.tokens.length);
  assert.equal(body.token_strs.length, body.count);
  const back = await json("/detokenize", { tokens: body.tokens.slice(1) });
  assert.equal(back.body.prompt, "a red circle");
  const chat = await json("/tokenize", { messages: hello });
  assert.ok(chat.body.count > 5);
  assert.equal((await json("/tokenize", {})).status, 400);
};

/** What is wrong with a setting, by the name that the request has for it. */
const refusals = ({ post }: TestServer) => async () => {
  const not = { not: {} };
  const schema = (schema: object) => ({
    response_format: {
      type: "json_schema",
      json_schema: { name: "x", schema },
    },
  });
  for (
    const [more, param, said] of [
      [
        { max_tokens: 8, min_tokens: 9 },
        "min_tokens",
        "min_tokens is 9; it must be at most max_tokens, 8",
      ],
      [{ logit_bias: { 99999: 1 } }, "logit_bias", "by token id"],
      [
        { response_format: { type: "regex", regex: "(" } },
        "response_format",
        "Unterminated group",
      ],
      [
        { response_format: { type: "choice", choices: [] } },
        "response_format",
        'response_format is {"type":"choice","choices":[]}',
      ],
      [schema(not), "response_format", "which is not offered"],
      [{ ...schema({}), stop: ["}"] }, "stop", "beside response_format"],
      [
        {
          tool_choice: "required",
          tools: [{
            type: "function",
            function: { name: "f", parameters: { properties: { a: not } } },
          }],
        },
        "tools",
        "which is not offered",
      ],
    ] as [object, string, string][]
  ) {
    const response = await post("/v1/chat/completions", {
      model: "nano",
      messages: hello,
      ...more,
    });
    const { error } = await response.json();
    assert.deepEqual(
      [response.status, error?.param, error?.type],
      [400, param, "invalid_request_error"],
    );
    assert.ok(error.message.includes(said), error.message);
    assert.doesNotMatch(error.message, /generation setting|[a-z]Tokens|Bias/);
  }
};

Deno.test("OpenAI's client: formats, tools, probabilities, the other ways to ask", async (t) => {
  await withServer({}, async (server) => {
    await t.step("structured output", structured(server));
    await t.step("tools", tools(server));
    await t.step("what is refused, by its name", refusals(server));
    await t.step("probabilities", logprobs(server));
    await t.step("completions", completions(server));
    await t.step("responses", responses(server));
    await t.step("tokenize", tokens(server));
  });
});
