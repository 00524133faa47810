import type { JSX } from "preact";
import type { Preview as Json } from "../pipeline/mod.ts";
import { count } from "./format.ts";
import { iconOf } from "./Picture.tsx";

type Fields = { readonly [name: string]: unknown };

const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A value that passed a port, as far as its preview shows it. */
export function Preview(
  { value, picture }: {
    /** The preview. */
    readonly value: Json | undefined;
    /** The picture that tiles were cut from. */
    readonly picture?: string;
  },
): JSX.Element {
  if (value === undefined) return <span class="muted">not known</span>;
  if (value === null) return <span class="muted">nothing</span>;
  if (typeof value === "string") return <pre class="text">{value}</pre>;
  if (typeof value !== "object") return <code>{String(value)}</code>;
  if (Array.isArray(value)) {
    if (value.length === 0) return <span class="muted">none</span>;
    return (
      <ul class="previews">
        {(value as readonly Json[]).map((one, i) => (
          <li key={i}>
            <Preview value={one} picture={picture} />
          </li>
        ))}
      </ul>
    );
  }
  const fields = value as Fields;
  if (typeof fields.dtype === "string" && Array.isArray(fields.shape)) {
    return <Tensor fields={fields} picture={picture} />;
  }
  const icon = iconOf(fields);
  if (icon !== undefined) return <Image fields={fields} icon={icon} />;
  if (typeof fields.text === "string") return <Said fields={fields} />;
  return <Parts fields={fields} />;
}

/** An object that is nothing special: what it has, without what it has not. */
function Parts({ fields }: { readonly fields: Fields }): JSX.Element {
  const parts = Object.entries(fields).filter(([, value]) =>
    value !== null && !(Array.isArray(value) && value.length === 0)
  );
  if (parts.length === 0) return <span class="muted">nothing set</span>;
  if (parts.some(([, value]) => isObject(value))) {
    return <pre class="text">{JSON.stringify(fields, null, 1)}</pre>;
  }
  return (
    <dl class="parts">
      {parts.map(([name, value]) => (
        <>
          <dt>{name}</dt>
          <dd>
            {Array.isArray(value) &&
                value.every((one) => typeof one === "string")
              ? value.join(", ")
              : typeof value === "string"
              ? value
              : JSON.stringify(value)}
          </dd>
        </>
      ))}
    </dl>
  );
}

function Image(
  { fields, icon }: { readonly fields: Fields; readonly icon: string },
): JSX.Element {
  const { width, height, source } = fields;
  return (
    <figure class="shown">
      <img src={icon} alt={typeof source === "string" ? source : "picture"} />
      <figcaption class="muted small">
        {typeof width === "number" ? `${width} × ${height}` : ""}
      </figcaption>
    </figure>
  );
}

/** dtype and shape; the grid over the picture for tiles; the spread of the values where it is known. */
function Tensor(
  { fields, picture }: {
    readonly fields: Fields;
    readonly picture: string | undefined;
  },
): JSX.Element {
  const { dtype, shape, grid, thumbnail, stats } = fields;
  return (
    <div class="tensor">
      <code>{String(dtype)}[{(shape as unknown[]).join(", ")}]</code>
      {Array.isArray(grid) && Number(grid[0]) > 0 && (
        <Grid
          columns={Number(grid[0])}
          rows={Number(grid[1])}
          thumbnail={thumbnail === true}
          picture={picture}
        />
      )}
      {isObject(stats) && <Stats stats={stats} />}
    </div>
  );
}

