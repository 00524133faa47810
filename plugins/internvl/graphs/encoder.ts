/**
 * The vision tower and the projector as services over their sessions.
 * @module
 */
import { Effect } from "effect";
import { BackendError } from "../../../nodes/errors.ts";
import type { Projector, VisionEncoder } from "../../../nodes/services.ts";
import { hostTensor, type Tensor } from "../../../nodes/tensor.ts";
import type { Session } from "../../onnx/mod.ts";
import { type InternVLConfig, tileSize, tokensPerTile } from "../config.ts";
import { Batcher, type BatcherStats } from "./batcher.ts";

/** How tiles are put together. */
export interface BatchOptions {
  /**
   * Rows (tokens of all tiles together) that are computed at once. Default 1,024 on the CPU, where larger
   * products are no faster and memory is dear (one 448-pixel tile), 8,192 elsewhere.
   */
  readonly rows?: number;
  /**
   * Milliseconds that a run with room left waits for other requests' tiles. Default 0 on the CPU, where
   * a larger run saves nothing, 2 elsewhere.
   */
  readonly waitMs?: number;
}

/** A vision tower that tells what it has done. */
export interface BatchingEncoder extends VisionEncoder {
  /** Its runs. */
  readonly stats: () => BatcherStats;
}

/** The vision tower over a session of `visionGraph`. */
export function makeVisionEncoder(
  session: Session,
  config: InternVLConfig,
  options: BatchOptions = {},
): BatchingEncoder {
  const edge = tileSize(config);
  const grid = edge / config.vision.patchSize;
  const tile = [3, edge, edge];
  const features = [1 + grid * grid, config.vision.hiddenSize];
  const batcher = makeBatcher(
    session,
    config,
    ["pixel_values", tile],
    ["patch_features", features],
    options,
  );
  const encode: VisionEncoder["encode"] = Effect.fn("internvl.encodeTiles")(
    function* (pixels, onTile) {
      yield* expectShape("pixel_values", pixels, tile);
      return yield* batcher.compute(pixels, onTile);
    },
  );
  return { encode, stats: () => batcher.stats };
}

/** The projector over a session of `projectorGraph`. */
export function makeProjector(
  session: Session,
  config: InternVLConfig,
  options: BatchOptions = {},
): Projector {
  const grid = tileSize(config) / config.vision.patchSize;
  const tile = [1 + grid * grid, config.vision.hiddenSize];
  const batcher = makeBatcher(
    session,
    config,
    ["patch_features", tile],
    ["visual_tokens", [tokensPerTile(config), config.language.hiddenSize]],
    options,
  );
  const project: Projector["project"] = Effect.fn("internvl.project")(
    function* (features) {
      yield* expectShape("patch_features", features, tile);
      return yield* batcher.compute(
        hostTensor(
          "float32",
          features.shape,
          (yield* features.read) as Float32Array<ArrayBuffer>,
        ),
      );
    },
  );
  return { project };
}

function makeBatcher(
  session: Session,
  { quantization }: InternVLConfig,
  input: readonly [name: string, extents: readonly number[]],
  output: readonly [name: string, extents: readonly number[]],
  options: BatchOptions,
): Batcher {
  const onCpu = session.device === "cpu";
  const rows = options.rows ?? (onCpu ? 1024 : 8192);
  const perTile = output[1][0];
  // Weights in blocks are applied to rows in pairs, and to one that is left over in another way: tiles with an
  // odd number of rows would have other bits behind others.
  const apart = onCpu && quantization?.vision.type === "blocks" &&
    perTile % 2 === 1;
  return new Batcher({
    session,
    input,
    output,
    batch: apart ? 1 : Math.max(1, Math.round(rows / perTile)),
    waitMs: options.waitMs ?? (onCpu ? 0 : 2),
  });
}

/** Checks float32 [n, ...extents]. */
function expectShape(
  name: string,
  tensor: Tensor,
  extents: readonly number[],
): Effect.Effect<void, BackendError> {
  const { dtype, shape } = tensor;
  const right = dtype === "float32" && shape.length === extents.length + 1 &&
    extents.every((extent, i) => shape[i + 1] === extent);
  return right ? Effect.void : Effect.fail(
    new BackendError({
      message: `${name} must be float32 [n, ${
        extents.join(", ")
      }], got ${dtype} [${shape.join(", ")}]`,
    }),
  );
}
