/**
 * `tessera doctor`: what works on this machine, and what to install for the rest.
 * @module
 */
import * as Effect from "effect/Effect";
import * as Command from "effect/cli/Command";
import type { MediaDiagnosis } from "../plugins/media/mod.ts";
import type { OnnxDiagnosis } from "../plugins/onnx/mod.ts";
import { type Fault, Reported } from "./faults.ts";
import * as flags from "./flags.ts";
import { hushed } from "./hush.ts";
import { Shell } from "./shell.ts";
import { bytes, jsonText, oneLine, wrap } from "./text.ts";
import { version } from "./version.ts";

const config = { json: flags.json };

/** What the flags of `doctor` parse to. */
export type DoctorFlags = Command.Command.Config.Infer<typeof config>;

/** One thing looked at. */
export interface Finding {
  /** Its name. */
  readonly name: string;
  /** `ok`; `missing`: something cannot be done without it; `optional`: something else does it as well. */
  readonly status: "ok" | "optional" | "missing";
  /** What was found. */
  readonly detail: string;
  /** What to do, where something is not there. */
  readonly remedy?: string;
}

/** Findings by group. */
export type Findings = Readonly<Record<string, readonly Finding[]>>;

/** Findings for people. */
export function findingsText(
  findings: Findings,
  layout: { readonly columns: number; readonly colors: boolean },
): string {
  const columns = Math.max(40, Math.min(100, layout.columns));
  const style = (code: string, text: string) =>
    layout.colors ? `\x1b[${code}m${text}\x1b[0m` : text;
  const marks = {
    ok: style("32", "ok     "),
    optional: style("33", "absent "),
    missing: style("31", "MISSING"),
  };
  const lines: string[] = [];
  for (const [group, list] of Object.entries(findings)) {
    lines.push(style("1", group));
    for (const { name, status, detail, remedy } of list) {
      const [first = "", ...rest] = wrap(
        oneLine(`${name}: ${detail}`),
        columns - 10,
      );
      lines.push(`  ${marks[status]} ${first}`);
      const more = remedy === undefined
        ? rest
        : [...rest, ...wrap(oneLine(remedy), columns - 10)];
      for (const line of more) lines.push(`          ${line}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

const reinstall =
  "Install the packages again: rm -r node_modules; deno install";

/** Looks at the machine. */
export const examine: Effect.Effect<Findings> = Effect.gen(function* () {
  const onnx = yield* Effect.promise(() => import("../plugins/onnx/mod.ts"));
  const media = yield* Effect.promise(() => import("../plugins/media/mod.ts"));
  const inference = yield* hushed(onnx.diagnose());
  const codecs = yield* media.diagnose;
  return {
    "Tessera": machine(),
    "Inference": inferenceFindings(inference),
    "Pictures": pictureFindings(codecs),
    "Videos": videoFindings(codecs),
  };
});

function machine(): readonly Finding[] {
  let memory = "memory not known";
  try {
    memory = bytes(Deno.systemMemoryInfo().total);
  } catch {
    // It may not be asked.
  }
  const { deno, v8, typescript } = Deno.version;
  const { os, arch } = Deno.build;
  return [
    { name: "Tessera", status: "ok", detail: version },
    {
      name: "Deno",
      status: "ok",
      detail: `${deno}, V8 ${v8}, TypeScript ${typescript}`,
    },
    {
      name: "machine",
      status: "ok",
      detail:
        `${os} ${arch}, ${navigator.hardwareConcurrency} cores, ${memory}`,
    },
  ];
}

/** Findings about ONNX Runtime. */
export function inferenceFindings(found: OnnxDiagnosis): readonly Finding[] {
  const { binding, ffiProblem, napiProblem } = found;
  const bindings: Finding[] =
    ([["ffi", ffiProblem], ["napi", napiProblem]] as const)
      .map(([name, problem]) => ({
        name: `binding ${name}`,
        status: problem === undefined
          ? "ok"
          : binding === undefined
          ? "missing"
          : "optional",
        detail: problem ?? (name === binding ? "in use" : "works"),
        ...(problem === undefined ? {} : { remedy: reinstall }),
      }));
  return [
    {
      name: "ONNX Runtime",
      status: binding === undefined ? "missing" : "ok",
      detail: found.version ?? "does not work here",
      ...(binding === undefined ? { remedy: reinstall } : {}),
    },
    ...bindings,
    ...found.devices.map(({ device, provider, usable, problem }): Finding => ({
      name: `device ${device}`,
      status: usable ? "ok" : device === "cpu" ? "missing" : "optional",
      detail: usable ? provider : problem?.replace(`device ${device}: `, "") ??
        `${provider} cannot be used`,
    })),
  ];
}

/** Findings about pictures. */
export function pictureFindings(found: MediaDiagnosis): readonly Finding[] {
  const { sharp, simd } = found;
  return [
    sharp.ok
      ? {
        name: "sharp",
        status: "ok",
        detail: `${sharp.version}, libvips ${sharp.libvips}: ${
          sharp.formats.join(", ")
        }`,
      }
      : {
        name: "sharp",
        status: "missing",
        detail: sharp.problem,
        remedy: reinstall,
      },
    simd.ok
      ? { name: "resampler", status: "ok", detail: "WebAssembly SIMD" }
      : {
        name: "resampler",
        status: "optional",
        detail: `${simd.problem}; the slower one in TypeScript is used`,
      },
  ];
}

/** Findings about videos: one of two readers is enough. */
export function videoFindings(found: MediaDiagnosis): readonly Finding[] {
  const { nodeAv, ffmpeg } = found;
  const absent = (name: string, problem: string, remedy: string): Finding => ({
    name,
    status: nodeAv.ok || ffmpeg.ok ? "optional" : "missing",
    detail: problem,
    remedy,
  });
  return [
    nodeAv.ok
      ? {
        name: "node-av",
        status: "ok",
        detail: `FFmpeg ${nodeAv.ffmpeg} (${nodeAv.licence}): ${
          nodeAv.codecs.join(", ")
        }`,
      }
      : absent("node-av", nodeAv.problem, reinstall),
    ffmpeg.ok
      ? {
        name: "ffmpeg",
        status: "ok",
        detail: `${ffmpeg.version}, ffprobe ${ffmpeg.probeVersion}`,
      }
      : absent(
        "ffmpeg",
        ffmpeg.problem,
        "Only needed where node-av does not work: apt-get install ffmpeg, brew install ffmpeg, " +
          "or winget install ffmpeg",
      ),
  ];
}

/** `doctor` with its arguments parsed. */
export const doctorHandler = Effect.fn("cli.doctor")(function* (
  options: DoctorFlags,
) {
  const shell = yield* Shell;
  const findings = yield* examine;
  yield* shell.write(
    options.json ? `${jsonText(findings)}\n` : findingsText(findings, {
      columns: shell.stdoutIsTerminal ? shell.columns() : 80,
      colors: shell.stdoutIsTerminal && shell.colors,
    }),
  );
  const missing = Object.values(findings).flat().some(({ status }) =>
    status === "missing"
  );
  if (missing) return yield* Effect.fail<Fault>(new Reported());
});

/** The `doctor` command. */
export const doctor = Command.make("doctor", config, doctorHandler).pipe(
  Command.withDescription(
    "Show versions, execution providers and codecs, and what to install for those that are not there. " +
      "The exit code is 1 when something is missing that nothing else stands in for.",
  ),
  Command.withShortDescription("Show what works on this machine"),
  Command.withExamples([{ command: "tessera doctor" }]),
);
