/**
 * Patterns for the formats of JSON Schema. Each matches a part of what the format allows, and nothing
 * else: February ends on the 28th.
 * @module
 */

const day = "((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|" +
  "(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))";
const date = `[12]\\d{3}-${day}`;
const time = "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?" +
  "(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)";
const byte = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const label = "[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?";
const hostname = `${label}(\\.${label}){0,4}`;

/** Patterns by format. */
export const formats: ReadonlyMap<string, string> = new Map([
  ["date", date],
  ["time", time],
  ["date-time", `${date}T${time}`],
  ["uuid", "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"],
  ["ipv4", `(${byte}\\.){3}${byte}`],
  ["ipv6", "([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}"],
  ["hostname", hostname],
  [
    "email",
    `[A-Za-z0-9]{1,20}([._+-][A-Za-z0-9]{1,10}){0,3}@${label}(\\.${label}){1,4}`,
  ],
  [
    "uri",
    `https?://${hostname}(:[1-9]\\d{1,3})?(/[A-Za-z0-9._~-]+){0,16}/?` +
    "(\\?[A-Za-z0-9._~=&-]+)?(#[A-Za-z0-9._~-]+)?",
  ],
]);
