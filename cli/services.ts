/**
 * The platform services that `effect/cli` asks for. Our commands use none of its file flags, prompts or
 * processes, so nothing stands behind them, and `--help` does not wait for a platform to load.
 * @module
 */
import * as Effect from "effect/Effect";
import * as FileSystem from "effect/FileSystem";
import * as Layer from "effect/Layer";
import * as Path from "effect/Path";
import * as Stdio from "effect/Stdio";
import * as Terminal from "effect/Terminal";
import * as ChildProcessSpawner from "effect/process/ChildProcessSpawner";
import type { Environment } from "effect/cli/Command";

const unused = Effect.die(new Error("no command uses this service"));

/** Services that are never called. */
export const services: Layer.Layer<Environment> = Layer.mergeAll(
  FileSystem.layerNoop({}),
  Path.layer,
  Stdio.layerTest({}),
  Layer.succeed(
    Terminal.Terminal,
    Terminal.make({
      columns: Effect.succeed(80),
      rows: Effect.succeed(24),
      size: unused,
      readInput: unused,
      readLine: unused,
      display: () => Effect.void,
    }),
  ),
  Layer.succeed(
    ChildProcessSpawner.ChildProcessSpawner,
    ChildProcessSpawner.make(() => unused),
  ),
);
