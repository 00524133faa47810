/**
 * The vision tower and the projector as services over their sessions.
 * @module
 */
import { Effect } from "effect";
import { BackendError } from "../../../nodes/errors.ts";
import type { Projector, VisionEncoder } from "../../../nodes/services.ts";
import {
  elementCount,
  type HostTensor,
  hostTensor,
  type Tensor,
} from "../../../nodes/tensor.ts";
import type { Session } from "../../onnx/mod.ts";
import { type InternVLConfig, tileSize, tokensPerTile } from "../config.ts";

/** Rows (tokens of all tiles together) that are computed at once. */
export interface BatchOptions {
  /**
   * Default 1,024 on the CPU, where larger products are no faster and memory is dear (one 448-pixel
   * tile), 8,192 elsewhere.
   */
  readonly rows?: number;
}

/** The vision tower over a session of `visionGraph`. */
export function makeVisionEncoder(
  session: Session,
  config: InternVLConfig,
  options: BatchOptions = {},
): VisionEncoder {
  const edge = tileSize(config);
  const grid = edge / config.vision.patchSize;
  const shape = [1 + grid * grid, config.vision.hiddenSize];
  const encode: VisionEncoder["encode"] = Effect.fn("internvl.encodeTiles")(
    function* (pixels, onTile) {
      yield* expectShape("pixel_values", pixels, [3, edge, edge]);
      return yield* inBatches(
        session,
        ["pixel_values", pixels],
        ["patch_features", shape],
        batchSize(session, shape[0], options),
        onTile,
      );
    },
  );
  return { encode };
}

/** The projector over a session of `projectorGraph`. */
export function makeProjector(
  session: Session,
  config: InternVLConfig,
  options: BatchOptions = {},
): Projector {
  const grid = tileSize(config) / config.vision.patchSize;
  const shape = [tokensPerTile(config), config.language.hiddenSize];
  const project: Projector["project"] = Effect.fn("internvl.project")(
    function* (features) {
      yield* expectShape("patch_features", features, [
        1 + grid * grid,
        config.vision.hiddenSize,
      ]);
      const { shape: extents } = features;
      const host = hostTensor(
        "float32",
        extents,
        (yield* features.read) as Float32Array<ArrayBuffer>,
      );
      return yield* inBatches(
        session,
        ["patch_features", host],
        ["visual_tokens", shape],
        batchSize(session, shape[0], options),
      );
    },
  );
  return { project };
}

function batchSize(
  session: Session,
  rowsPerTile: number,
  options: BatchOptions,
): number {
  const rows = options.rows ?? (session.device === "cpu" ? 1024 : 8192);
  return Math.max(1, Math.round(rows / rowsPerTile));
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

/** Runs a session over slices of the first axis and puts the results together. */
const inBatches = Effect.fnUntraced(function* (
  session: Session,
  [input, tensor]: readonly [name: string, tensor: HostTensor<"float32">],
  [output, extents]: readonly [name: string, extents: readonly number[]],
  batch: number,
  onDone?: (done: number) => void,
): Effect.fn.Return<HostTensor<"float32">, BackendError> {
  const count = tensor.shape[0];
  const inner = tensor.shape.slice(1);
  const from = elementCount(inner);
  const to = elementCount(extents);
  let all: Float32Array<ArrayBuffer> | undefined;
  for (let start = 0; start < count; start += batch) {
    const size = Math.min(batch, count - start);
    const slice = hostTensor(
      "float32",
      [size, ...inner],
      tensor.data.subarray(start * from, (start + size) * from),
    );
    const result = (yield* session.run({ [input]: slice }))[output];
    const data = (yield* result.read) as Float32Array<ArrayBuffer>;
    if (size === count) all = data;
    else {
      all ??= new Float32Array(count * to);
      all.set(data, start * to);
    }
    onDone?.(start + size);
  }
  return hostTensor(
    "float32",
    [count, ...extents],
    all ?? new Float32Array(0),
  );
});
