/**
 * Text for terminals: nothing hostile passes, and widths are counted in cells.
 * @module
 */
import { displayWidth } from "effect/cli/CliOutput";

/**
 * A text file, without the mark of its encoding that editors on Windows put first; in UTF-16 where the
 * mark says so, as PowerShell's `>` writes.
 */
export function readText(path: string): string {
  const bytes = Deno.readFileSync(path);
  const wide = bytes[0] === 0xff && bytes[1] === 0xfe;
  return new TextDecoder(wide ? "utf-16le" : "utf-8").decode(bytes);
}

// C0 without tab and newline, DEL, C1; then the controls that reorder or hide text. Escape sequences
// lose their first character and with it their meaning.
const controls =
  // deno-lint-ignore no-control-regex
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]/g;

/** Drops everything with which text could steer a terminal; tabs and newlines stay. */
export function printable(text: string): string {
  return text.replace(controls, "");
}

/** {@link printable} text on one line. */
export function oneLine(text: string): string {
  return printable(text.replace(/\s*[\r\n]+\s*/g, " ").replace(/\t/g, " "))
    .trim();
}

/** JSON on one line, with what {@link printable} drops written as `\u` escapes: the same value. */
export function jsonLine(value: unknown): string {
  return escapeControls(JSON.stringify(value));
}

/** Indented JSON, escaped as {@link jsonLine}. */
export function jsonText(value: unknown): string {
  return escapeControls(JSON.stringify(value, null, 2));
}

function escapeControls(json: string): string {
  return json.replace(
    controls,
    (character) =>
      `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Cuts text to so many cells, with `…` where something is missing. */
export function fit(text: string, cells: number): string {
  if (cells <= 0) return "";
  if (displayWidth(text) <= cells) return text;
  let result = "";
  let used = 0;
  for (const { segment } of segmenter.segment(text)) {
    const width = displayWidth(segment);
    if (used + width > cells - 1) break;
    result += segment;
    used += width;
  }
  return `${result}…`;
}

/** Pads text on the right to so many cells. */
export function padEnd(text: string, cells: number): string {
  return text + " ".repeat(Math.max(0, cells - displayWidth(text)));
}

/** Pads text on the left to so many cells. */
export function padStart(text: string, cells: number): string {
  return " ".repeat(Math.max(0, cells - displayWidth(text))) + text;
}

/** Breaks text at spaces into lines of at most so many cells; a longer word stands alone. */
export function wrap(text: string, cells: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    let used = 0;
    for (const word of paragraph.split(/ +/)) {
      const width = displayWidth(word);
      if (line !== "" && used + 1 + width > cells) {
        lines.push(line);
        line = word;
        used = width;
      } else {
        used += (line === "" ? 0 : 1) + width;
        line = line === "" ? word : `${line} ${word}`;
      }
    }
    lines.push(line);
  }
  return lines;
}

/** A duration for people: `850 ms`, `12.3 s`, `4:05`, `1:02:03`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  return clock(ms);
}

/** A duration as `m:ss` or `h:mm:ss`. */
export function clock(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const two = (value: number) => String(value).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0
    ? `${hours}:${two(minutes)}:${two(seconds % 60)}`
    : `${minutes}:${two(seconds % 60)}`;
}

/** A count with thousands marked: `1,053`. */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** A number and its noun: `1 tile`, `7 tiles`. */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** Bytes for people, in powers of 1024: `512 B`, `1.5 GiB`. */
export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${
    unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)
  } ${units[unit]}`;
}

/** The known name nearest to a mistyped one, when it is near. */
export function nearest(
  name: string,
  known: Iterable<string>,
): string | undefined {
  let best: string | undefined;
  let least = Math.min(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(
        row[j]! + 1,
        next[j - 1]! + 1,
        row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1),
      ));
    }
    row = next;
  }
  return row[b.length]!;
}
