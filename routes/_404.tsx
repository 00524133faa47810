import type { JSX } from "preact";

/** Shown where there is no page. */
export default function NotFound(): JSX.Element {
  return (
    <div class="empty">
      <h1>There is no such page</h1>
      <p>
        <a href="/">All runs</a>
      </p>
    </div>
  );
}
