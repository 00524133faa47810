/**
 * The flags of `tessera serve` and `tessera mcp`.
 * @module
 */
import type * as Command from "effect/cli/Command";
import * as Flag from "effect/cli/Flag";
import * as flags from "./flags.ts";

const { model: _one, ...modelFlags } = flags.modelFlags;

/** What is served and taken on: shared by `serve` and `mcp`. */
export const servedFlags = {
  model: flags.path("model").pipe(
    Flag.withAlias("m"),
    Flag.withMetavar("[NAME=]DIR"),
    Flag.withDescription(
      "Checkpoint folder, with the name that requests give; repeat it for more; default: the embedded nano",
    ),
    Flag.atLeast(0),
  ),
  ...modelFlags,
  memory: flags.ranged(
    Flag.Finite("memory"),
    "GIB",
    "Memory for loaded models; the least recently used one leaves first; default: any",
    { above: 0 },
  ),
  allowDir: flags.path("allow-dir").pipe(
    Flag.withMetavar("DIR"),
    Flag.withDescription(
      "A folder whose files requests may name by file: addresses; may be repeated",
    ),
    Flag.atLeast(0),
  ),
  allowFetchHost: flags.path("allow-fetch-host").pipe(
    Flag.withMetavar("HOST"),
    Flag.withDescription(
      "A host that pictures may be fetched from although its address is private; may be repeated",
    ),
    Flag.atLeast(0),
  ),
  noFetch: Flag.Boolean("no-fetch").pipe(
    Flag.withoutNegation,
    Flag.withDescription("Fetch nothing: pictures come as data URLs only"),
    Flag.withDefault(false),
  ),
  apiKey: flags.path("api-key").pipe(
    Flag.withMetavar("KEY"),
    Flag.withDescription(
      "A key that clients must give; may be repeated; default: TESSERA_API_KEY, which other users of this machine cannot see",
    ),
    Flag.atLeast(0),
  ),
  maxConcurrent: flags.ranged(
    Flag.Int("max-concurrent"),
    "N",
    "Requests in flight, waiting ones included; default: 128",
    { min: 1, max: 100_000 },
  ),
  keepResponses: flags.ranged(
    Flag.Int("keep-responses"),
    "N",
    "Answers of /v1/responses kept for later rounds, in memory; 0 for none; default: 1000",
    { min: 0, max: 1_000_000 },
  ),
  rate: flags.ranged(
    Flag.Int("rate"),
    "N",
    "Requests a minute for each key, or each address without keys; default: any",
    { min: 1, max: 10_000_000 },
  ),
  maxImages: flags.ranged(
    Flag.Int("max-images"),
    "N",
    "Pictures of one request; default: 32",
    { min: 0, max: 4096 },
  ),
  maxBody: flags.ranged(
    Flag.Finite("max-body"),
    "MIB",
    "Size of a request's body; default: 64",
    { above: 0, max: 4096 },
  ),
  maxTokens: flags.ranged(
    Flag.Int("max-tokens"),
    "N",
    "Longest answer where a request does not say; default: 1024",
    { min: 1 },
  ),
  timeout: flags.ranged(
    Flag.Finite("timeout"),
    "SECONDS",
    "Time for one request; default: 600",
    { above: 0, max: 86_400 },
  ),
  grace: flags.ranged(
    Flag.Finite("grace"),
    "SECONDS",
    "Time that running requests get when the server stops; default: 10",
    { min: 0, max: 3600 },
  ),
  allowHost: flags.path("allow-host").pipe(
    Flag.withMetavar("HOST"),
    Flag.withDescription(
      "A name that requests may call this server by; on a loopback address only local names are taken",
    ),
    Flag.atLeast(0),
  ),
  cors: flags.path("cors").pipe(
    Flag.withMetavar("ORIGIN"),
    Flag.withDescription(
      "An origin whose pages may ask, such as https://example.org, or *; may be repeated",
    ),
    Flag.atLeast(0),
  ),
  otlp: flags.path("otlp").pipe(
    Flag.withMetavar("URL"),
    Flag.withDescription(
      "Send traces, metrics and logs to this OpenTelemetry collector",
    ),
    Flag.optional,
  ),
};

/** Where a server listens, and what it says of requests. */
export const listening = {
  log: Flag.Literals("log", ["none", "words", "json"]).pipe(
    Flag.withDescription(
      "One line on stderr for each request that is over, without what it said; default: words",
    ),
    Flag.withDefault("words" as const),
  ),
  port: Flag.Int("port").pipe(
    Flag.withAlias("p"),
    Flag.filter(
      (value) => value >= 0 && value <= 65535,
      (value) => `Expected 0 to 65535, got ${value}`,
    ),
    Flag.withMetavar("N"),
    Flag.withDescription("Port; 0 takes a free one; default: 8000"),
    Flag.withDefault(8000),
  ),
  host: flags.path("host").pipe(
    Flag.withMetavar("ADDRESS"),
    Flag.withDescription(
      "Address to listen on; 0.0.0.0 for every one of this machine; default: 127.0.0.1",
    ),
    Flag.withDefault("127.0.0.1"),
  ),
};

/** The dashboard beside a server. */
export const dashboardFlags = {
  dashboard: Flag.Boolean("dashboard").pipe(
    Flag.withoutNegation,
    Flag.withDescription(
      "Show the runs in the browser, too; its chat page asks the first model",
    ),
    Flag.withDefault(false),
  ),
  dashboardPort: Flag.Int("dashboard-port").pipe(
    Flag.filter(
      (value) => value >= 0 && value <= 65535,
      (value) => `Expected 0 to 65535, got ${value}`,
    ),
    Flag.withMetavar("N"),
    Flag.withDescription("Port of the dashboard; default: 8420"),
    Flag.withDefault(8420),
  ),
};

/** What the shared flags parse to. */
export type ServedFlags = Command.Command.Config.Infer<typeof servedFlags>;
