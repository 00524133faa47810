/**
 * What a schema has against a request, as one mistake in OpenAI's form.
 * @module
 */
import { type Schema, SchemaIssue } from "effect";
import { type ApiError, invalid } from "../errors.ts";

const format = SchemaIssue.makeFormatterStandardSchemaV1();

/** The first mistake that names a field, as an error with that field. */
export function mistake(error: Schema.SchemaError): ApiError {
  const { issues } = format(error.issue);
  // A union reports every member; the deepest complaint says most.
  const issue =
    issues.toSorted((a, b) => (b.path?.length ?? 0) - (a.path?.length ?? 0))[0];
  if (issue === undefined) return invalid(undefined, error.message);
  const param = (issue.path ?? []).reduce<string>((path, key) => {
    const name = typeof key === "object" ? key.key : key;
    return typeof name === "number"
      ? `${path}[${name}]`
      : `${path}${path === "" ? "" : "."}${String(name)}`;
  }, "").slice(0, 200);
  const message = issue.message.replace(/\s+/g, " ").slice(0, 400);
  if (/excess property|unexpected key/i.test(message)) {
    return invalid(
      param,
      `unknown parameter: ${param}`,
      "unknown_parameter",
    );
  }
  if (/missing key/i.test(message)) {
    return invalid(
      param,
      `missing required parameter: ${param}`,
      "missing_required_parameter",
    );
  }
  return invalid(
    param === "" ? undefined : param,
    param === "" ? lower(message) : `${param}: ${lower(message)}`,
  );
}

const lower = (text: string): string =>
  /^[A-Z][a-z]/.test(text) ? text[0]!.toLowerCase() + text.slice(1) : text;
