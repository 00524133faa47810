/**
 * Pipelines named on the command line: ready-made ones, documents, and the plugins that add kinds.
 * @module
 */
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as Effect from "effect/Effect";
import * as Result from "effect/Result";
import * as Schema from "effect/Schema";
import * as Flag from "effect/cli/Flag";
import type {
  AnyPipeline,
  AnyPlugin,
  AnyPort,
  AnyRegistry,
} from "../pipeline/mod.ts";
import {
  type Fault,
  fileReason,
  InputError,
  isFault,
  PluginError,
  requireFileFault,
  UsageError,
} from "./faults.ts";
import { path } from "./flags.ts";
import { nearest, readText } from "./text.ts";

/** `--plugin`, given as often as there are plugins. */
export const pluginFlag: Flag.Flag<readonly string[]> = path("plugin")
  .pipe(
    Flag.withMetavar("MODULE"),
    Flag.withDescription(
      "A module that exports a plugin with more kinds; its code is run",
    ),
    Flag.atLeast(0),
  );

const documentLimit = 16 << 20;

/** Ready-made pipelines and kinds, with those of plugin modules. */
export const loadRegistry: (
  plugins: readonly string[],
) => Effect.Effect<AnyRegistry, Fault> = Effect.fnUntraced(
  function* (plugins: readonly string[]) {
    const { makeRegistry } = yield* Effect.promise(() =>
      import("../pipeline/mod.ts")
    );
    const { builtin } = yield* Effect.promise(() => import("../nodes/mod.ts"));
    const loaded = yield* Effect.forEach(plugins, loadPlugin);
    return yield* Effect.try({
      try: (): AnyRegistry => makeRegistry([builtin, ...loaded.flat()]),
      catch: (error) => error as Fault,
    });
  },
);

const loadPlugin = Effect.fnUntraced(function* (
  specifier: string,
): Effect.fn.Return<AnyPlugin[], Fault> {
  const remote = /^(https|jsr|npm):/.test(specifier);
  const file = specifier.startsWith("file:")
    ? fileURLToPath(specifier)
    : resolve(specifier);
  const fault = remote ? undefined : requireFileFault("plugin", file);
  if (fault !== undefined) return yield* Effect.fail<Fault>(fault);
  const url = remote ? specifier : pathToFileURL(file).href;
  const module = yield* Effect.tryPromise({
    try: () => import(url) as Promise<Record<string, unknown>>,
    catch: (cause): Fault =>
      new InputError(
        `cannot load plugin ${specifier}: ${fileReason(cause)}`,
        { cause },
      ),
  });
  const found = Object.values(module).filter(isPlugin);
  if (found.length === 0) {
    return yield* Effect.fail<Fault>(
      new InputError(
        `${specifier} exports no plugin; export what definePlugin returns`,
      ),
    );
  }
  return [...new Set(found)];
});

/**
 * What a run has failed with, where it is no error that is meant for people: a defect of the plugin whose node
 * failed first, if that is not the built-in one.
 */
export function pluginFault(
  error: unknown,
  failed: { readonly node: string; readonly kind: string } | undefined,
  registry: AnyRegistry,
): unknown {
  if (failed === undefined || isFault(error)) return error;
  const owner = registry.plugins.slice(1).find(({ nodes }) =>
    nodes.some(({ kind }) => kind === failed.kind)
  );
  if (owner === undefined) return error;
  return new PluginError(
    `node "${failed.node}": "${failed.kind}" of plugin "${owner.name}" failed unexpectedly: ${
      error instanceof Error ? error.message : String(error)
    } (TESSERA_DEBUG=1 shows where)`,
    { cause: error },
  );
}

function isPlugin(value: unknown): value is AnyPlugin {
  const plugin = value as Partial<AnyPlugin> | null;
  return typeof plugin === "object" && plugin !== null &&
    typeof plugin.name === "string" && Array.isArray(plugin.nodes) &&
    Array.isArray(plugin.pipelines) && Array.isArray(plugin.ports);
}

/** A ready-made pipeline by its name, or a document by its path. */
export const findPipeline: (
  name: string,
  registry: AnyRegistry,
) => Effect.Effect<AnyPipeline, Fault> = Effect.fnUntraced(
  function* (name: string, registry: AnyRegistry) {
    const known = registry.pipelines.get(name);
    if (known !== undefined) return known;
    const text = yield* Effect.try({
      try: () => readDocument(name),
      catch: (cause) => {
        if (isFault(cause)) return cause;
        const names = [...registry.pipelines.keys()];
        if (!(cause instanceof Deno.errors.NotFound) || /[./\\]/.test(name)) {
          return new InputError(
            `cannot read document ${name}: ${fileReason(cause)}`,
            { cause },
          );
        }
        const guess = nearest(name, names);
        return new UsageError(
          `there is no pipeline ${name} and no file of that name` +
            (guess === undefined ? "" : `; did you mean ${guess}?`) +
            ` (ready-made: ${names.join(", ")})`,
        );
      },
    });
    const { fromDocument, GraphError } = yield* Effect.promise(() =>
      import("../pipeline/mod.ts")
    );
    return yield* Effect.mapError(
      fromDocument(text, registry),
      ({ message, place, problems }): Fault =>
        new GraphError({ message: `${name}: ${message}`, place, problems }),
    );
  },
);

