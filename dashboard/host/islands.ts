/**
 * Islands on the server: each is rendered inside an element that the browser finds again, and its props
 * go along as data.
 * @module
 */
import { stringify } from "devalue";
import {
  type ComponentType,
  createContext,
  h,
  options,
  type VNode,
} from "preact";
import { useContext } from "preact/hooks";

/** The files of `islands/` by their paths inside it. */
export type IslandFiles = {
  readonly [path: string]: { readonly [name: string]: unknown };
};

/** The islands that a page turned out to have. */
export interface PageIslands {
  /** Props by number, as devalue writes them. */
  readonly props: string[];
  /** Files that the page needs. */
  readonly files: Set<string>;
}

interface Island {
  readonly file: string;
  readonly name: string;
}

const Inside = createContext(false);
let current: PageIslands | undefined;
let islands = new Map<unknown, Island>();
let wrapping = false;
let hooked = false;

/** Says which components are islands. Rendering on this server is wrapped from now on. */
export function registerIslands(files: IslandFiles): void {
  islands = new Map(
    Object.entries(files).flatMap(([file, module]) =>
      Object.entries(module)
        .filter(([, value]) => typeof value === "function")
        .map(([name, value]) => [value, { file, name }])
    ),
  );
  if (hooked) return;
  hooked = true;
  const before = options.vnode;
  options.vnode = (vnode) => {
    if (!wrapping && islands.has(vnode.type)) {
      const { type, props } = vnode;
      vnode.type = Wrapper as ComponentType;
      vnode.props = { type, props } as unknown as typeof vnode.props;
    }
    before?.(vnode);
  };
}

function Wrapper(
  { type, props }: { type: ComponentType; props: Record<string, unknown> },
): VNode {
  const inside = useContext(Inside);
  wrapping = true;
  const vnode = h(type, props);
  wrapping = false;
  if (inside || current === undefined) return vnode;
  const { file, name } = islands.get(type)!;
  const index = current.props.length;
  try {
    current.props.push(stringify(props));
  } catch (cause) {
    throw new TypeError(
      `island ${name} of islands/${file}: its props must be plain data`,
      { cause },
    );
  }
  current.files.add(file);
  return h(
    "tessera-island",
    {
      "data-island": `${file}#${name}`,
      "data-props": index,
      // deno-lint-ignore no-explicit-any
    } as any,
    h(Inside.Provider, { value: true, children: vnode }),
  );
}

/** Renders with the islands collected. Rendering is synchronous, so one page at a time. */
export function collectIslands<A>(
  render: () => A,
): { readonly value: A; readonly islands: PageIslands } {
  const collected: PageIslands = { props: [], files: new Set() };
  current = collected;
  try {
    return { value: render(), islands: collected };
  } finally {
    current = undefined;
  }
}
