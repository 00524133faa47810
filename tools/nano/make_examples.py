"""Draws the example pictures and the example video.

    python3 tools/nano/make_examples.py --images examples/images --videos examples/videos

The video needs `ffmpeg` with libx264 on the PATH.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from random import Random

from PIL import Image

import draw

SIZE = 448


def shapes(*things: str, size: float = 0.17, aspect: float = 1.0, ground=(255, 255, 255)) -> draw.Scene:
    """Shapes, each "colour kind place"; `size` is a radius in heights of the picture, `aspect` its width over its height."""
    made = []
    for thing in things:
        colour, kind, place = thing.split(" ", 2)
        column, row = draw.PLACES[place]
        made.append(draw.Thing(kind, colour, 0.5 + 0.28 * (column - 1), 0.5 + 0.27 * (row - 1), size / aspect, size, place))
    return draw.Scene("shapes", made, ground, extra={"tilt": False})


def word(text: str, font: str, colour: str, ground) -> draw.Scene:
    extra = {"font": font, "colour": colour, "fill": 0.7, "dx": 0.0, "dy": 0.0, "angle": 0.0}
    return draw.Scene("text", [], ground, text=text, extra=extra)


def chart(*bars: tuple[str, float]) -> draw.Scene:
    """Bars from left to right: colour and value, as a share of the axis; letters from A."""
    base, high, n = 0.84, 0.73, len(bars)
    things = []
    for i, (colour, value) in enumerate(bars):
        x = 0.13 + 0.84 * (i + 0.5) / n
        things.append(draw.Thing("bar", colour, x, base - value * high / 2, 0.28 / n, value * high / 2, "", value, draw.CAPITALS[i]))
    for t in things[:]:
        things.append(draw.Thing(t.label, "black", t.x, base + 0.075, 0.04, 0.045))
    return draw.Scene("chart", things, (255, 255, 255), extra={"base": base, "high": high, "font": "lato/Lato-Regular.ttf", "lines": True})


def pictures() -> dict[str, tuple[draw.Scene, int, int]]:
    """File name to (scene, width, height)."""
    corners = ("yellow star at the top left", "purple ring at the top right", "brown square at the bottom left", "green cross at the bottom right")
    return {
        "shapes.png": (shapes("red circle on the left", "blue square on the right"), SIZE, SIZE),
        "three.png": (shapes("orange triangle on the left", "purple diamond in the middle", "green star on the right", aspect=1.5), 672, SIZE),
        "one.jpg": (shapes("orange diamond in the middle", size=0.26, ground=(250, 248, 240)), SIZE, SIZE),
        "pair-1.png": (shapes("green star in the middle", size=0.24), SIZE, SIZE),
        "pair-2.png": (shapes("orange star in the middle", size=0.24), SIZE, SIZE),
        "chart.png": (chart(("green", 0.5), ("red", 0.85), ("blue", 0.3)), SIZE, SIZE),
        "letter.png": (word("R", "lato/Lato-Bold.ttf", "blue", (255, 255, 255)), SIZE, SIZE),
        "word.png": (word("CAT", "lato/Lato-Bold.ttf", "red", (255, 255, 255)), SIZE, SIZE),
        "page.png": (shapes(*corners, aspect=1.5), 1800, 1200),
    }


def write_video(path: str, seed: int) -> str:
    """A shape that moves one way: 48 frames at 12 frames a second, 320 by 320, H.264. Returns the way."""
    scenes, move = draw.motion(Random(f"examples {seed}"), frames=48)
    with tempfile.TemporaryDirectory() as folder:
        for i, scene in enumerate(scenes):
            draw.render(Random(seed), scene, 320, 320, smooth=True, noise=False).save(os.path.join(folder, f"{i:03}.png"))
        subprocess.run(
            ["ffmpeg", "-y", "-loglevel", "error", "-framerate", "12", "-i", os.path.join(folder, "%03d.png"), "-c:v", "libx264",
             "-pix_fmt", "yuv420p", "-crf", "20", "-g", "12", "-bitexact", "-movflags", "+faststart", path],
            check=True,
        )  # fmt: skip
    return move


VIDEO_SEED = 26


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--images", default="examples/images")
    ap.add_argument("--videos", default="examples/videos")
    args = ap.parse_args()
    os.makedirs(args.images, exist_ok=True)
    os.makedirs(args.videos, exist_ok=True)
    for i, (name, (scene, w, h)) in enumerate(pictures().items()):
        image = draw.render(Random(i), scene, w, h, smooth=True, noise=False)
        path = os.path.join(args.images, name)
        image.save(path, quality=90) if name.endswith(".jpg") else image.save(path, optimize=True)
        said = scene.text or ", ".join(f"{t.colour} {t.kind} {t.place}" for t in scene.things)
        print(f"{name}: {w} x {h}, {os.path.getsize(path)} bytes, {said}")
    path = os.path.join(args.videos, "moving.mp4")
    print("moving.mp4:", write_video(path, VIDEO_SEED), os.path.getsize(path), "bytes")


if __name__ == "__main__":
    main()
