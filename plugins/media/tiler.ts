/**
 * Resizes a picture to one or more grids of tiles and normalises it, row by row as the source comes
 * in: rows of the resized picture go straight into the tiles' planes, and no resized picture is ever
 * stored.
 * @module
 */
import type { ResizePlan, RowResampler } from "./kernel.ts";
import { IMAGENET_MEAN, IMAGENET_STD } from "./normalise.ts";

/** A grid of tiles to make of a picture. */
export interface TileGrid {
  /** Tiles across. */
  readonly columns: number;
  /** Tiles down. */
  readonly rows: number;
  /** Edge of a tile in pixels. */
  readonly tileSize: number;
}

/** Numbers of a grid's tensor, float32 [columns · rows, 3, S, S]. */
export const floatsOf = ({ columns, rows, tileSize }: TileGrid): number =>
  columns * rows * 3 * tileSize * tileSize;

/** Bytes of finished rows kept together before they are copied out, to stay in the cache. */
const BAND_BYTES = 1 << 18;

/** One grid of the picture in progress. */
interface GridState extends TileGrid {
  readonly pixels: Float32Array<ArrayBuffer>;
  /** Rows of tiles in one band; they never cross a tile's edge. */
  readonly bandRows: number;
  /** Floats from one row of a tile to the next in the band: the edge rounded up to eight. */
  readonly pitch: number;
}

/** Makes the tiles of one picture at a time. */
export class Tiler {
  readonly #resampler: RowResampler;
  #plan: ResizePlan | undefined;
  #grids: readonly GridState[] = [];

  /** Works with the memory of a resampler, which it then owns. */
  constructor(resampler: RowResampler) {
    this.#resampler = resampler;
  }

  /**
   * Begins a picture of `width` by `height` pixels; the plan says where its rows are to be written.
   * The tiles of each grid go to its tensor.
   */
  begin(
    width: number,
    height: number,
    grids: readonly (readonly [TileGrid, Float32Array<ArrayBuffer>])[],
  ): ResizePlan {
    this.#grids = grids.map(([grid, pixels]) => {
      const { columns, rows, tileSize } = grid;
      if (pixels.length !== floatsOf(grid)) {
        throw new RangeError(
          `Tiler: ${pixels.length} floats for ${columns}x${rows} tiles of ${tileSize} pixels`,
        );
      }
      const pitch = (tileSize + 7) & ~7;
      const fitting = Math.floor(BAND_BYTES / (columns * 3 * pitch * 4));
      const bandRows = Math.max(1, Math.min(16, fitting));
      return { columns, rows, tileSize, pixels, pitch, bandRows };
    });
    return this.#plan = this.#resampler.begin(
      width,
      height,
      this.#grids.map(({ columns, rows, tileSize, pitch, bandRows }) => ({
        width: columns * tileSize,
        height: rows * tileSize,
        extra: columns * 3 * bandRows * pitch * 4,
      })),
    );
  }

  /** Takes the next rows from a slot of the plan. Returns the tensors when they are complete. */
  consume(
    address: number,
    rows: number,
  ): Float32Array<ArrayBuffer>[] | undefined {
    const done = this.#resampler.consume(
      address,
      rows,
      (target, row, at) => this.#row(target, row, at),
    );
    if (!done) return undefined;
    const tensors = this.#grids.map(({ pixels }) => pixels);
    this.#grids = [];
    return tensors;
  }

  #row(target: number, row: number, at: number): void {
    const { columns, tileSize, pitch, bandRows } = this.#grids[target];
    const { planeBytes, extra } = this.#plan!.targets[target];
    const inTile = row % tileSize;
    const inBand = inTile % bandRows;
    for (let column = 0; column < columns; column++) {
      for (let channel = 0; channel < 3; channel++) {
        const line = (column * 3 + channel) * bandRows + inBand;
        this.#resampler.normalise(
          at + channel * planeBytes + column * tileSize,
          tileSize,
          IMAGENET_MEAN[channel],
          IMAGENET_STD[channel],
          extra + line * pitch * 4,
        );
      }
    }
    if (inBand === bandRows - 1 || inTile === tileSize - 1) {
      this.#emit(target, row - inBand, inBand + 1);
    }
  }

  /** Copies a band, whose first row is `row` of the resized picture, into the tiles. */
  #emit(target: number, row: number, rows: number): void {
    const { columns, tileSize, pitch, bandRows, pixels } = this.#grids[target];
    const band = new Float32Array(
      this.#resampler.memory,
      this.#plan!.targets[target].extra,
      columns * 3 * bandRows * pitch,
    );
    const firstTile = Math.floor(row / tileSize) * columns;
    const inTile = row % tileSize;
    for (let plane = 0; plane < columns * 3; plane++) {
      const from = plane * bandRows * pitch;
      const to = ((firstTile * 3 + plane) * tileSize + inTile) * tileSize;
      if (pitch === tileSize) {
        pixels.set(band.subarray(from, from + rows * pitch), to);
        continue;
      }
      for (let i = 0; i < rows; i++) {
        const start = from + i * pitch;
        pixels.set(band.subarray(start, start + tileSize), to + i * tileSize);
      }
    }
  }
}
