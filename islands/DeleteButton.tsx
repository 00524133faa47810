import type { JSX } from "preact";

/** Sends its form once somebody has said that he means it. */
export function DeleteButton({ ask }: {
  /** The question, such as "Delete this run for good?". */
  readonly ask: string;
}): JSX.Element {
  return (
    <button
      type="submit"
      name="action"
      value="delete"
      class="danger"
      onClick={(event) => {
        if (!confirm(ask)) event.preventDefault();
      }}
    >
      Delete
    </button>
  );
}
