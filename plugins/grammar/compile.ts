/**
 * From a constraint as it is given to the language of its texts.
 * @module
 */
import { Effect } from "effect";
import { PromptError } from "../../nodes/errors.ts";
import type { OutputConstraint } from "../../nodes/values.ts";
import { plain } from "./characters.ts";
import { anyObject } from "./json.ts";
import {
  ConstraintFault,
  either,
  finish,
  type Language,
  type Part,
  text,
} from "./network.ts";
import { pattern } from "./regex.ts";
import { schemaPart } from "./schema.ts";

/** Most characters of a constraint as JSON. */
const MAX_LENGTH = 256 << 10;

const refused = (message: string): PromptError =>
  new PromptError({ setting: "constraint", message });

/** The constraint as one text: equal ones are the same. Fails where it is no JSON, or too long. */
export function constraintKey(
  constraint: OutputConstraint,
): Effect.Effect<string, PromptError> {
  return Effect.suspend(() => {
    let key: string | undefined;
    try {
      key = JSON.stringify(constraint);
    } catch {
      // Cycles, big integers, and nesting past the engine's stack.
    }
    if (key === undefined) {
      return Effect.fail(refused("the constraint is no JSON"));
    }
    return key.length > MAX_LENGTH
      ? Effect.fail(
        refused(
          `the constraint has ${key.length} characters; it may have ${MAX_LENGTH}`,
        ),
      )
      : Effect.succeed(key);
  });
}

/** The language of a constraint. Fails with {@link PromptError} that says what is wrong with it. */
export function compileConstraint(
  constraint: OutputConstraint,
): Effect.Effect<Language, PromptError> {
  return asPromptError(constraint, () => finish(part(constraint)));
}

/** Does something with a constraint; what is wrong with it becomes a {@link PromptError}. */
export function asPromptError<A>(
  constraint: OutputConstraint,
  work: () => A,
): Effect.Effect<A, PromptError> {
  return Effect.suspend(() => {
    const name = names[constraint?.type] ?? "the constraint";
    try {
      return Effect.succeed(work());
    } catch (cause) {
      if (cause instanceof ConstraintFault) {
        return Effect.fail(refused(`${name} ${cause.message}`));
      }
      if (cause instanceof RangeError) {
        return Effect.fail(refused(`${name} is nested too deep`));
      }
      throw cause;
    }
  });
}

const names: Readonly<Record<string, string>> = {
  json_schema: "the JSON schema",
  json_object: "the JSON object",
  regex: "the regular expression",
  choice: "the list of choices",
};

function part(constraint: OutputConstraint): Part {
  switch (constraint.type) {
    case "json_schema":
      return schemaPart(constraint.schema);
    case "json_object":
      return anyObject();
    case "regex":
      return pattern(constraint.pattern, { spelling: plain });
    case "choice":
      return either(...constraint.choices.map(text));
  }
}