function readDocument(path: string): string {
  const { size, isFile, isDirectory } = Deno.statSync(path);
  if (!isFile && !isDirectory) {
    throw new InputError(`document ${path} is no regular file`);
  }
  if (size > documentLimit) {
    throw new InputError(
      `document ${path} has ${size} bytes; at most ${documentLimit} are read`,
    );
  }
  return readText(path);
}

/**
 * The values of a pipeline's inputs from `name=value` texts. A value is decoded by its port's codec, as
 * it stands where the codec takes text (paths, questions), as JSON otherwise; a list port takes a JSON
 * list, or the same name several times.
 */
export function decodeInputs(
  pipeline: AnyPipeline,
  assignments: readonly string[],
): Record<string, unknown> {
  const given = new Map<string, string[]>();
  for (const assignment of assignments) {
    const equals = assignment.indexOf("=");
    if (equals <= 0) {
      throw new UsageError(
        `--input ${JSON.stringify(assignment)} is not of the form name=value`,
      );
    }
    const name = assignment.slice(0, equals);
    given.set(name, [
      ...(given.get(name) ?? []),
      assignment.slice(equals + 1),
    ]);
  }
  const ports: Record<string, AnyPort> = pipeline.inputs;
  const values: Record<string, unknown> = {};
  for (const [name, texts] of given) {
    const port = Object.hasOwn(ports, name) ? ports[name] : undefined;
    if (port === undefined) {
      const guess = nearest(name, Object.keys(ports));
      throw new UsageError(
        `pipeline ${pipeline.name} has no input ${name}` +
          (guess === undefined ? "" : `; did you mean ${guess}?`) +
          ` (inputs: ${inputList(pipeline)})`,
      );
    }
    values[name] = decodeInput(name, port, texts);
  }
  const missing = Object.entries(ports)
    .filter(([name, port]) => !given.has(name) && port.omittable !== true)
    .map(([name]) => name);
  if (missing.length > 0) {
    throw new UsageError(
      `pipeline ${pipeline.name} needs --input ${
        missing.map((name) => `${name}=…`).join(" --input ")
      } (inputs: ${inputList(pipeline)})`,
    );
  }
  return values;
}

function inputList(pipeline: AnyPipeline): string {
  return Object.entries<AnyPort>(pipeline.inputs).map(([name, port]) =>
    `${name}: ${port.name}`
  ).join(", ");
}

function decodeInput(
  name: string,
  port: AnyPort,
  texts: readonly string[],
): unknown {
  if (port.derived === "optional") {
    return decodeInput(name, port.element!, texts);
  }
  if (port.derived === "list") {
    const [first = ""] = texts;
    const json = texts.length === 1 && first.trimStart().startsWith("[")
      ? parseJson(first)
      : undefined;
    if (json !== undefined) {
      const decoded = decodeWith(port, json);
      if (Result.isSuccess(decoded)) return decoded.success;
      throw mismatch(name, port, first, decoded.failure);
    }
    return texts.map((text) => decodeInput(name, port.element!, [text]));
  }
  if (texts.length > 1) {
    throw new UsageError(
      `input ${name} is given ${texts.length} times; its type ${port.name} takes one value`,
    );
  }
  const text = texts[0]!;
  const json = parseJson(text);
  const looksJson = /^\s*[[{]/.test(text);
  const candidates = json === undefined
    ? [text]
    : looksJson || port.name === "Json"
    ? [json, text]
    : [text, json];
  const failures: string[] = [];
  for (const candidate of candidates) {
    const decoded = decodeWith(port, candidate);
    if (Result.isSuccess(decoded)) return decoded.success;
    failures.push(decoded.failure);
  }
  // Whoever wrote JSON wants to know what is wrong in it, and not that text is not wanted.
  const failure = !looksJson
    ? failures.at(-1)!
    : json === undefined
    ? "it is no whole JSON"
    : failures[0]!;
  throw mismatch(name, port, text, failure);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function decodeWith(
  port: AnyPort,
  value: unknown,
): Result.Result<unknown, string> {
  if (port.schema === undefined) {
    return Result.fail(
      `a ${port.name} cannot be given on the command line; let a node make it`,
    );
  }
  // A field that nobody reads is a mistyped one, as in a document.
  return Result.mapError(
    Schema.decodeUnknownResult(port.schema, { onExcessProperty: "error" })(
      value,
    ),
    (error) =>
      error.message.replace(
        "Expected no excess property",
        "there is no such field",
      ),
  );
}

function mismatch(
  name: string,
  port: AnyPort,
  text: string,
  failure: string,
): UsageError {
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return new UsageError(
    `input ${name}: ${JSON.stringify(shown)} is no ${port.name}: ${failure}`,
  );
}

const largestOutput = 64 << 10;

/** The outputs of a run as JSON: whole where their codec makes it short, previews otherwise. */
export function encodeOutputs(
  pipeline: AnyPipeline,
  outputs: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const ports: Record<string, AnyPort> = pipeline.outputs;
  return Object.fromEntries(
    Object.entries(outputs).map(([name, value]) => {
      const port = ports[name]!;
      if (port.schema !== undefined) {
        const encoded = Schema.encodeUnknownResult(port.schema)(value);
        if (
          Result.isSuccess(encoded) &&
          JSON.stringify(encoded.success).length <= largestOutput
        ) return [name, encoded.success];
      }
      return [name, port.preview(value)];
    }),
  );
}