function Grid({ columns, rows, thumbnail, picture }: {
  readonly columns: number;
  readonly rows: number;
  readonly thumbnail: boolean;
  readonly picture: string | undefined;
}): JSX.Element {
  const tiles = columns * rows === 1 ? "1 tile" : `${columns} × ${rows} tiles`;
  const edge = Math.min(96, 264 / Math.max(columns, rows));
  const width = columns * edge;
  const height = rows * edge;
  const lines: JSX.Element[] = [];
  for (let c = 0; c <= columns; c++) {
    lines.push(
      <path key={`c${c}`} d={`M${c * edge} 0V${height}`} class="cut" />,
    );
  }
  for (let r = 0; r <= rows; r++) {
    lines.push(
      <path key={`r${r}`} d={`M0 ${r * edge}H${width}`} class="cut" />,
    );
  }
  return (
    <figure class="shown">
      <svg
        width={width + 2}
        height={height + 2}
        viewBox={`-1 -1 ${width + 2} ${height + 2}`}
        role="img"
        aria-label={tiles}
      >
        <rect width={width} height={height} class="ground" />
        {picture !== undefined && (
          <image
            href={picture}
            width={width}
            height={height}
            preserveAspectRatio="none"
          />
        )}
        {lines}
      </svg>
      <figcaption class="muted small">
        {tiles}
        {thumbnail ? " and a thumbnail" : ""}
      </figcaption>
    </figure>
  );
}

function Stats({ stats }: { readonly stats: Fields }): JSX.Element {
  const short = (value: unknown) =>
    typeof value === "number" ? String(Number(value.toPrecision(4))) : "–";
  const bins = Array.isArray(stats.histogram)
    ? (stats.histogram as readonly unknown[]).map(Number)
    : [];
  const most = Math.max(1, ...bins);
  return (
    <div class="stats">
      <svg
        width="160"
        height="36"
        viewBox="0 0 160 36"
        role="img"
        aria-label="Histogram of the values"
      >
        {bins.map((n, i) => (
          <rect
            key={i}
            class="bin"
            x={i * 160 / bins.length}
            y={36 - n / most * 36}
            width={160 / bins.length - 1}
            height={n / most * 36}
          />
        ))}
      </svg>
      <span class="muted small">
        {short(stats.min)} … {short(stats.max)}, mean {short(stats.mean)}
        {typeof stats.of === "number" && <>{" "}(of {count(stats.of)} values)
        </>}
      </span>
    </div>
  );
}

/** A prompt, with its pictures folded, or an answer, with the probabilities of its tokens. */
function Said({ fields }: { readonly fields: Fields }): JSX.Element {
  const { text, tokens, finishReason, usage } = fields;
  const facts = [
    ...(typeof tokens === "number" ? [`${count(tokens)} tokens`] : []),
    ...(isObject(usage)
      ? Object.entries(usage).map(([name, n]) =>
        `${name.replace(/([A-Z])/g, " $1").toLowerCase()}: ${count(Number(n))}`
      )
      : []),
    ...(typeof finishReason === "string" ? [`ended by ${finishReason}`] : []),
  ];
  const heat = Array.isArray(fields.logprobs) ? fields.logprobs : undefined;
  return (
    <div>
      {heat === undefined
        ? <pre class="text">{foldPictures(String(text))}</pre>
        : <Heat tokens={heat} />}
      {facts.length > 0 && <p class="muted small">{facts.join(" · ")}</p>}
    </div>
  );
}

function foldPictures(text: string): (string | JSX.Element)[] {
  return text.split(/(<img>.*?<\/img>)/gs).map((part, i) => {
    const match = /^<img>.*?×(\d+)<\/img>$/s.exec(part) ??
      (part.startsWith("<img>") ? [part, ""] : null);
    return match === null ? part : (
      <span key={i} class="chip">
        picture{match[1] === "" ? "" : ` × ${count(Number(match[1]))} tokens`}
      </span>
    );
  });
}

/** Tokens in the colour of how sure the model was. */
function Heat(
  { tokens }: { readonly tokens: readonly unknown[] },
): JSX.Element {
  return (
    <pre class="text heat">
      {tokens.map((one, i) => {
        const [text, logprob] = Array.isArray(one) ? one : ["", 0];
        const p = Math.exp(Number(logprob));
        const level = p > 0.9 ? 0 : p > 0.6 ? 1 : p > 0.3 ? 2 : p > 0.1 ? 3 : 4;
        return (
          <span
            key={i}
            class={`h${level}`}
            title={`${(p * 100).toFixed(1)} %, log ${Number(logprob).toFixed(2)}`}
          >
            {String(text)}
          </span>
        );
      })}
    </pre>
  );
}
