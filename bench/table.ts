/**
 * Tables for a terminal of 80 columns.
 * @module
 */

/** Columns a table may take. */
export const WIDTH = 80;

/**
 * Rows as lines of at most {@link WIDTH} characters: the first column to the left, as wide as what is
 * left over, its text wrapped at spaces; the others to the right. The first row is the heading, and a
 * row of one cell is a note across all columns.
 */
export function table(rows: readonly (readonly string[])[]): string {
  const columns = rows.reduce((most, row) => Math.max(most, row.length), 0);
  const widths = Array.from(
    { length: columns },
    (_, c) =>
      Math.max(...rows.map((row) => row.length === 1 ? 0 : length(row[c]))),
  );
  const rest = widths.slice(1).reduce((sum, width) => sum + width + 2, 0);
  const first = Math.max(12, Math.min(widths[0] ?? 0, WIDTH - rest));
  const lines: string[] = [];
  rows.forEach((row, r) => {
    if (row.length === 1) {
      lines.push(...wrap(row[0], WIDTH - 2).map((line) => `  ${line}`));
      return;
    }
    const names = wrap(row[0] ?? "", first);
    const cells = widths.slice(1).map((width, c) =>
      "  " + pad(row[c + 1] ?? "", width)
    );
    names.forEach((name, i) => {
      const padded = name + " ".repeat(first - length(name));
      // The numbers stand beside the last line of a name that takes several.
      lines.push(
        (i === names.length - 1 ? padded + cells.join("") : padded).trimEnd(),
      );
    });
    if (r === 0) lines.push("-".repeat(Math.min(WIDTH, first + rest)));
  });
  return lines.join("\n");
}

/** Breaks a text at spaces into lines of at most `width` characters; a longer word stays whole. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && length(longer) > width) {
      lines.push(line);
      line = word;
    } else line = longer;
  }
  lines.push(line);
  return lines;
}

const length = (text: string | undefined) => [...text ?? ""].length;

const pad = (text: string, width: number) =>
  " ".repeat(Math.max(0, width - length(text))) + text;
