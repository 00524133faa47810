/**
 * Resizes a picture to a grid of tiles and normalises it, row by row as the source comes in: rows of
 * the resized picture go straight into the tiles' planes, and no resized picture is ever stored.
 * @module
 */
import type { ResizePlan, RowResampler } from "./kernel.ts";
import { normalisationTable } from "./normalise.ts";

/** What to make of a picture. */
export interface TileJob {
  /** Pixels across the source. */
  readonly width: number;
  /** Pixels down the source. */
  readonly height: number;
  /** Tiles across. */
  readonly columns: number;
  /** Tiles down. */
  readonly rows: number;
  /** Edge of a tile in pixels. */
  readonly tileSize: number;
}

/** Bytes of finished rows kept together before they are copied out, to stay in the cache. */
const BAND_BYTES = 1 << 18;

/** Makes the tiles of one picture at a time. */
export class Tiler {
  readonly #resampler: RowResampler;
  readonly #table = normalisationTable();
  #job: TileJob | undefined;
  #plan: ResizePlan | undefined;
  #pixels = new Float32Array(0);
  #tableAt = 0;
  #bandAt = 0;
  /** Rows of tiles in one band; they never cross a tile's edge. */
  #bandRows = 1;
  /** Floats from one row of a tile to the next in the band: the edge rounded up to four. */
  #pitch = 0;

  /** Works with the memory of a resampler, which it then owns. */
  constructor(resampler: RowResampler) {
    this.#resampler = resampler;
  }

  /**
   * Begins a picture; the plan says where its rows are to be written. The tiles go to `pixels`,
   * float32 [columns · rows, 3, S, S].
   */
  begin(job: TileJob, pixels: Float32Array<ArrayBuffer>): ResizePlan {
    const { width, height, columns, rows, tileSize } = job;
    if (pixels.length !== columns * rows * 3 * tileSize * tileSize) {
      throw new RangeError(
        `Tiler: ${pixels.length} floats for ${columns}x${rows} tiles of ${tileSize} pixels`,
      );
    }
    this.#job = job;
    this.#pitch = (tileSize + 3) & ~3;
    const rowBytes = columns * 3 * this.#pitch * 4;
    this.#bandRows = Math.max(
      1,
      Math.min(16, Math.floor(BAND_BYTES / rowBytes)),
    );
    const { extra, ...plan } = this.#resampler.begin(
      width,
      height,
      columns * tileSize,
      rows * tileSize,
      this.#table.byteLength + this.#bandRows * rowBytes,
    );
    this.#plan = plan;
    this.#tableAt = extra;
    this.#bandAt = extra + this.#table.byteLength;
    new Float32Array(this.#resampler.memory, extra, this.#table.length)
      .set(this.#table);
    this.#pixels = pixels;
    return plan;
  }

  /**
   * Takes the next rows from a slot of the plan. Returns the tiles when they are complete.
   */
  consume(
    address: number,
    rows: number,
  ): Float32Array<ArrayBuffer> | undefined {
    const done = this.#resampler.consume(
      address,
      rows,
      (row, at) => this.#row(row, at),
    );
    if (!done) return undefined;
    const pixels = this.#pixels;
    this.#pixels = new Float32Array(0);
    return pixels;
  }

  #row(row: number, at: number): void {
    const { columns, tileSize } = this.#job!;
    const { planeBytes } = this.#plan!;
    const pitch = this.#pitch;
    const inTile = row % tileSize;
    const inBand = inTile % this.#bandRows;
    for (let column = 0; column < columns; column++) {
      for (let channel = 0; channel < 3; channel++) {
        const line = (column * 3 + channel) * this.#bandRows + inBand;
        this.#resampler.lookup(
          at + channel * planeBytes + column * tileSize,
          pitch,
          this.#tableAt + channel * 1024,
          this.#bandAt + line * pitch * 4,
        );
      }
    }
    if (inBand === this.#bandRows - 1 || inTile === tileSize - 1) {
      this.#emit(row - inBand, inBand + 1);
    }
  }

  /** Copies the band, whose first row is `row` of the resized picture, into the tiles. */
  #emit(row: number, rows: number): void {
    const { columns, tileSize } = this.#job!;
    const pitch = this.#pitch;
    const band = new Float32Array(
      this.#resampler.memory,
      this.#bandAt,
      columns * 3 * this.#bandRows * pitch,
    );
    const firstTile = Math.floor(row / tileSize) * columns;
    const inTile = row % tileSize;
    for (let plane = 0; plane < columns * 3; plane++) {
      const from = plane * this.#bandRows * pitch;
      const to = ((firstTile * 3 + plane) * tileSize + inTile) * tileSize;
      if (pitch === tileSize) {
        this.#pixels.set(band.subarray(from, from + rows * pitch), to);
      } else {
        for (let i = 0; i < rows; i++) {
          this.#pixels.set(
            band.subarray(from + i * pitch, from + i * pitch + tileSize),
            to + i * tileSize,
          );
        }
      }
    }
  }
}
