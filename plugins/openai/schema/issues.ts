/**
 * What a schema has against a request, as one mistake in OpenAI's form.
 * @module
 */
import { type Schema, SchemaIssue } from "effect";
import { type ApiError, invalid, unsupported } from "../errors.ts";
import { notSupported } from "./common.ts";

const format = SchemaIssue.makeFormatterStandardSchemaV1();

/** The first mistake that names a field, as an error with that field. */
export function mistake(error: Schema.SchemaError): ApiError {
  const { issues } = format(error.issue);
  // A union reports every member. One that only has another kind says least, the deepest complaint most.
  const kinds = issues.filter(({ message }) => otherKind.test(message));
  const issue =
    (kinds.length < issues.length
      ? issues.filter(({ message }) => !otherKind.test(message))
      : issues).toSorted((a, b) =>
        (b.path?.length ?? 0) - (a.path?.length ?? 0)
      )[0];
  if (issue === undefined) return invalid(undefined, error.message);
  const param = (issue.path ?? []).reduce<string>((path, key) => {
    const name = typeof key === "object" ? key.key : key;
    return typeof name === "number"
      ? `${path}[${name}]`
      : `${path}${path === "" ? "" : "."}${String(name)}`;
  }, "").slice(0, 200);
  const message =
    (kinds.length === issues.length
      ? `Expected ${
        [...new Set(kinds.flatMap((kind) => kind.message.match(/"[^"]*"/g)!))]
          .join(" | ")
      }`
      : issue.message)
      .replace(
        /\{ readonly "(\w+)": ("[^"]*"),(?: readonly "\w+"\?: "[^"]*",)? \.\.\. \}/g,
        "{$1: $2}",
      )
      .replace(/\s+/g, " ").slice(0, 400);
  if (/excess property|unexpected key/i.test(message)) {
    return invalid(
      param,
      `unknown parameter: ${param}`,
      "unknown_parameter",
    );
  }
  if (message === notSupported) {
    return unsupported(param, `${param} ${notSupported}`);
  }
  if (/missing key/i.test(message)) {
    return invalid(
      param,
      `missing required parameter: ${param}`,
      "missing_required_parameter",
    );
  }
  if (param === "" && /valid JSON/.test(message)) {
    return invalid(undefined, "the body is not valid JSON", "invalid_json");
  }
  // Of the whole there is nothing to say but this; the name of a schema says nothing.
  return param === ""
    ? invalid(undefined, "the body must be a JSON object")
    : invalid(param, `${param}: ${lower(message)}`);
}

/** Another value of a field that tells kinds apart, such as a role. */
const otherKind = /^Expected "[^"]*"( \| "[^"]*")*$/;

const lower = (text: string): string =>
  /^[A-Z][a-z]/.test(text) ? text[0]!.toLowerCase() + text.slice(1) : text;
