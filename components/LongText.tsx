import type { JSX } from "preact";

const shown = 420;

/** A text; the rest of a long one behind a click. */
export function LongText(
  { text, name }: {
    readonly text: string;
    /** Its class. */
    readonly name: "question" | "answer";
  },
): JSX.Element {
  if (text.length <= shown) return <p class={name}>{text}</p>;
  const cut = text.lastIndexOf(" ", shown - 20);
  const at = cut > shown / 2 ? cut : shown - 20;
  return (
    <>
      <p class={name}>{text.slice(0, at)}</p>
      <details class={name}>
        <summary class="small">… the rest</summary>
        {text.slice(at)}
      </details>
    </>
  );
}
