"""Writes tests/golden/media/grids.bin: the tile grids of 2,000 random picture sizes.

An independent reference, written from the specification of the model card's dynamic_preprocess: all
(columns, rows) with min <= columns * rows <= max, sorted by area; the nearest aspect ratio wins; on an
equal distance the later one, when the picture has more than half of that grid's pixels.

Format, little endian: u32 count, then per size u32 width, u32 height, and for each most-tiles of
(1, 6, 12, 24, 40) u8 columns, u8 rows. Tile size 448, fewest tiles 1.

    python3 tools/media/make_grids.py
"""
import pathlib
import random
import struct
from fractions import Fraction

MOST = (1, 6, 12, 24, 40)
TILE = 448


def grid(width, height, most):
    aspect = width / height
    choices = sorted(
        {(c, r) for c in range(1, most + 1) for r in range(1, most + 1) if 1 <= c * r <= most},
        key=lambda g: g[0] * g[1],
    )
    best, nearest = (1, 1), float("inf")
    for columns, rows in choices:
        distance = abs(aspect - columns / rows)
        if distance < nearest:
            best, nearest = (columns, rows), distance
        elif distance == nearest and width * height > 0.5 * TILE * TILE * columns * rows:
            best = (columns, rows)
    return best


def sizes():
    """Ordinary pictures, extreme ones, exact ratios and exact midpoints between two ratios."""
    rng = random.Random(20240422)
    out = [(1, 1), (1, 65535), (65535, 1), (448, 448), (896, 448), (800, 600), (1920, 1080), (4032, 3024)]
    ratios = sorted({Fraction(c, r) for c in range(1, 41) for r in range(1, 41) if c * r <= 40})
    while len(out) < 2000:
        kind = len(out) % 5
        if kind == 0:
            out.append((rng.randint(1, 6000), rng.randint(1, 6000)))
        elif kind == 1:
            out.append((int(2 ** rng.uniform(0, 15)), int(2 ** rng.uniform(0, 15))))
        elif kind == 2:  # an exact ratio of the list, at sizes around the areas that break ties
            r = rng.choice(ratios)
            k = rng.randint(1, 900)
            out.append((max(1, r.numerator * k), max(1, r.denominator * k)))
        elif kind == 3:  # the midpoint between two ratios
            i = rng.randrange(len(ratios) - 1)
            middle = (ratios[i] + ratios[i + 1]) / 2
            k = rng.randint(1, 60)
            out.append((middle.numerator * k, middle.denominator * k))
        else:
            out.append((rng.randint(200, 4200), rng.randint(200, 4200)))
    return out


def main():
    all_sizes = sizes()
    data = struct.pack("<I", len(all_sizes))
    for width, height in all_sizes:
        data += struct.pack("<II", width, height)
        for most in MOST:
            data += bytes(grid(width, height, most))
    root = pathlib.Path(__file__).resolve().parents[2]
    target = root / "tests" / "golden" / "media" / "grids.bin"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    print(f"{len(all_sizes)} sizes, {len(data)} bytes")


if __name__ == "__main__":
    main()
