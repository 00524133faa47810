"""Random pictures with their exact contents: shapes, printed text, bar charts, moving things.

Every function takes a `random.Random`, so a seed fixes the picture. A scene is
data first (what is where) and is drawn second; questions and answers are made
from the data (`talk.py`), never from the pixels.

Coordinates are fractions of the picture's width and height, y downwards.
"""

from __future__ import annotations

import functools
import math
import os
from dataclasses import dataclass, field
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

KINDS = ["circle", "square", "triangle", "star", "diamond", "cross", "ring"]
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 30, 35),
    "green": (35, 155, 60),
    "blue": (35, 75, 215),
    "yellow": (248, 216, 30),
    "orange": (245, 135, 20),
    "purple": (128, 40, 160),
    "pink": (250, 150, 190),
    "brown": (120, 72, 35),
    "black": (15, 15, 15),
    "gray": (135, 135, 135),
    "white": (250, 250, 250),
}
COLOUR_NAMES = list(COLOURS)
CHARS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

# Font files by family; the last list is kept out of training, for evaluation.
FONT_ROOT = "/usr/share/fonts/truetype"
TRAIN_FONTS = [
    "dejavu/DejaVuSans.ttf",
    "dejavu/DejaVuSans-Bold.ttf",
    "dejavu/DejaVuSerif.ttf",
    "dejavu/DejaVuSansMono.ttf",
    "liberation/LiberationSans-Regular.ttf",
    "liberation/LiberationSans-Bold.ttf",
    "liberation/LiberationSerif-Regular.ttf",
    "liberation/LiberationSerif-Bold.ttf",
    "freefont/FreeSans.ttf",
    "freefont/FreeMono.ttf",
    "freefont/FreeSerifBold.ttf",
    "open-sans/OpenSans-Regular.ttf",
    "open-sans/OpenSans-Bold.ttf",
    "roboto/unhinted/RobotoTTF/Roboto-Regular.ttf",
    "roboto/unhinted/RobotoTTF/Roboto-Bold.ttf",
    "crosextra/Carlito-Regular.ttf",
]
HELD_OUT_FONTS = [
    "lato/Lato-Regular.ttf",
    "lato/Lato-Bold.ttf",
    "dejavu/DejaVuSerif-Bold.ttf",
    "freefont/FreeSansBold.ttf",
    "crosextra/Carlito-Bold.ttf",
]

LIGHT = [(255, 255, 255)] * 5 + [
    (250, 248, 240),
    (238, 243, 250),
    (243, 250, 240),
    (250, 240, 245),
    (240, 240, 240),
]
DARK = [(5, 5, 8), (12, 16, 45)]
DARK_FORBIDS = {"black", "blue", "purple", "brown"}


@dataclass
class Thing:
    """One object: what it is, its colour, centre and half extents (fractions)."""

    kind: str  # a name of KINDS, a character of CHARS, or "bar"
    colour: str
    x: float
    y: float
    rx: float
    ry: float
    place: str = ""  # the phrase that says where it is, see PLACES
    value: float = 0.0  # a bar's height


@dataclass
class Scene:
    """A picture's contents. `sort` is shapes, text or chart."""

    sort: str
    things: list[Thing]
    background: tuple[int, int, int]
    text: str = ""
    layout: str = ""
    extra: dict = field(default_factory=dict)


# The nine places of a single thing: grid column, row.
PLACES = {
    "at the top left": (0, 0),
    "at the top": (1, 0),
    "at the top right": (2, 0),
    "on the left": (0, 1),
    "in the middle": (1, 1),
    "on the right": (2, 1),
    "at the bottom left": (0, 2),
    "at the bottom": (1, 2),
    "at the bottom right": (2, 2),
}


def _background(rng: Random) -> tuple[tuple[int, int, int], list[str]]:
    """A background and the colour names that can be told from it."""
    if rng.random() < 0.12:
        return rng.choice(DARK), [c for c in COLOUR_NAMES if c not in DARK_FORBIDS]
    return rng.choice(LIGHT), [c for c in COLOUR_NAMES if c != "white"]


