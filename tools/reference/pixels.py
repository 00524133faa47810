"""Dynamic tiling, Pillow resizing, normalisation, video sampling."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def tile_grid(width: int, height: int, min_tiles: int, max_tiles: int, tile_size: int) -> tuple[int, int]:
    """(columns, rows) for a picture of this size."""
    grids = [
        (i, j) for i in range(1, max_tiles + 1) for j in range(1, max_tiles + 1) if min_tiles <= i * j <= max_tiles
    ]
    grids.sort(key=lambda grid: grid[0] * grid[1])
    aspect = width / height
    best, best_distance = (1, 1), float("inf")
    for i, j in grids:
        distance = abs(aspect - i / j)
        if distance < best_distance:
            best, best_distance = (i, j), distance
        elif distance == best_distance and width * height > 0.5 * tile_size * tile_size * i * j:
            best = (i, j)
    return best


def resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """Pillow's bicubic resize as it has been up to 12.1: across first, then down, rounded to bytes between.

    Pillow 12.2 and later go down first for some tall pictures (13.0: 70 x 150 to 56 x 112 is one), which
    changes pixels by a few levels. One axis a call leaves no choice of order.
    """
    return image.resize((width, image.height)).resize((width, height))


def cut_tiles(
    image: Image.Image, min_tiles: int, max_tiles: int, tile_size: int, use_thumbnail: bool
) -> tuple[Bytes, tuple[int, int]]:
    """uint8 [n, S, S, 3] row by row, the thumbnail last, and the grid (columns, rows)."""
    image = image.convert("RGB")
    columns, rows = tile_grid(image.width, image.height, min_tiles, max_tiles, tile_size)
    whole = resize(image, columns * tile_size, rows * tile_size)
    tiles = [
        np.asarray(whole.crop((c * tile_size, r * tile_size, (c + 1) * tile_size, (r + 1) * tile_size)), dtype=np.uint8)
        for r in range(rows)
        for c in range(columns)
    ]
    if use_thumbnail and len(tiles) > 1:
        tiles.append(np.asarray(resize(image, tile_size, tile_size), dtype=np.uint8))
    return np.stack(tiles), (columns, rows)


def normalise(tiles: Bytes) -> Floats:
    """uint8 [n, S, S, 3] to float32 [n, 3, S, S]: divide by 255, subtract the mean, divide by the
    deviation, each step rounded to float32."""
    scaled = tiles.astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(((scaled - MEAN) / STD).transpose(0, 3, 1, 2))


def frame_indices(frame_count: int, fps: float, segments: int, bound: tuple[float, float] | None = None) -> list[int]:
    """The middle frame of each segment; rounding half to even."""
    start, end = (-100000.0, 100000.0) if bound is None else bound
    first = max(0, round(start * fps))
    last = min(round(end * fps), frame_count - 1)
    size = float(last - first) / segments
    return [int(first + size / 2 + np.round(size * i)) for i in range(segments)]
