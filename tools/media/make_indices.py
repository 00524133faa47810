"""Writes tests/golden/media/indices.json: sampled frame indices of random videos.

The formula of the model card's get_index, with numpy's rounding, written down from the specification:
segments sampled at their middles, halves rounded to even, truncation to whole numbers.

    python3 tools/media/make_indices.py
"""
import json
import pathlib
import random

import numpy as np


def get_index(bound, fps, max_frame, segments):
    start, end = bound if bound else (-100000, 100000)
    first = max(0, round(start * fps))
    last = min(round(end * fps), max_frame)
    size = float(last - first) / segments
    return [int(first + (size / 2) + np.round(size * i)) for i in range(segments)]


def main():
    rng = random.Random(11)
    cases = []
    while len(cases) < 600:
        count = int(2 ** rng.uniform(0, 16))
        fps = rng.choice([24.0, 25.0, 30.0, 30000 / 1001, 24000 / 1001, 60.0, 12.5, 15.0, rng.uniform(1, 120)])
        segments = rng.choice([1, 2, 4, 8, 16, 32, 64, rng.randint(1, 100)])
        bound = None
        if len(cases) % 3:
            length = count / fps
            start = rng.choice([0.0, 0.5, round(rng.uniform(0, length), 2), rng.randrange(0, count) / fps])
            bound = [start, start + rng.choice([0.5, 1.0, round(rng.uniform(0, length + 2), 3)])]
            if max(0, round(bound[0] * fps)) > min(round(bound[1] * fps), count - 1):
                continue
        cases.append([count, fps, segments, bound, get_index(bound, fps, count - 1, segments)])
    root = pathlib.Path(__file__).resolve().parents[2]
    target = root / "tests" / "golden" / "media" / "indices.json"
    target.write_text("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")
    print(len(cases), "cases,", target.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