def shapes(rng: Random, count: int | None = None, aspect: float = 1.0) -> Scene:
    """One to four shapes on a plain ground; `aspect` is width / height."""
    background, colours = _background(rng)
    n = count or rng.choices([1, 2, 3, 4], [20, 37, 29, 14])[0]
    if n == 1:
        layout, names = "one", [rng.choice(list(PLACES) + ["in the middle"] * 5)]
        spots = [(0.2 + 0.3 * PLACES[p][0], 0.2 + 0.3 * PLACES[p][1]) for p in names]
        size = rng.uniform(0.13, 0.2) if names[0] != "in the middle" else rng.uniform(0.14, 0.34)
    elif n == 2:
        layout = rng.choice(["row", "row", "column", "corners"])
        if layout == "row":
            names, spots = ["on the left", "on the right"], [(0.26, 0.5), (0.74, 0.5)]
            size = rng.uniform(0.12, 0.22)
        elif layout == "column":
            names, spots = ["at the top", "at the bottom"], [(0.5, 0.26), (0.5, 0.74)]
            size = rng.uniform(0.12, 0.22)
        else:
            pair = rng.choice([("at the top left", "at the bottom right"), ("at the top right", "at the bottom left")])
            names = list(pair)
            spots = [(0.24 + 0.26 * PLACES[p][0], 0.24 + 0.26 * PLACES[p][1]) for p in names]
            size = rng.uniform(0.12, 0.2)
    elif n == 3:
        layout = rng.choice(["row", "row", "column"])
        if layout == "row":
            names, spots = ["on the left", "in the middle", "on the right"], [(0.18, 0.5), (0.5, 0.5), (0.82, 0.5)]
        else:
            names, spots = ["at the top", "in the middle", "at the bottom"], [(0.5, 0.18), (0.5, 0.5), (0.5, 0.82)]
        size = rng.uniform(0.10, 0.145)
    else:
        layout = "four"
        names = ["at the top left", "at the top right", "at the bottom left", "at the bottom right"]
        spots = [(0.24 + 0.26 * PLACES[p][0], 0.24 + 0.26 * PLACES[p][1]) for p in names]
        size = rng.uniform(0.11, 0.17)
    things = []
    for place, (x, y) in zip(names, spots):
        r = size * rng.uniform(0.85, 1.12)
        jitter = 0.05 if n < 3 else 0.025
        x += rng.uniform(-jitter, jitter)
        y += rng.uniform(-jitter, jitter)
        # Round on the canvas: half extents in fractions differ when it is not square.
        rx, ry = (r, r * aspect) if aspect < 1 else (r / aspect, r)
        if layout == "row":
            y += rng.uniform(-0.08, 0.08)
        if layout == "column":
            x += rng.uniform(-0.08, 0.08)
        things.append(Thing(rng.choice(KINDS), rng.choice(colours), x, y, rx, ry, place))
    return Scene("shapes", things, background, layout=layout)


WORDS = (
    "CAT DOG SUN SKY RED SEA TEA ICE BOX CAR BUS KEY MAP PEN CUP HAT BED EGG FOX OWL ANT BEE COW PIG HEN "
    "YES NO GO UP ON OFF IN OUT STOP OPEN EXIT PUSH PULL TAXI CAFE SHOP SALE FREE HELP HELLO HOME ROOM "
    "DOOR BOOK FISH BIRD TREE MOON STAR RAIN SNOW WIND FIRE GOLD BLUE PINK MILK CAKE LOVE GAME PLAY"
).split()


def text(rng: Random, fonts: list[str], string: str | None = None) -> Scene:
    """One to four capital letters or digits, large, in one colour."""
    background, colours = _background(rng)
    if string is None:
        roll = rng.random()
        if roll < 0.5:
            string = rng.choice(CHARS)
        elif roll < 0.7:
            string = rng.choice([w for w in WORDS if len(w) <= 4])
        else:
            string = "".join(rng.choice(CHARS) for _ in range(rng.choice([2, 2, 3, 3, 4])))
    scene = Scene("text", [], background, text=string)
    scene.extra = {
        "font": rng.choice(fonts),
        "colour": rng.choice(colours),
        "fill": rng.uniform(0.62, 0.9) if len(string) > 1 else rng.uniform(0.4, 0.8),
        "dx": rng.uniform(-0.06, 0.06),
        "dy": rng.uniform(-0.1, 0.1),
        "angle": rng.uniform(-5, 5) if rng.random() < 0.4 else 0.0,
    }
    return scene


