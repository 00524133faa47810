/**
 * Builds what the browser gets: `deno task dashboard:build` writes `dashboard/generated/`, which is
 * committed, so that the server needs neither a bundler nor the right to start one.
 * @module
 */
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const root = new URL("../", import.meta.url);
const generated = new URL("./generated/", import.meta.url);

const types: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};

/** Files below a folder of the project, sorted, as paths inside it. */
async function filesIn(folder: string): Promise<string[]> {
  const found: string[] = [];
  const walk = async (inside: string): Promise<void> => {
    for await (
      const entry of Deno.readDir(new URL(`${folder}/${inside}`, root))
    ) {
      const path = inside + entry.name;
      if (entry.isDirectory) await walk(`${path}/`);
      else if (!/(_test|_kit)\.tsx?$/.test(path)) found.push(path);
    }
  };
  await walk("");
  return found.sort();
}

/** The generated files by name. */
export async function build(): Promise<Record<string, string>> {
  const routes = (await filesIn("routes")).filter((path) =>
    /\.tsx?$/.test(path)
  );
  const islands = (await filesIn("islands")).filter((path) =>
    path.endsWith(".tsx")
  );
  return {
    "manifest.ts": manifest(routes, islands),
    "assets.ts": await assets(islands),
  };
}

const note = "// Made by `deno task dashboard:build`; do not edit.\n";

function manifest(
  routes: readonly string[],
  islands: readonly string[],
): string {
  const imports = (folder: string, letter: string, files: readonly string[]) =>
    files.map((file, i) =>
      `import * as ${letter}${i} from "../../${folder}/${file}";\n`
    ).join("");
  const record = (letter: string, files: readonly string[]) =>
    files.map((file, i) => `  ${JSON.stringify(file)}: ${letter}${i},\n`)
      .join("");
  return `${note}${imports("routes", "r", routes)}${
    imports("islands", "i", islands)
  }import type { IslandFiles } from "../host/islands.ts";
import type { RouteFiles } from "../host/router.ts";

export const routes: RouteFiles = {
${record("r", routes)}};

export const islands: IslandFiles = {
${record("i", islands)}};
`;
}

async function assets(islands: readonly string[]): Promise<string> {
  const result = await esbuild.build({
    absWorkingDir: fileURLToPath(root),
    entryPoints: islands.map((file) => ({
      in: `island:${file}`,
      out: file.replace(/\.tsx$/, ""),
    })),
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2022",
    minify: true,
    charset: "utf8",
    legalComments: "none",
    jsx: "automatic",
    jsxImportSource: "preact",
    outdir: "assets",
    entryNames: "[dir]/[name]-[hash]",
    chunkNames: "chunk-[hash]",
    metafile: true,
    write: false,
    logLevel: "silent",
    plugins: [{
      name: "islands",
      setup: (builder) => {
        builder.onResolve({ filter: /^island:/ }, ({ path }) => ({
          path: path.slice("island:".length),
          namespace: "island",
        }));
        builder.onLoad({ filter: /.*/, namespace: "island" }, ({ path }) => ({
          contents: `import * as all from "./islands/${path}";
import { mount } from "./dashboard/client/mount.ts";
mount(${JSON.stringify(path)}, all);`,
          resolveDir: fileURLToPath(root),
        }));
      },
    }],
  });
  await esbuild.stop();
  const files: Record<string, { type: string; body: string; hashed: boolean }> =
    {};
  const add = (path: string, body: string, hashed: boolean) => {
    files[path] = {
      type: types[path.replace(/^.*\./, "")] ?? "application/octet-stream",
      body,
      hashed,
    };
  };
  const base = fileURLToPath(root);
  for (const { path, text } of result.outputFiles) {
    add(`/${path.slice(base.length).replaceAll("\\", "/")}`, text, true);
  }
  for (const path of await filesIn("static")) {
    add(
      `/${path}`,
      await Deno.readTextFile(new URL(`static/${path}`, root)),
      false,
    );
  }
  const scripts: Record<string, { script: string; imports: string[] }> = {};
  for (const [path, output] of Object.entries(result.metafile.outputs)) {
    // What an island imports when it needs it is an entry, too.
    if (output.entryPoint?.startsWith("island:") !== true) continue;
    scripts[output.entryPoint.slice("island:".length)] = {
      script: `/${path}`,
      imports: output.imports.filter(({ kind }) => kind === "import-statement")
        .map(({ path }) => `/${path}`),
    };
  }
  const sorted = <A>(record: Record<string, A>) =>
    Object.fromEntries(
      Object.entries(record).sort(([a], [b]) => a < b ? -1 : 1),
    );
  return `${note}import type { Asset } from "../host/app.ts";
import type { IslandScript } from "../host/render.ts";

export const assets: { readonly [path: string]: Asset } = ${
    JSON.stringify(sorted(files), null, 1)
  };

export const scripts: { readonly [file: string]: IslandScript } = ${
    JSON.stringify(sorted(scripts), null, 1)
  };
`;
}

if (import.meta.main) {
  try {
    await Deno.mkdir(generated, { recursive: true });
    for (const [name, text] of Object.entries(await build())) {
      await Deno.writeTextFile(new URL(name, generated), text);
    }
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    Deno.exit(1);
  }
}
