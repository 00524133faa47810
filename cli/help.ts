/**
 * Help texts, wrapped to the terminal's width.
 * @module
 */
import * as Option from "effect/Option";
import { displayWidth } from "effect/cli/CliOutput";
import type { FlagDoc, HelpDoc } from "effect/cli/HelpDoc";
import { padEnd, wrap } from "./text.ts";

/** Where help is shown. */
export interface HelpLayout {
  /** Cells across. */
  readonly columns: number;
  /** Whether headings may be bold. */
  readonly colors: boolean;
}

interface Row {
  readonly left: string;
  readonly right: string;
}

/** The help of a command. */
export function helpText(doc: HelpDoc, layout: HelpLayout): string {
  const columns = Math.max(30, Math.min(100, layout.columns));
  const heading = (text: string) =>
    layout.colors ? `\x1b[1m${text}\x1b[0m` : text;
  const sections: string[] = [];
  const section = (title: string, rows: readonly Row[]) => {
    if (rows.length > 0) {
      sections.push(`${heading(title)}\n${table(rows, columns)}`);
    }
  };
  if (doc.description !== "") {
    sections.push(wrap(doc.description, columns).join("\n"));
  }
  sections.push(`${heading("Usage:")} ${doc.usage}`);
  section(
    "Arguments",
    (doc.args ?? []).map((arg) => ({
      left: `${arg.name}${arg.variadic ? "…" : ""}`,
      right: Option.getOrElse(arg.description, () => ""),
    })),
  );
  for (const group of doc.subcommands ?? []) {
    section(
      group.group ?? "Commands",
      group.commands.map((command) => ({
        left: command.name,
        right: command.shortDescription ?? command.description,
      })),
    );
  }
  section("Flags", doc.flags.map(flagRow));
  section("Everywhere", (doc.globalFlags ?? []).map(flagRow));
  const examples = doc.examples ?? [];
  if (examples.length > 0) {
    sections.push(
      `${heading("Examples")}\n` +
        examples.map(({ command, description }) =>
          (description === undefined ? "" : wrap(description, columns - 5)
            .map((line) => `  # ${line}\n`).join("")) +
          command.split("\n").map((line) => `  ${line}`).join("\n")
        ).join("\n"),
    );
  }
  return `${sections.join("\n\n")}\n`;
}

function flagRow(flag: FlagDoc): Row {
  const names = [
    ...flag.aliases.filter((alias) => alias.length === 2),
    `--${flag.name}`,
  ].join(", ");
  const choices = / ?\(choices: ([^)]*)\)$/;
  const description = Option.getOrElse(flag.description, () => "");
  const named = choices.exec(description)?.[1]?.split(", ") ?? [];
  // A few choices stand beside the flag, many after its description.
  const few = named.length > 0 && named.length <= 3;
  const type = flag.type === "boolean"
    ? ""
    : ` ${few ? named.join("|") : named.length > 0 ? "NAME" : flag.type}`;
  return {
    left: names + type,
    right: description.replace(
      choices,
      named.length > 3 ? `: ${named.join(", ")}` : "",
    ),
  };
}

/** Two columns, or one under the other where there is no room for two. */
function table(rows: readonly Row[], columns: number): string {
  const widest = Math.max(...rows.map((row) => displayWidth(row.left)));
  const left = Math.min(widest, 26) + 4;
  const room = columns - left;
  if (room < 30) {
    return rows.map(({ left, right }) =>
      [
        `  ${left}`,
        ...wrap(right, columns - 6).filter((line) => line !== "").map((line) =>
          `      ${line}`
        ),
      ].join("\n")
    ).join("\n");
  }
  return rows.map((row) => {
    const lines = wrap(row.right, room);
    const first = displayWidth(row.left) + 4 <= left
      ? [padEnd(`  ${row.left}`, left) + (lines.shift() ?? "")]
      : [`  ${row.left}`];
    return [...first, ...lines.map((line) => " ".repeat(left) + line)].map((
      line,
    ) => line.trimEnd()).join("\n");
  }).join("\n");
}