def chart(rng: Random) -> Scene:
    """Two to four coloured bars on a base line; heights differ by at least 0.1 of the height."""
    background = rng.choice(LIGHT)
    n = rng.choice([2, 3, 3, 4])
    colours = rng.sample([c for c in COLOUR_NAMES if c != "white"], n)
    while True:
        heights = [rng.uniform(0.12, 0.8) for _ in range(n)]
        ordered = sorted(heights)
        if all(b - a >= 0.1 for a, b in zip(ordered, ordered[1:])):
            break
    names = {
        2: ["on the left", "on the right"],
        3: ["on the left", "in the middle", "on the right"],
        4: ["first", "second", "third", "fourth"],
    }[n]
    half = 0.42 / n * rng.uniform(0.55, 0.8)
    base = rng.uniform(0.88, 0.94)
    things = []
    for i, (colour, h) in enumerate(zip(colours, heights)):
        x = 0.08 + 0.84 * (i + 0.5) / n
        things.append(Thing("bar", colour, x, base - h / 2, half, h / 2, names[i], h))
    return Scene("chart", things, background, extra={"base": base, "axis": rng.random() < 0.7})


MOVES = ["to the right", "to the left", "up", "down"]


def motion(rng: Random, frames: int = 8, move: str | None = None) -> tuple[list[Scene], str]:
    """`frames` scenes of one shape that moves one way."""
    background, colours = _background(rng)
    move = move or rng.choice(MOVES)
    kind, colour = rng.choice(KINDS), rng.choice(colours)
    r = rng.uniform(0.13, 0.2)
    start, end = rng.uniform(0.18, 0.36), rng.uniform(0.64, 0.82)
    if move in ("to the left", "up"):
        start, end = end, start
    across = rng.uniform(0.3, 0.7)
    scenes = []
    for i in range(frames):
        t = start + (end - start) * i / (frames - 1)
        x, y = (t, across) if move.startswith("to") else (across, t)
        scenes.append(Scene("shapes", [Thing(kind, colour, x, y, r, r)], background, layout="one"))
    return scenes, move


def _jitter(rng: Random, colour: str, amount: int = 12) -> tuple[int, int, int]:
    return tuple(max(0, min(255, c + rng.randint(-amount, amount))) for c in COLOURS[colour])


def _polygon(kind: str, x: float, y: float, rx: float, ry: float, angle: float):
    if kind == "square":
        points = [(-0.86, -0.86), (0.86, -0.86), (0.86, 0.86), (-0.86, 0.86)]
    elif kind == "triangle":
        points = [(0, -1), (0.95, 0.8), (-0.95, 0.8)]
    elif kind == "diamond":
        points = [(0, -1.05), (0.8, 0), (0, 1.05), (-0.8, 0)]
    elif kind == "cross":
        a = 0.32
        points = [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a), (-a, -a)]
    else:  # star
        points = []
        for i in range(10):
            radius = 1.1 if i % 2 == 0 else 0.45
            t = math.pi * i / 5
            points.append((radius * math.sin(t), -radius * math.cos(t)))
    c, s = math.cos(angle), math.sin(angle)
    return [(x + (px * c - py * s) * rx, y + (px * s + py * c) * ry) for px, py in points]


@functools.lru_cache(maxsize=256)
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(os.path.join(FONT_ROOT, path), size)


