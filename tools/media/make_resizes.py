"""Writes tests/golden/media/resizes.json: SHA-256 digests of pictures that Pillow resized (bicubic).

The sources are made by formulas that the tests repeat, so only sizes, kinds and digests are stored.
Pillow's resampling in one direction never changed, but the order of the two passes did: horizontal
first ("classic") before 12.2; vertical first for pictures more than 100 times as high as wide whose
height shrinks from "12.2"; vertical first where the height shrinks by more than twice the pixels by
which the width does from "13". Calls that change one direction only give the first two with any
Pillow; the third is checked with what Pillow 13 itself does. Needs Pillow >= 13 and numpy.

    python3 tools/media/make_resizes.py
"""
import hashlib
import json
import pathlib
import random

import numpy as np
import PIL
from PIL import Image


def source(width, height, kind, seed):
    """kind 0: noise; 1: only 0 and 255; 2: flat; 3: a diagonal gradient."""
    i = np.arange(width * height * 3, dtype=np.uint32)
    if kind in (0, 1):
        x = (i + np.uint32(seed)) * np.uint32(0x9E3779B1)
        x ^= x >> np.uint32(15)
        x *= np.uint32(0x85EBCA77)
        x ^= x >> np.uint32(13)
        x *= np.uint32(0xC2B2AE3D)
        x ^= x >> np.uint32(16)
        data = (x >> np.uint32(24)).astype(np.uint8)
        if kind == 1:
            data = np.where(data >= 128, 255, 0).astype(np.uint8)
    elif kind == 2:
        data = np.full(i.shape, seed & 255, np.uint8)
    else:
        p = i // 3
        data = ((p % width + p // width + seed) & 255).astype(np.uint8)
    return Image.fromarray(data.reshape(height, width, 3))


def main():
    rng = random.Random(7)
    cases = []
    fixed = [
        (1, 1, 448, 448), (448, 448, 448, 448), (448, 448, 448, 896), (800, 600, 1344, 896),
        (1920, 1080, 448, 448), (1001, 37, 448, 448), (37, 1001, 448, 448), (2, 3, 1, 1),
        (32, 32, 448, 448), (500, 700, 499, 701), (7, 5, 896, 448), (640, 1, 448, 448),
    ]
    for n in range(160):
        if n < len(fixed):
            width, height, out_width, out_height = fixed[n]
        else:
            width, height, out_width, out_height = (int(2 ** rng.uniform(0, 9)) for _ in range(4))
        kind, seed = n % 4, rng.randrange(1 << 20)
        picture = source(width, height, kind, seed)
        # Two calls with one pass each are the classic order for every shape.
        out = picture.resize((out_width, height)).resize((out_width, out_height))
        digest = hashlib.sha256(out.tobytes()).hexdigest()
        cases.append([width, height, out_width, out_height, kind, seed, "classic", digest])
    for width, height, out_width, out_height in [(1, 101, 9, 40), (3, 700, 28, 28), (2, 900, 448, 448), (5, 501, 3, 500)]:
        seed = rng.randrange(1 << 20)
        out = source(width, height, 0, seed).resize((width, out_height)).resize((out_width, out_height))
        cases.append([width, height, out_width, out_height, 0, seed, "12.2", hashlib.sha256(out.tobytes()).hexdigest()])
    if int(PIL.__version__.split(".")[0]) < 13:
        raise SystemExit("needs Pillow >= 13")
    for _ in range(60):
        width, height, out_width, out_height = (int(2 ** rng.uniform(2, 9)) for _ in range(4))
        seed = rng.randrange(1 << 20)
        out = source(width, height, 0, seed).resize((out_width, out_height))
        cases.append([width, height, out_width, out_height, 0, seed, "13", hashlib.sha256(out.tobytes()).hexdigest()])
    root = pathlib.Path(__file__).resolve().parents[2]
    target = root / "tests" / "golden" / "media" / "resizes.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(case) for case in cases)
    target.write_text(f'{{"pillow": "{PIL.__version__}", "cases": [\n{lines}\n]}}\n')
    print(len(cases), "cases,", target.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
