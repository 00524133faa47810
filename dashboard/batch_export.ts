/**
 * Questions and answers as files for other programs.
 * @module
 */
import type { BatchItem } from "../plugins/sqlite/mod.ts";

const columns = [
  "item",
  "id",
  "status",
  "question",
  "sources",
  "answer",
  "error",
  "tokens",
  "ms",
  "run_id",
] as const;

/**
 * A cell of a CSV file. Spreadsheets take a text for a formula when it begins with one of `= + - @`, a tab
 * or a line break; an apostrophe before it says that it is none (OWASP, "CSV Injection").
 *
 * ```ts
 * import { csvCell } from "./batch_export.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(csvCell('say "a, b"'), '"say ""a, b"""');
 * assert.equal(csvCell("=1+1"), "'=1+1");
 * assert.equal(csvCell(-3), "-3");
 * ```
 */
export function csvCell(value: string | number | undefined): string {
  if (value === undefined) return "";
  if (typeof value === "number") return String(value);
  const safe = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(value)
    ? `'${value}`
    : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** The first line of a CSV file. */
export const csvHead: string = `${columns.join(",")}\r\n`;

/** A question as a line of CSV. */
export function csvLine(item: BatchItem): string {
  const cells: Record<typeof columns[number], string | number | undefined> = {
    item: item.item,
    id: item.name,
    status: item.status,
    question: item.question,
    sources: item.sources.join(" | "),
    answer: item.answer,
    error: item.error,
    tokens: item.tokens,
    ms: item.ms,
    run_id: item.runId,
  };
  return `${columns.map((name) => csvCell(cells[name])).join(",")}\r\n`;
}

/** A question as a line of JSON. */
export function jsonLine(item: BatchItem): string {
  const { item: place, name: id, runId: run_id, status, question, sources } =
    item;
  const { answer, error, tokens, ms } = item;
  return `${
    JSON.stringify({
      item: place,
      id,
      status,
      question,
      sources,
      answer,
      error,
      tokens,
      ms,
      run_id,
    })
  }\n`;
}