def _draw_text(rng: Random, scene: Scene, image: Image.Image) -> Image.Image:
    """Draws the string and records where each character fell."""
    w, h = image.size
    e = scene.extra
    probe = _font(e["font"], 64)
    box = probe.getbbox(scene.text)
    scale = min(e["fill"] * w / (box[2] - box[0]), e["fill"] * h / (box[3] - box[1]))
    size = max(8, int(64 * scale) // 4 * 4)
    font = _font(e["font"], size)
    left, top, right, bottom = font.getbbox(scene.text)
    x = (w - (right - left)) / 2 - left + e["dx"] * w * (1 - e["fill"])
    y = (h - (bottom - top)) / 2 - top + e["dy"] * h
    y = min(max(y, -top + 2), h - bottom - 2)
    colour = _jitter(rng, e["colour"])
    ImageDraw.Draw(image).text((x, y), scene.text, font=font, fill=colour)
    scene.things = []
    for i, ch in enumerate(scene.text):
        a = x + font.getlength(scene.text[:i])
        b = x + font.getlength(scene.text[: i + 1])
        scene.things.append(
            Thing(ch, e["colour"], (a + b) / 2 / w, (y + (top + bottom) / 2) / h, (b - a) / 2 / w, (bottom - top) / 2 / h)
        )
    if e["angle"]:
        image = image.rotate(e["angle"], resample=Image.Resampling.BILINEAR, fillcolor=scene.background)
    return image


def render(rng: Random, scene: Scene, width: int, height: int, smooth: bool = False, noise: bool = True) -> Image.Image:
    """Draws `scene` as an RGB picture. `smooth` draws at twice the size and halves it."""
    k = 2 if smooth else 1
    w, h = width * k, height * k
    image = Image.new("RGB", (w, h), scene.background)
    if scene.sort == "text":
        image = _draw_text(rng, scene, image)
    else:
        pen = ImageDraw.Draw(image)
        if scene.sort == "chart":
            ink = (60, 60, 60)
            base = scene.extra["base"]
            pen.line([(0.04 * w, base * h), (0.96 * w, base * h)], fill=ink, width=max(1, w // 110))
            if scene.extra["axis"]:
                pen.line([(0.04 * w, 0.05 * h), (0.04 * w, base * h)], fill=ink, width=max(1, w // 110))
        for t in scene.things:
            colour = _jitter(rng, t.colour)
            x, y, rx, ry = t.x * w, t.y * h, t.rx * w, t.ry * h
            if t.kind == "bar":
                pen.rectangle([x - rx, y - ry, x + rx, y + ry], fill=colour)
            elif t.kind == "circle":
                pen.ellipse([x - rx, y - ry, x + rx, y + ry], fill=colour)
            elif t.kind == "ring":
                pen.ellipse([x - rx, y - ry, x + rx, y + ry], fill=colour)
                pen.ellipse([x - rx * 0.58, y - ry * 0.58, x + rx * 0.58, y + ry * 0.58], fill=scene.background)
            else:
                angle = rng.uniform(-0.12, 0.12) if scene.extra.get("tilt", True) else 0.0
                pen.polygon(_polygon(t.kind, x, y, rx, ry, angle), fill=colour)
    if smooth:
        image = image.resize((width, height), Image.Resampling.BOX)
    if noise and rng.random() < 0.2:
        a = np.asarray(image).astype(np.int16)
        g = np.random.default_rng(rng.getrandbits(32))
        a += g.integers(-9, 10, size=a.shape[:2] + (1,), dtype=np.int16)
        image = Image.fromarray(np.clip(a, 0, 255).astype(np.uint8))
    return image


# Dense labels for the auxiliary loss: what each visual token of a tile looks at.
LABEL_KINDS = ["none"] + KINDS + ["bar"] + list(CHARS)
LABEL_COLOURS = ["none"] + COLOUR_NAMES
_KIND_ID = {k: i for i, k in enumerate(LABEL_KINDS)}
_COLOUR_ID = {k: i for i, k in enumerate(LABEL_COLOURS)}


def labels(scene: Scene, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """For a tile that shows the whole scene: int [grid², 2] (kind, colour) and
    float [grid², 4] (x, y, half width, half height) of the thing each cell belongs to.
    """
    ids = np.zeros((grid * grid, 2), dtype=np.int64)
    boxes = np.zeros((grid * grid, 4), dtype=np.float32)
    near = np.full(grid * grid, 1e9)
    for t in scene.things:
        for r in range(grid):
            for c in range(grid):
                cx, cy = (c + 0.5) / grid, (r + 0.5) / grid
                own = int(t.x * grid) == c and int(t.y * grid) == r
                d = max(abs(cx - t.x) / max(t.rx, 1e-3), abs(cy - t.y) / max(t.ry, 1e-3))
                if own:
                    d = min(d, 0.3)
                if d <= 1.0 and d < near[r * grid + c]:
                    near[r * grid + c] = d
                    ids[r * grid + c] = (_KIND_ID[t.kind], _COLOUR_ID[t.colour])
                    boxes[r * grid + c] = (t.x, t.y, t.rx, t.ry)
    return ids, boxes
