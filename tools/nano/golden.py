"""Writes `tests/golden/nano/talk.json`: sentences as training makes them, for the evaluation's tests.

    python3 tools/nano/golden.py
"""

from __future__ import annotations

import json
import os
from random import Random

import draw
import talk

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def main() -> None:
    rng = Random("golden")
    sets = []
    for kind, other, colour, other_colour in (("ring", "star", "orange", "red"), ("star", "cross", "blue", "orange")):
        sets.append({
            "kind": kind, "other": other, "other kind": other, "colour": colour, "other colour": other_colour,
            "kinds": talk.LANGUAGE["kinds"][kind]["plural"], "place": "on the left", "other place": "at the top",
            "thing": f"{colour} {kind}", "what": f"{colour} {kind}", "cw": "colour", "text": "Ab3", "label": "B",
            "value": "45", "n": "two", "m": "three", "first": "a red ring", "second": "an orange star",
            "that": "a red ring", "ordinal": "first", "number": "1", "move": "up", "absent": "dog",
        })  # fmt: skip
    filled, described = [], []
    for code, tongue in talk.TONGUES.items():
        for forms in tongue.tasks.values():
            for form, value in forms.items():
                for template in sorted(set(value if form == "ask" else [value])):
                    if "{" in template:
                        filled.append([template, *(tongue.fill(template, slots) for slots in sets)])
        for n in range(1, 7):
            scene = draw.shapes(rng, n)
            shapes = [{"kind": t.kind, "colour": t.colour, "place": t.place} for t in scene.things]
            described.append({"tongue": code, "shapes": shapes, "text": talk.describe(tongue, scene)})
    path = os.path.join(ROOT, "tests", "golden", "nano", "talk.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"slots": sets, "filled": filled, "described": described}, f, ensure_ascii=False, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
