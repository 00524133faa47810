import type { JSX } from "preact";
import { Mark } from "../components/Mark.tsx";
import type { LayoutProps } from "../dashboard/state.ts";

const pages: readonly (readonly [path: string, name: string])[] = [
  ["/", "Runs"],
  ["/latency", "Latency"],
  ["/batches", "Batches"],
  ["/chat", "Chat"],
  ["/pipelines", "Pipelines"],
];

const isOn = (path: string, at: string): boolean =>
  path === "/"
    ? at === "/" || at.startsWith("/runs/") || at === "/compare"
    : at === path || at.startsWith(`${path}/`);

/** The bar above every page. */
export default function Layout({ Component, url }: LayoutProps): JSX.Element {
  return (
    <>
      <a class="skip" href="#main">Skip to the content</a>
      <header class="top">
        <a class="brand" href="/" aria-label="Tessera">
          <Mark />
          <span>Tessera</span>
        </a>
        <nav aria-label="Pages">
          <ul>
            {pages.map(([path, name]) => (
              <li key={path}>
                <a
                  href={path}
                  aria-current={isOn(path, url.pathname) ? "page" : undefined}
                >
                  {name}
                </a>
              </li>
            ))}
          </ul>
        </nav>
      </header>
      <main id="main">
        <Component />
      </main>
    </>
  );
}
