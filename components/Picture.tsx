import type { JSX } from "preact";

/** The picture that a preview carries, as a `data:` URL of an image; nothing else is taken for one. */
export function iconOf(preview: unknown): string | undefined {
  const icon = (preview as { readonly icon?: unknown } | null | undefined)
    ?.icon;
  return typeof icon === "string" &&
      /^data:image\/(png|jpeg|webp|gif);base64,[\w+/=]+$/.test(icon)
    ? icon
    : undefined;
}

/** The last part of a path or an address. */
export function nameOf(source: string): string {
  return source.split(/[/\\]/).filter((part) => part !== "").at(-1) ?? source;
}

/** What a question is about: a small picture where there is one, else its name. */
export function Picture(
  { preview, sources }: {
    /** Preview of the first picture. */
    readonly preview?: unknown;
    /** Names of all pictures and of the video. */
    readonly sources: readonly string[];
  },
): JSX.Element | null {
  const icon = iconOf(preview);
  const { width, height } = (preview ?? {}) as {
    readonly width?: number;
    readonly height?: number;
  };
  if (icon === undefined && sources.length === 0) return null;
  const name = nameOf(sources[0] ?? "");
  const size = typeof width === "number" ? `${width} × ${height}` : "";
  return (
    <figure class="picture">
      {icon === undefined
        ? <span class="frame muted small">{size || "no preview"}</span>
        : <img class="frame" src={icon} alt={name} loading="lazy" />}
      <figcaption class="muted small clip" title={sources.join("\n")}>
        {sources.length > 1 ? `${name} +${sources.length - 1}` : name}
      </figcaption>
    </figure>
  );
}
