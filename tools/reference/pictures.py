"""The pictures of the model's golden cases: small PNG files, drawn, the same on every run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def _gradient(width: int, height: int, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 1, width)[None, :, None]
    y = np.linspace(0, 1, height)[:, None, None]
    corners = rng.uniform(0, 255, (4, 3))
    mixed = corners[0] * (1 - x) * (1 - y) + corners[1] * x * (1 - y) + corners[2] * (1 - x) * y + corners[3] * x * y
    return Image.fromarray(mixed.round().astype(np.uint8), "RGB")


def _draw(width: int, height: int, seed: int, shapes: int) -> Image.Image:
    image = _gradient(width, height, seed)
    rng = np.random.default_rng(seed + 1000)
    pen = ImageDraw.Draw(image)
    for _ in range(shapes):
        x0, x1 = sorted(int(v) for v in rng.integers(0, width, 2))
        y0, y1 = sorted(int(v) for v in rng.integers(0, height, 2))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        (pen.ellipse if rng.random() < 0.5 else pen.rectangle)((x0, y0, x1 + 1, y1 + 1), fill=colour)
    return image


def _frame(index: int) -> Image.Image:
    image = _gradient(64, 48, 77)
    ImageDraw.Draw(image).ellipse((8 * index, 6 + 4 * index, 8 * index + 14, 20 + 4 * index), fill=(250, 30, 60))
    return image


def draw_pictures() -> dict[str, Image.Image]:
    """Name to picture."""
    pictures = {
        "square": _draw(60, 60, 1, 4),
        "wide": _draw(200, 90, 2, 7),
        "tall": _draw(70, 150, 3, 6),
        "large": _draw(330, 250, 4, 12),
    }
    pictures.update({f"frame{k}": _frame(k) for k in range(6)})
    return pictures


def write_pictures(folder: Path) -> dict[str, Image.Image]:
    """Writes them as PNG files and returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = draw_pictures()
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.png", optimize=True)
    return pictures
