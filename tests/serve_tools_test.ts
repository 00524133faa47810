/**
 * Functions, through the real client and the real model: which are called is decided by the request where
 * it says so, and by the model where it does not.
 */
import assert from "node:assert/strict";
import { Context } from "effect";
import type OpenAI from "openai";
import {
  InternVL,
  type LogitsProcessor,
  LogitsProcessors,
  TextTokenizer,
} from "../mod.ts";
import { nano, withServer } from "./serve_kit.ts";

type FunctionTool = OpenAI.ChatCompletionFunctionTool;

const tool = (name: string, parameters: object): FunctionTool => ({
  type: "function",
  function: { name, parameters: parameters as Record<string, unknown> },
});
const weather = tool("get_weather", {
  type: "object",
  properties: { city: { enum: ["Paris", "Rome"] } },
  required: ["city"],
  additionalProperties: false,
});
const clock = tool("get_time", {
  type: "object",
  properties: { utc: { type: "boolean" } },
  required: ["utc"],
  additionalProperties: false,
});
const ask = {
  model: "nano",
  messages: [{ role: "user" as const, content: "What is it like in Rome?" }],
  tools: [weather, clock],
  max_tokens: 60,
};

/** The calls of an answer, which must be nothing else. */
function callsOf(
  { message, finish_reason: finish }: OpenAI.ChatCompletion.Choice,
) {
  assert.equal(finish, "tool_calls");
  assert.equal(message.content, null);
  return message.tool_calls!.map((call) => {
    assert.ok(call.type === "function");
    return {
      name: call.function.name,
      args: JSON.parse(call.function.arguments),
    };
  });
}

Deno.test("tool_choice: a named function is called, however the others read", () =>
  withServer({}, async ({ client }) => {
    for (const { function: { name } } of [weather, clock]) {
      const named = {
        ...ask,
        tool_choice: { type: "function" as const, function: { name } },
      };
      const whole = await client.chat.completions.create(named);
      const [call, ...more] = callsOf(whole.choices[0]!);
      assert.deepEqual(more, []);
      assert.equal(call!.name, name);
      if (name === "get_time") assert.equal(typeof call!.args.utc, "boolean");
      else assert.ok(["Paris", "Rome"].includes(call!.args.city));
      const streamed = await client.chat.completions.stream(named)
        .finalChatCompletion();
      assert.deepEqual(callsOf(streamed.choices[0]!), [call]);
    }
    // Drawn at random: any of them, and always a valid call.
    const required = await client.chat.completions.create({
      ...ask,
      tool_choice: "required",
      temperature: 2,
      seed: 1,
      n: 8,
    });
    for (const choice of required.choices) {
      const [call] = callsOf(choice);
      assert.deepEqual(
        Object.keys(call!.args),
        call!.name === "get_time" ? ["utc"] : ["city"],
      );
    }
    // A format is for words; of both, the choice says which it is.
    const format = { type: "json_object" as const };
    const forced = await client.chat.completions.create({
      ...ask,
      tool_choice: "required",
      response_format: format,
    });
    assert.equal(callsOf(forced.choices[0]!).length, 1);
    await assert.rejects(
      client.chat.completions.create({ ...ask, response_format: format }),
      { status: 400, param: "response_format", code: "unsupported_parameter" },
    );
    const none = await client.chat.completions.create({
      ...ask,
      tool_choice: "none",
    });
    assert.equal(none.choices[0]!.message.tool_calls, undefined);
  }));

/** Has the model say exactly this, and then end. */
async function saying(text: string): Promise<LogitsProcessor> {
  await using model = await InternVL.load(nano);
  const { encode } = await model.effect(TextTokenizer);
  const ids = [...encode(text), ...encode("<|im_end|>")];
  return {
    name: "saying",
    process: ({ ids: said, logits }) => {
      logits.fill(-Infinity);
      logits[ids[Math.min(said.length, ids.length - 1)]!] = 0;
    },
  };
}

Deno.test("tool_choice auto: words before a call and two calls are taken apart, whole and streamed", async () => {
  const call = (name: string, args: object) =>
    `<|action_start|><|plugin|>\n${
      JSON.stringify({ name, parameters: args })
    }<|action_end|>`;
  const processor = await saying(
    `I look. ${call("get_weather", { city: "Rome" })}${
      call("get_time", { utc: true })
    }`,
  );
  const wanted = [
    { name: "get_weather", args: { city: "Rome" } },
    { name: "get_time", args: { utc: true } },
  ];
  await withServer(
    {},
    async ({ client }) => {
      const auto = { ...ask, max_tokens: 200, tool_choice: "auto" as const };
      const read = ({ choices: [choice] }: OpenAI.ChatCompletion) => {
        const { content } = choice!.message;
        assert.equal(content!.trim(), "I look.");
        return callsOf({
          ...choice!,
          message: { ...choice!.message, content: null },
        });
      };
      assert.deepEqual(
        read(await client.chat.completions.create(auto)),
        wanted,
      );
      const streamed = client.chat.completions.stream(auto);
      assert.deepEqual(read(await streamed.finalChatCompletion()), wanted);
      // No mark of the template is a word of the answer.
      for (const message of streamed.messages) {
        assert.ok(!String(message.content).includes("<|"));
      }
      const response = {
        model: "nano",
        input: "What is it like in Rome?",
        tools: [weather, clock].map(({ function: f }) => ({
          type: "function" as const,
          strict: false,
          ...f,
          parameters: f.parameters!,
        })),
        max_output_tokens: 200,
      };
      const { output } = await client.responses.create(response);
      assert.deepEqual(
        output.flatMap((item) =>
          item.type === "function_call"
            ? [{ name: item.name, args: JSON.parse(item.arguments) }]
            : []
        ),
        wanted,
      );
      // One at a time where the client cannot do more.
      const single = { ...auto, parallel_tool_calls: false };
      const [first] = wanted;
      assert.deepEqual(
        read(await client.chat.completions.create(single)),
        [first],
      );
      assert.deepEqual(
        read(
          await client.chat.completions.stream(single).finalChatCompletion(),
        ),
        [first],
      );
      for (const make of ["create", "stream"] as const) {
        const one = { ...response, parallel_tool_calls: false };
        const { output, parallel_tool_calls: parallel } = make === "create"
          ? await client.responses.create(one)
          : await client.responses.stream(one).finalResponse();
        assert.equal(parallel, false);
        assert.equal(
          output.filter(({ type }) => type === "function_call").length,
          1,
        );
      }
    },
    Context.make(LogitsProcessors, [processor]) as Context.Context<never>,
  );
});

// As smolagents asks, in every step of an agent.
Deno.test("a forced call has no words for stop to end", () =>
  withServer({}, async ({ client }) => {
    for (const stop of ["Observation:", ["Rome", "Paris"]]) {
      const { choices } = await client.chat.completions.create({
        ...ask,
        tools: [weather],
        tool_choice: "required",
        stop,
      });
      const [call] = callsOf(choices[0]!);
      assert.equal(call!.name, "get_weather");
    }
  }));
