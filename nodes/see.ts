/**
 * The parts that the ready-made pipelines share: from pictures and frames to visual tokens.
 * @module
 */
import type { GraphBuilder, Handle } from "../pipeline/mod.ts";
import { joinTiles } from "./join_tiles.ts";
import { load } from "./load.ts";
import { project } from "./project.ts";
import { thumbnail } from "./thumbnail.ts";
import { tile, type TilingParams } from "./tile.ts";
import type {
  Image as ImageValue,
  ImageSource as ImageSourceValue,
} from "./values.ts";
import { visionEncode } from "./vision_encode.ts";

/** Picture files → tiles with thumbnail → visual tokens, one list entry a picture. */
export function see<E, R, I>(
  g: GraphBuilder,
  sources: Handle<"List<ImageSource>", readonly ImageSourceValue[], E, R, I>,
  tiling: TilingParams,
) {
  const { image } = g.each(load, { source: sources });
  const grid = g.each(tile, { image }, tiling);
  const whole = g.each(thumbnail, { image }, tiling);
  const { tiles } = g.each(joinTiles, {
    tiles: grid.tiles,
    thumbnail: whole.thumbnail,
  });
  const { features } = g.each(visionEncode, { tiles });
  const { tokens } = g.each(project, { features });
  return { tiles, tokens };
}

/** Video frames → one tile each → visual tokens, one list entry a frame. */
export function watch<E, R, I>(
  g: GraphBuilder,
  frames: Handle<"List<Image>", readonly ImageValue[], E, R, I>,
  ids: {
    readonly tile?: string;
    readonly encode?: string;
    readonly project?: string;
  } = {},
) {
  const { tiles } = g.each(tile, { image: frames }, {
    minTiles: 1,
    maxTiles: 1,
  }, { id: ids.tile });
  const { features } = g.each(visionEncode, { tiles }, undefined, {
    id: ids.encode,
  });
  const { tokens } = g.each(project, { features }, undefined, {
    id: ids.project,
  });
  return { tiles, tokens };
}

export const tilingOf = (
  { minTiles, maxTiles }: TilingParams,
): TilingParams => ({
  ...(minTiles === undefined ? {} : { minTiles }),
  ...(maxTiles === undefined ? {} : { maxTiles }),
});
