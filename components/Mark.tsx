import type { JSX } from "preact";

/** The mark of Tessera: four tiles. */
export function Mark(): JSX.Element {
  return (
    <svg width="18" height="18" viewBox="0 0 16 16" aria-hidden="true">
      <path fill="var(--stage-8)" d="M1 1h6v6H1z" />
      <path fill="var(--stage-2)" d="M9 1h6v6H9z" />
      <path fill="var(--stage-5)" d="M1 9h6v6H1z" />
      <path fill="var(--stage-4)" d="M9 9h6v6H9z" />
    </svg>
  );
}
