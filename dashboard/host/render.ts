/**
 * Renders a page with its layouts and the app around it, and puts the scripts of its islands in.
 * @module
 */
import { type ComponentType, h, type VNode } from "preact";
import { renderToString } from "preact-render-to-string";
import type { LayoutProps, PageProps } from "../types.ts";
import { collectIslands, type PageIslands } from "./islands.ts";
import type { RouteModule } from "./router.ts";

/** Where the scripts of an island lie. */
export interface IslandScript {
  /** Path of the module that mounts it. */
  readonly script: string;
  /** Paths of what that module imports. */
  readonly imports: readonly string[];
}

/** What a page is made of. */
export interface PageParts {
  /** The page, then its layouts from the inside out, then the app. */
  readonly modules: readonly (RouteModule | undefined)[];
  /** What they get. */
  readonly props: PageProps<unknown, unknown>;
  /** Allows the page's own scripts. */
  readonly nonce: string | undefined;
  /** Scripts of an island's file. */
  readonly scriptOf: (file: string) => IslandScript | undefined;
}

type Renderable = ComponentType<LayoutProps<unknown>> & {
  readonly constructor: { readonly name: string };
};

/** A page as HTML; a component that answers with a `Response` has the last word. */
export async function renderPage(parts: PageParts): Promise<string | Response> {
  let content: VNode | null = null;
  for (const module of parts.modules) {
    const component = module?.default as Renderable | undefined;
    if (typeof component !== "function") continue;
    const inner: VNode | null = content;
    const props: LayoutProps<unknown> = {
      ...parts.props,
      Component: () => inner,
    };
    if (component.constructor.name === "AsyncFunction") {
      const made: unknown = await (component as (
        props: LayoutProps<unknown>,
      ) => unknown)(props);
      if (made instanceof Response) return made;
      content = made as VNode | null;
    } else content = h(component as ComponentType<object>, props);
  }
  const { value, islands } = collectIslands(() =>
    renderToString(content ?? h("html", {}))
  );
  return withScripts(`<!DOCTYPE html>${value}`, islands, parts);
}

function withScripts(
  html: string,
  islands: PageIslands,
  { nonce, scriptOf }: PageParts,
): string {
  if (islands.files.size === 0) return html;
  const allowed = nonce === undefined ? "" : ` nonce="${nonce}"`;
  const scripts = [...islands.files].flatMap((file) => scriptOf(file) ?? []);
  const imports = new Set(scripts.flatMap((script) => script.imports));
  const head = [...imports].map((path) =>
    `<link rel="modulepreload" href="${path}"${allowed}>`
  ).join("");
  // "<" cannot close the element it stands in.
  const data = JSON.stringify(islands.props).replaceAll("<", "\\u003c");
  const body =
    `<script type="application/json" id="tessera-props">${data}</script>` +
    scripts.map(({ script }) =>
      `<script type="module" src="${script}"${allowed}></script>`
    ).join("");
  return insertBefore(insertBefore(html, "</head>", head), "</body>", body);
}

function insertBefore(html: string, mark: string, text: string): string {
  const at = mark === "</head>" ? html.indexOf(mark) : html.lastIndexOf(mark);
  return at < 0 ? html + text : html.slice(0, at) + text + html.slice(at);
}
