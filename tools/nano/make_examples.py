"""Draws the example pictures and the example video from fixed seeds that training never used.

    python3 tools/nano/make_examples.py --images examples/images --videos examples/videos
    python3 tools/nano/make_examples.py --ask models/nano      # also asks nano about them

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
import tiles

SIZE = 448


def scene_named(seed: int, make, *things: str) -> draw.Scene:
    """The first random scene from `seed` on that holds exactly `things` ("colour kind place"), in order."""
    rng = Random(f"examples {seed}")
    while True:
        scene = make(rng)
        if [f"{t.colour} {t.kind} {t.place}" for t in scene.things] == list(things):
            return scene


def some_scene(seed: int, make, layout: str = "") -> draw.Scene:
    """The first random scene from `seed` on, of one layout if one is named."""
    rng = Random(f"examples {seed}")
    while True:
        scene = make(rng)
        if layout in ("", scene.layout):
            return scene


def pictures() -> dict[str, tuple[draw.Scene, int, int]]:
    """File name to (scene, width, height)."""
    shapes = lambda n, aspect=1.0: lambda rng: draw.shapes(rng, n, aspect)  # noqa: E731
    word = lambda s: lambda rng: draw.text(rng, draw.HELD_OUT_FONTS, s)  # noqa: E731
    return {
        "shapes.png": (scene_named(1, shapes(2), "red circle on the left", "blue square on the right"), SIZE, SIZE),
        "three.png": (some_scene(27, shapes(3, 1.5), "row"), 672, SIZE),
        "one.jpg": (some_scene(3, shapes(1)), SIZE, SIZE),
        "pair-1.png": (scene_named(4, shapes(1), "green star in the middle"), SIZE, SIZE),
        "pair-2.png": (scene_named(5, shapes(1), "orange star in the middle"), SIZE, SIZE),
        "chart.png": (some_scene(22, draw.chart), SIZE, SIZE),
        "letter.png": (some_scene(8, word("R")), SIZE, SIZE),
        "word.png": (some_scene(27, word("CAT")), SIZE, SIZE),
        "page.png": (some_scene(24, shapes(4, 1.5)), 1800, 1200),
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


def video_frames(path: str, segments: int = 8) -> list[Image.Image]:
    """The reference's choice of frames: the middles of `segments` equal parts, rounded half to even."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["ffmpeg", "-loglevel", "error", "-i", path, os.path.join(folder, "%04d.png")], check=True)
        files = sorted(os.listdir(folder))
        part = (len(files) - 1) / segments
        return [Image.open(os.path.join(folder, files[int(part / 2 + round(part * i))])).convert("RGB") for i in range(segments)]


def ask(model: str, images: str, videos: str) -> None:
    from evaluate import Nano

    nano = Nano(model)
    size, most = nano.config["force_image_size"], nano.config["max_dynamic_patch"]
    cut = lambda name, n=most: tiles.split(Image.open(os.path.join(images, name)), size, n)  # noqa: E731
    single = {
        "shapes.png": ["What is in the picture?", "And on the right?", "Is there a green star?", "What colour is the shape on the left?"],
        "three.png": ["Please describe the image shortly.", "How many shapes are there?", "What colour is the triangle?"],
        "one.jpg": ["What shape is it?", "And its colour?", "Where is it?"],
        "chart.png": ["What is in the picture?", "Which bar is the highest?", "And the lowest?"],
        "letter.png": ["What letter is this?", "And its colour?"],
        "word.png": ["What does it say?", "And its colour?"],
        "page.png": ["Describe the image in detail.", "How many shapes are there?", "What is at the top left?"],
        "pair-1.png": ["Describe the image in detail."],
        "pair-2.png": ["Describe the image in detail.", "图里有什么？"],
    }
    for name, questions in single.items():
        for most_now in (most, 12, 1):
            history: list = []
            parts = cut(name, most_now)
            for q in questions:
                print(f"{name} [{len(parts)} tiles] {q} -> {nano.chat(parts, q, None, history)}")
            for q in questions[1:] if most_now == most else []:
                print(f"{name} alone: {q} -> {nano.chat(parts, q)}")
    for n in (most, 1):
        one, two = cut("pair-1.png", n), cut("pair-2.png", n)
        for head, counts in (("<image>\n", [len(one) + len(two)]), ("Image-1: <image>\nImage-2: <image>\n", [len(one), len(two)])):
            for questions in (
                ["Describe the two images in detail.", "What are the similarities and differences between these two images?"],
                ["What is different?", "What is in the second image?"],
                ["Do they have the same colour?"],
                ["What is in the first image?", "And in the second?"],
            ):
                history = []
                for i, q in enumerate(questions):
                    print(f"pair {counts} {q} -> {nano.chat(one + two, (head if i == 0 else '') + q, counts, history)}")
    frames = video_frames(os.path.join(videos, "moving.mp4"))
    parts = [t for f in frames for t in tiles.split(f, size, 1)]
    head = "".join(f"Frame{i + 1}: <image>\n" for i in range(len(frames)))
    for questions in (["What happens in the video?", "And its colour?"], ["Which way does the shape move?", "And its colour?"],
                      ["What is moving?", "Which way?"], ["Describe this video in detail. Don't repeat."]):  # fmt: skip
        history = []
        for i, q in enumerate(questions):
            print(f"video {q} -> {nano.chat(parts, (head if i == 0 else '') + q, [1] * len(parts), history)}")
    for questions in (["hello", "who are you?"], ["What is in the picture?"], ["Can you tell me a story?"], ["你好"]):
        history = []
        for q in questions:
            print(f"no picture: {q} -> {nano.chat([], q, None, history)}")


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--images", default="examples/images")
    ap.add_argument("--videos", default="examples/videos")
    ap.add_argument("--ask", default="", help="a checkpoint folder to ask about the examples")
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
    if args.ask:
        import torch

        torch.set_num_threads(1)
        ask(args.ask, args.images, args.videos)


if __name__ == "__main__":
    main()
