/**
 * One-line descriptions of what is wrong: with a graph, with a value, with a name.
 * @module
 */
import { SchemaIssue } from "effect";
import { GraphError, type GraphProblem } from "./errors.ts";

export type { GraphProblem } from "./errors.ts";

/** One error for all problems: its message is the first one and how many more there are. */
export function graphError(
  pipeline: string | undefined,
  problems: readonly GraphProblem[],
  cause?: unknown,
): GraphError {
  const first = problems[0];
  const more = problems.length - 1;
  return new GraphError({
    message: `${
      pipeline === undefined ? "" : `pipeline "${oneLine(pipeline)}": `
    }${first?.message ?? "unknown problem"}${
      more > 0
        ? ` (and ${more} more ${more === 1 ? "problem" : "problems"})`
        : ""
    }`,
    place: {
      ...(pipeline === undefined ? {} : { pipeline }),
      ...(first?.node === undefined ? {} : { node: first.node }),
      ...(first?.port === undefined ? {} : { port: first.port }),
    },
    problems,
    ...(cause === undefined ? {} : { cause }),
  });
}

const longest = 300;

/** Text on one line, cut to 300 characters. */
export function oneLine(text: string): string {
  const line = text.slice(0, 2 * longest)
    .replace(/\s*[\r\n\u2028\u2029]+\s*/g, " ");
  return line.length > longest ? `${line.slice(0, longest)}…` : line;
}

/** One thing a schema found. */
export interface SchemaProblem {
  /** Keys from the root to the place. */
  readonly path: readonly PropertyKey[];
  /** One line, the path included. */
  readonly message: string;
  /** One line without the path. */
  readonly reason: string;
}

const format = SchemaIssue.makeFormatterStandardSchemaV1();

/** What a schema found wrong, one line each, such as `maxTiles: Expected a value between 1 and 40`. */
export function schemaProblems(
  error: { readonly issue: SchemaIssue.Issue },
): readonly SchemaProblem[] {
  return format(error.issue).issues.map((issue) => {
    const path = (issue.path ?? []).map((key) =>
      typeof key === "object" ? key.key : key
    );
    const place = path.map(String).join(".");
    return {
      path,
      reason: oneLine(issue.message),
      message: oneLine(
        place === "" ? issue.message : `${place}: ${issue.message}`,
      ),
    };
  });
}

/** What a schema found wrong, all on one line. */
export function schemaLine(
  error: { readonly issue: SchemaIssue.Issue },
): string {
  return oneLine(
    schemaProblems(error).map(({ message }) => message).join("; "),
  );
}

/** The known names nearest to a wrong one, at most three, nearest first. */
export function nearest(name: string, known: Iterable<string>): string[] {
  const wrong = name.toLowerCase().slice(0, 100);
  const limit = Math.max(2, Math.floor(wrong.length / 3));
  return Array.from(known, (candidate) => ({
    candidate,
    distance: editDistance(wrong, candidate.toLowerCase().slice(0, 100)),
  }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) =>
      a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1)
    )
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/** `; did you mean "a" or "b"?`, or what is known when nothing is near. */
export function suggestion(name: string, known: Iterable<string>): string {
  const names = [...new Set(known)];
  const near = nearest(name, names);
  if (near.length > 0) {
    return `; did you mean ${near.map((n) => `"${n}"`).join(" or ")}?`;
  }
  if (names.length === 0) return "; there are none";
  const shown = names.sort().slice(0, 12).map((n) => `"${n}"`).join(", ");
  return `; known: ${shown}${names.length > 12 ? ", …" : ""}`;
}

/** Levenshtein distance: insertions, deletions and replacements of one character. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
