/**
 * Functions that a model may ask for, in the form of InternLM2's chat format: the list of functions is a
 * system message of `<|plugin|>`, a call is `<|action_start|><|plugin|>` + JSON + `<|action_end|>` inside
 * an answer, and a result is a message of the `environment`.
 * Sources: InternLM `chat/chat_format.md`; LMDeploy `InternLM2Chat7B.messages2prompt`.
 * @module
 */
import type { Message, MessagePart } from "../../nodes/mod.ts";
import type { AnswerToolCall, Tool } from "./schema/chat.ts";
import type { Constraint } from "./settings.ts";

const plugin = "<|plugin|>";
const actionStart = "<|action_start|>";
const actionEnd = "<|action_end|>";

/** JSON as Python's `json.dumps(…, ensure_ascii=False)` writes it, which the models were trained on. */
export function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    return `{${
      Object.entries(value).filter(([, item]) => item !== undefined)
        .map(([key, item]) => `${JSON.stringify(key)}: ${pythonJson(item)}`)
        .join(", ")
    }}`;
  }
  return JSON.stringify(value) ?? "null";
}

/** The system message that lists the functions. */
export function toolsMessage(tools: readonly Tool[]): Message {
  const list = tools.map(({ function: f }) => ({
    name: f.name,
    ...(f.description == null ? {} : { description: f.description }),
    parameters: f.parameters ?? { type: "object", properties: {} },
  }));
  return {
    role: "system",
    name: plugin,
    parts: [{ text: pythonJson(list) }],
  };
}

/** A call as it stands in an earlier answer. */
export function callParts(name: string, args: unknown): MessagePart[] {
  return [
    { markup: `${actionStart}${plugin}\n` },
    { text: pythonJson({ name, parameters: args }) },
    { markup: actionEnd },
  ];
}

/** A result of a call. */
export function resultMessage(text: string): Message {
  return { role: "environment", name: plugin, parts: [{ text }] };
}

/** What an answer must look like that has to be a call of one of these functions. */
export function callConstraint(tools: readonly Tool[]): Constraint {
  const calls = tools.map(({ function: f }, index) => {
    const at = `#${tools.length === 1 ? "" : `/anyOf/${index}`}`;
    return {
      type: "object",
      properties: {
        name: { const: f.name },
        parameters: moved(
          // Arguments are an object, whatever else a schema leaves open.
          { type: "object", ...f.parameters },
          `${at}/properties/parameters`,
        ),
      },
      required: ["name", "parameters"],
      additionalProperties: false,
    };
  });
  return {
    type: "json_schema",
    schema: calls.length === 1 ? calls[0] : { anyOf: calls },
  };
}

/** Keywords whose values are schemas by names of their own, and those whose values are no schemas. */
const named = new Set([
  "properties",
  "patternProperties",
  "$defs",
  "definitions",
  "dependentSchemas",
]);
const plain = new Set(["const", "enum", "default", "examples", "example"]);

/** A schema that has come to stand at `place` of another, with its references to itself. */
function moved(schema: unknown, place: string): unknown {
  if (Array.isArray(schema)) return schema.map((one) => moved(one, place));
  if (typeof schema !== "object" || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [
      key,
      key === "$ref" && typeof value === "string" && /^#(\/|$)/.test(value)
        ? place + value.slice(1)
        : plain.has(key)
        ? value
        : named.has(key) && typeof value === "object" && value !== null
        ? Object.fromEntries(
          Object.entries(value).map(([name, one]) => [name, moved(one, place)]),
        )
        : moved(value, place),
    ]),
  );
}

/** What an answer says, and what it asks for. */
export interface ParsedAnswer {
  /** The words. */
  readonly text: string;
  /** The calls. */
  readonly calls: readonly AnswerToolCall[];
}

const newCall = (name: string, args: string): AnswerToolCall => ({
  id: `call_${crypto.randomUUID().replaceAll("-", "").slice(0, 24)}`,
  type: "function",
  function: { name, arguments: args },
});

/** Arguments as JSON of an object; some models write that JSON as a string. */
function argumentsOf(value: unknown): string | undefined {
  if (typeof value === "string") {
    try {
      return isObject(JSON.parse(value)) ? value : undefined;
    } catch {
      return undefined;
    }
  }
  return isObject(value ?? {}) ? JSON.stringify(value ?? {}) : undefined;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A call written as JSON; `undefined` when it is none of these functions, or not of named arguments. */
export function parseCall(
  text: string,
  tools: readonly Tool[],
): AnswerToolCall | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const { name, parameters } = value;
  const args = argumentsOf(parameters ?? value.arguments);
  return typeof name === "string" && args !== undefined &&
      tools.some((tool) => tool.function.name === name)
    ? newCall(name, args)
    : undefined;
}

/** Takes words and calls of an answer apart as it comes. */
export interface CallReader {
  /** Takes a part of the answer; returns the words and calls that became certain. */
  readonly push: (delta: string) => ParsedAnswer;
  /** Ends the answer; a call that is not whole, or of no known function, is given as words. */
  readonly end: () => ParsedAnswer;
}

/** Reads an answer for calls of these functions; more than `most` of them are left out. */
export function makeCallReader(
  tools: readonly Tool[],
  most = Infinity,
): CallReader {
  let pending = "";
  let made = 0;
  const take = (last: boolean): ParsedAnswer => {
    let text = "";
    const calls: AnswerToolCall[] = [];
    while (pending !== "") {
      const start = pending.indexOf(actionStart);
      if (start < 0) {
        // The end may be the beginning of a mark.
        const keep = last ? 0 : overlap(pending, actionStart);
        text += pending.slice(0, pending.length - keep);
        pending = pending.slice(pending.length - keep);
        break;
      }
      const end = pending.indexOf(actionEnd, start);
      if (end < 0 && !last) {
        text += pending.slice(0, start);
        pending = pending.slice(start);
        break;
      }
      const body = pending.slice(
        start + actionStart.length,
        end < 0 ? undefined : end,
      );
      const call = parseCall(body.replace(plugin, "").trim(), tools);
      const after = end < 0 ? pending.length : end + actionEnd.length;
      text += call === undefined
        ? pending.slice(0, after)
        : pending.slice(0, start);
      if (call !== undefined && made++ < most) calls.push(call);
      pending = pending.slice(after);
    }
    return { text, calls };
  };
  return {
    push: (delta) => {
      pending += delta;
      return take(false);
    },
    end: () => take(true),
  };
}

/** Length of the longest end of `text` that `mark` begins with. */
function overlap(text: string, mark: string): number {
  for (let n = Math.min(text.length, mark.length - 1); n > 0; n--) {
    if (text.endsWith(mark.slice(0, n))) return n;
  }
  return 0;
}
