"""The reference's picture preprocessing: dynamic tiles, thumbnail, Pillow bicubic, ImageNet mean and deviation."""

from __future__ import annotations

import numpy as np
from PIL import Image

MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)


def grid_for(width: int, height: int, size: int, min_num: int, max_num: int) -> tuple[int, int]:
    """The (columns, rows) whose aspect ratio is nearest; on a tie the later one when the picture is large enough."""
    ratios = sorted(
        {(i, j) for i in range(1, max_num + 1) for j in range(1, max_num + 1) if min_num <= i * j <= max_num},
        key=lambda p: p[0] * p[1],
    )
    best, best_diff = (1, 1), float("inf")
    for i, j in ratios:
        diff = abs(width / height - i / j)
        if diff < best_diff:
            best, best_diff = (i, j), diff
        elif diff == best_diff and width * height > 0.5 * size * size * i * j:
            best = (i, j)
    return best


def split(image: Image.Image, size: int, max_num: int, min_num: int = 1, thumbnail: bool = True) -> list[Image.Image]:
    """Tiles row by row, then the thumbnail when there is more than one tile."""
    image = image.convert("RGB")
    cols, rows = grid_for(image.width, image.height, size, min_num, max_num)
    whole = image.resize((cols * size, rows * size), Image.Resampling.BICUBIC)
    tiles = [
        whole.crop((c * size, r * size, (c + 1) * size, (r + 1) * size)) for r in range(rows) for c in range(cols)
    ]
    if thumbnail and len(tiles) > 1:
        tiles.append(image.resize((size, size), Image.Resampling.BICUBIC))
    return tiles
