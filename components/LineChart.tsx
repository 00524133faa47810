import type { JSX } from "preact";

/** A line: a value for each point in time, `null` where there is none. */
export interface Line {
  /** Its name. */
  readonly name: string;
  /** Which of the ten colours. */
  readonly color: number;
  /** Its values. */
  readonly points: readonly (number | null)[];
}

/** The largest value of some lines; 1 where there is none, so that a scale can be made of it. */
export function largest(lines: readonly Line[]): number {
  let most = 0;
  for (const { points } of lines) {
    for (const point of points) {
      if (point !== null && point > most) most = point;
    }
  }
  return most === 0 ? 1 : most;
}

/**
 * Where values stand between gaps: a line does not show them, so they are drawn as dots.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { lonely } from "./LineChart.tsx";
 *
 * assert.deepEqual(lonely([1, null, 2, 3, null, 4]), [0, 5]);
 * ```
 */
export function lonely(points: readonly (number | null)[]): number[] {
  const found: number[] = [];
  points.forEach((point, i) => {
    const alone = (points[i - 1] ?? null) === null &&
      (points[i + 1] ?? null) === null;
    if (point !== null && alone) found.push(i);
  });
  return found;
}

/** The path of a line in a box of 100 by 100; a value between gaps is a dot. */
export function pathOf(
  points: readonly (number | null)[],
  most: number,
): string {
  const last = Math.max(1, points.length - 1);
  let path = "";
  let drawing = false;
  points.forEach((point, index) => {
    if (point === null) {
      drawing = false;
      return;
    }
    const x = (index / last * 100).toFixed(1);
    const y = (100 - point / most * 96).toFixed(1);
    path += drawing ? `L${x} ${y}` : `M${x} ${y}h0`;
    drawing = true;
  });
  return path;
}

/** Lines over time, as plain SVG that fills its place. */
export function LineChart(
  { lines, label }: {
    readonly lines: readonly Line[];
    /** What it says, for those who do not see it; without it, it is decoration. */
    readonly label?: string;
  },
): JSX.Element {
  const most = largest(lines);
  return (
    <svg
      class="lines"
      viewBox="0 0 100 100"
      preserveAspectRatio="none"
      {...(label === undefined
        ? { "aria-hidden": "true" }
        : { role: "img", "aria-label": label })}
    >
      {lines.map(({ name, color, points }) => (
        <path key={name} class={`stage-${color}`} d={pathOf(points, most)} />
      ))}
    </svg>
  );
}
