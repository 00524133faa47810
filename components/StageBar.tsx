import type { JSX } from "preact";
import { duration } from "./format.ts";
import { stageClass } from "./stages.ts";

/** Times of stages as parts of a bar. */
export function StageBar(
  { stages, width = 120 }: {
    readonly stages: readonly (readonly [name: string, ms: number])[];
    readonly width?: number;
  },
): JSX.Element | null {
  const shown = stages.filter(([, ms]) => ms > 0);
  const total = shown.reduce((sum, [, ms]) => sum + ms, 0);
  if (total <= 0) return null;
  const text = shown.map(([name, ms]) => `${name} ${duration(ms)}`).join(", ");
  let at = 0;
  return (
    <svg
      class="stage-bar"
      width={width}
      height="10"
      viewBox={`0 0 ${width} 10`}
      role="img"
      aria-label={text}
    >
      <title>{text}</title>
      {shown.map(([name, ms]) => {
        const x = at;
        const w = ms / total * width;
        at += w;
        return (
          <rect
            key={name}
            class={`stage ${stageClass(name)}`}
            x={x.toFixed(2)}
            y="0"
            width={Math.max(0.5, w - (w > 3 ? 1 : 0)).toFixed(2)}
            height="10"
          />
        );
      })}
    </svg>
  );
}

/** Names of stages with their colours. */
export function StageLegend(
  { names }: { readonly names: readonly string[] },
): JSX.Element {
  return (
    <ul class="legend" aria-label="Stages">
      {names.map((name) => (
        <li key={name}>
          <span class={`dot ${stageClass(name)}`} />
          {name}
        </li>
      ))}
    </ul>
  );
}
