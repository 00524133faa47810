/**
 * The browser's side of islands: finds the elements of a file's islands and brings them to life.
 * @module
 */
import { parse } from "devalue";
import { type ComponentType, h, hydrate } from "preact";

let props: readonly string[] | undefined;

/** Hydrates every island of one file of `islands/`. */
export function mount(
  file: string,
  module: { readonly [name: string]: unknown },
): void {
  props ??= JSON.parse(
    document.getElementById("tessera-props")?.textContent ?? "[]",
  ) as readonly string[];
  for (const element of document.querySelectorAll("tessera-island")) {
    const [of, name] = (element.getAttribute("data-island") ?? "").split("#");
    const component = module[name ?? ""];
    if (of !== file || typeof component !== "function") continue;
    const given = parse(props[Number(element.getAttribute("data-props"))]!);
    hydrate(h(component as ComponentType, given), element);
    element.setAttribute("data-live", "");
  }
}
