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

from talk import LANGUAGE

KINDS = list(LANGUAGE["kinds"])
COLOURS: dict[str, tuple[int, int, int]] = {name: tuple(c["rgb"]) for name, c in LANGUAGE["colours"].items()}
COLOUR_NAMES = list(COLOURS)
CAPITALS, DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
SMALL = CAPITALS.lower()
SIGNS = LANGUAGE["signs"]
CHARS = CAPITALS + DIGITS + SMALL + SIGNS
# Small letters whose capitals look the same but for their size, and l, which looks like I: never alone.
LOOKALIKE = "cijklopsuvwxyz"

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
    "crosextra/Caladea-Regular.ttf",
    "hack/Hack-Regular.ttf",
    "jetbrains-mono/JetBrainsMono-Medium.ttf",
    "noto/NotoSansMono-Regular.ttf",
    "noto/NotoSerif-Regular.ttf",
    "noto/NotoSerif-Bold.ttf",
    "noto/NotoSans-Regular.ttf",
    "andika/Andika-Regular.ttf",
    "charis/CharisSIL-Regular.ttf",
    "firacode/FiraCode-Regular.ttf",
    "gentium-basic/GenBkBasR.ttf",
    "gentium-basic/GenBkBasB.ttf",
    "mononoki/mononoki-Regular.ttf",
    "../opentype/cabin/Cabin-Regular.otf",
    "../opentype/cabin/Cabin-Bold.otf",
    "../opentype/cantarell/Cantarell-Regular.otf",
    "../opentype/courier-prime/Courier Prime Bold.otf",
    "../opentype/inter/Inter-Regular.otf",
    "../opentype/inter/Inter-Bold.otf",
    "../opentype/league-mono/LeagueMono-Regular.otf",
    "../opentype/linux-libertine/LinBiolinum_R.otf",
    "../opentype/linux-libertine/LinLibertine_R.otf",
    "../opentype/linux-libertine/LinLibertine_RB.otf",
    "../opentype/roboto/slab/RobotoSlab-Regular.otf",
    "../opentype/roboto/slab/RobotoSlab-Bold.otf",
]
HELD_OUT_FONTS = [
    "lato/Lato-Regular.ttf",
    "lato/Lato-Bold.ttf",
    "dejavu/DejaVuSerif-Bold.ttf",
    "freefont/FreeSansBold.ttf",
    "crosextra/Carlito-Bold.ttf",
]

LIGHT = [tuple(c) for c in LANGUAGE["backgrounds"]["light"]]
DARK = [tuple(c) for c in LANGUAGE["backgrounds"]["dark"]]
NOT_ON_LIGHT, NOT_ON_DARK = LANGUAGE["backgrounds"]["not on light"], LANGUAGE["backgrounds"]["not on dark"]


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
    value: float = 0.0  # a bar's height, as a share of the axis
    label: str = ""  # a bar's letter
    order: int = 0  # a character's place in its string, from 1


@dataclass
class Scene:
    """A picture's contents. `sort` is shapes, text, chart or wall."""

    sort: str
    things: list[Thing]
    background: tuple[int, int, int]
    text: str = ""
    layout: str = ""
    extra: dict = field(default_factory=dict)


# The nine places of a single thing: grid column, row.
PLACES = {name: tuple(p["cell"]) for name, p in LANGUAGE["places"].items()}


def _background(rng: Random) -> tuple[tuple[int, int, int], list[str]]:
    """A background and the colour names that can be told from it."""
    if rng.random() < 0.12:
        return rng.choice(DARK), [c for c in COLOUR_NAMES if c not in NOT_ON_DARK]
    return rng.choice(LIGHT), [c for c in COLOUR_NAMES if c not in NOT_ON_LIGHT]


def shapes(rng: Random, count: int | None = None, aspect: float = 1.0) -> Scene:
    """One to six shapes on a plain ground; `aspect` is width / height."""
    background, colours = _background(rng)
    n = count or rng.choices([1, 2, 3, 4, 5, 6], [16, 26, 22, 16, 10, 10])[0]
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
    elif n == 6:
        layout = "six"
        names = ["at the top left", "at the top", "at the top right", "at the bottom left", "at the bottom", "at the bottom right"]
        spots = [(0.18 + 0.32 * PLACES[p][0], 0.26 + 0.24 * PLACES[p][1]) for p in names]
        size = rng.uniform(0.10, 0.135)
    elif n == 5:
        layout = "five"
        names = ["at the top left", "at the top right", "in the middle", "at the bottom left", "at the bottom right"]
        spots = [(0.2 + 0.3 * PLACES[p][0], 0.2 + 0.3 * PLACES[p][1]) for p in names]
        size = rng.uniform(0.10, 0.135)
    else:
        layout = "four"
        names = ["at the top left", "at the top right", "at the bottom left", "at the bottom right"]
        spots = [(0.24 + 0.26 * PLACES[p][0], 0.24 + 0.26 * PLACES[p][1]) for p in names]
        size = rng.uniform(0.11, 0.17)
    # Now and then few kinds or colours, so that there is something to count.
    kinds = rng.sample(KINDS, 2) if rng.random() < 0.25 else KINDS
    colours = rng.sample(colours, 3) if rng.random() < 0.25 else colours
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
        things.append(Thing(rng.choice(kinds), rng.choice(colours), x, y, rx, ry, place))
    return Scene("shapes", things, background, layout=layout)


WORDS = (
    "CAT DOG SUN SKY RED SEA TEA ICE BOX CAR BUS KEY MAP PEN CUP HAT BED EGG FOX OWL ANT BEE COW PIG HEN "
    "YES NO GO UP ON OFF IN OUT STOP OPEN EXIT PUSH PULL TAXI CAFE SHOP SALE FREE HELP HELLO HOME ROOM "
    "DOOR BOOK FISH BIRD TREE MOON STAR RAIN SNOW WIND FIRE GOLD BLUE PINK MILK CAKE LOVE GAME PLAY"
).split()


def _random_string(rng: Random, alphabet: str) -> str:
    """2 to 12 of `alphabet`. One in four is of two to four different ones: then only places tell what comes next."""
    if rng.random() < 0.25:
        alphabet = rng.sample(alphabet, rng.randint(2, 4))
    n = rng.randint(2, 12) if rng.random() < 0.7 else min(rng.randint(2, 12), rng.randint(2, 12))
    return "".join(rng.choice(alphabet) for _ in range(n))


def string(rng: Random, most: int = 12) -> str:
    """A string to print: a character, a word, a number, a code, a phrase, anything; at most `most` characters."""
    while True:
        roll = rng.random()
        word = rng.choice(WORDS)
        if roll < 0.09:
            s = rng.choice(CAPITALS + DIGITS + "".join(c for c in SMALL if c not in LOOKALIKE))
        elif roll < 0.16:
            s = rng.choice([word, word.capitalize(), word.lower()])
        elif roll < 0.70:  # one sort of character at random: nothing to guess a string by but its picture
            s = _random_string(rng, rng.choice([CAPITALS, DIGITS, SMALL, CAPITALS + DIGITS]))
        elif roll < 0.74:
            s = f"{rng.choice([word, word.capitalize(), word.lower()])} {rng.choice([rng.choice(WORDS).lower(), str(rng.randint(0, 99))])}"
        elif roll < 0.80:
            s = rng.choice([f"${rng.randint(1, 99)}.{rng.randint(0, 99):02}", f"{rng.randint(1, 100)}%", f"{rng.randint(0, 23)}:{rng.randint(0, 59):02}", f"{word}!", f"{word.capitalize()}?", f"#{rng.randint(1, 99)}", f"{rng.randint(1, 9)}+{rng.randint(1, 9)}=?"])  # fmt: skip
        else:
            s = _random_string(rng, CAPITALS + DIGITS + SMALL + SMALL + SIGNS)
        if len(s) <= most:
            return s


def text(rng: Random, fonts: list[str], s: str | None = None, small: int = 0) -> Scene:
    """A string in one colour. `small`: of at most so many characters, so small on its page that it needs many tiles."""
    background, colours = _background(rng)
    if s is None:
        s = string(rng, small or 12)
        while small and len(s) < 3:
            s = string(rng, small)
    scene = Scene("text", [], background, text=s)
    scene.extra = {
        "font": rng.choice(fonts),
        "colour": rng.choice(colours),
        "fill": rng.uniform(0.62, 0.9) if len(s) > 1 else rng.uniform(0.4, 0.8),
        "dx": rng.uniform(-0.06, 0.06),
        "dy": rng.uniform(-0.1, 0.1),
        "angle": rng.uniform(-5, 5) if rng.random() < 0.4 else 0.0,
    }
    if small:
        scene.extra |= {"height": rng.uniform(0.055, 0.08), "x": rng.random(), "y": rng.random(), "angle": 0.0}
    return scene


def text_aspect(rng: Random, s: str) -> float:
    """Width over height of a picture that suits a string."""
    return 1.0 if len(s) <= 3 and rng.random() < 0.6 else min(6.0, max(1.0, 0.62 * len(s) * rng.uniform(0.5, 1.0)))


def chart(rng: Random) -> Scene:
    """Two to six coloured bars with letters below, on an axis from 0 to 100 with lines at every 20; heights differ."""
    background = rng.choice(LIGHT)
    n = rng.choice([2, 3, 3, 4, 4, 5, 6])
    colours = rng.sample([c for c in COLOUR_NAMES if c not in NOT_ON_LIGHT], n)
    gap = 0.1 if n < 5 else 0.06
    while True:
        values = [rng.uniform(0.1, 1.0) for _ in range(n)]
        ordered = sorted(values)
        if all(b - a >= gap for a, b in zip(ordered, ordered[1:])):
            break
    half = 0.41 / n * rng.uniform(0.55, 0.8)
    base, high = rng.uniform(0.82, 0.86), rng.uniform(0.7, 0.76)
    first = 0 if rng.random() < 0.7 else rng.randint(0, 26 - n)
    things, letters = [], []
    for i, (colour, value) in enumerate(zip(colours, values)):
        x, h = 0.13 + 0.84 * (i + 0.5) / n, value * high
        label = CAPITALS[first + i]
        things.append(Thing("bar", colour, x, base - h / 2, half, h / 2, "", value, label))
        letters.append(Thing(label, "black", x, base + 0.075, 0.04, 0.045, value=value))
    return Scene("chart", things + letters, background, extra={"base": base, "high": high, "font": rng.choice(TRAIN_FONTS), "lines": rng.random() < 0.8})


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


def change(rng: Random, frames: int = 8) -> tuple[list[Scene], str, Thing]:
    """`frames` scenes of one to three shapes, one of which appears or vanishes on the way."""
    scene = shapes(rng, rng.choice([1, 2, 2, 3]))
    happening = rng.choice(["appears", "vanishes"])
    thing = rng.choice(scene.things)
    rest = [t for t in scene.things if t is not thing]
    at = rng.randint(2, frames - 2)
    there = [(i >= at) == (happening == "appears") for i in range(frames)]
    return [Scene("shapes", scene.things if t else rest, scene.background) for t in there], happening, thing


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


def _write(image: Image.Image, font: ImageFont.FreeTypeFont, s: str, x: float, y: float, colour: str, rgb: tuple[int, int, int]) -> list[Thing]:
    """Writes `s` with its origin at (x, y), in pixels; returns its characters and where each fell."""
    w, h = image.size
    ImageDraw.Draw(image).text((x, y), s, font=font, fill=rgb)
    _, top, _, bottom = font.getbbox(s)
    things = []
    for i, ch in enumerate(s):
        a, b = x + font.getlength(s[:i]), x + font.getlength(s[: i + 1])
        if ch != " ":
            things.append(Thing(ch, colour, (a + b) / 2 / w, (y + (top + bottom) / 2) / h, (b - a) / 2 / w, (bottom - top) / 2 / h, order=i + 1))
    return things


def wall(rng: Random, fonts: list[str]) -> Scene:
    """A ground full of characters, to learn what they look like: many for the price of one picture. Half are as small as on a page. Nothing is asked about it."""
    background, colours = _background(rng)
    return Scene("wall", [], background, extra={"fonts": rng.sample(fonts, 2), "colours": colours, "height": rng.uniform(0.2, 0.33) if rng.random() < 0.5 else rng.uniform(0.18, 0.55)})


def _draw_wall(rng: Random, scene: Scene, image: Image.Image) -> None:
    w, h = image.size
    e = scene.extra
    y = rng.uniform(-0.03, 0.08) * h
    while True:
        size = max(8, int(e["height"] * rng.uniform(0.85, 1.15) * h) // 2 * 2)
        if y + size > 1.1 * h:
            break
        font, colour = _font(rng.choice(e["fonts"]), size), rng.choice(e["colours"])
        x = rng.uniform(-0.5, 0.5) * size
        s = ""
        while x + font.getlength(s) < 0.9 * w:
            s += string(rng) if rng.random() < 0.4 else rng.choice(CHARS)
        scene.things += _write(image, font, s, x, y, colour, _jitter(rng, colour))
        y += size * rng.uniform(1.05, 1.4)


def _draw_text(rng: Random, scene: Scene, image: Image.Image) -> Image.Image:
    """Draws the string and records where each character fell."""
    w, h = image.size
    e = scene.extra
    probe = _font(e["font"], 64)
    box = probe.getbbox(scene.text)
    scale = min(e["fill"] * w / (box[2] - box[0]), e["fill"] * h / (box[3] - box[1]))
    if "height" in e:
        scale = e["height"] * h / 46
    size = max(8, int(64 * scale) // 2 * 2)
    font = _font(e["font"], size)
    left, top, right, bottom = font.getbbox(scene.text)
    x = (w - (right - left)) / 2 - left + e["dx"] * w * (1 - e["fill"])
    y = (h - (bottom - top)) / 2 - top + e["dy"] * h
    if "height" in e:
        x = 0.03 * w - left + e["x"] * max(0.0, 0.94 * w - (right - left))
        y = 0.03 * h - top + e["y"] * (0.94 * h - (bottom - top))
    y = min(max(y, -top + 2), h - bottom - 2)
    scene.things = _write(image, font, scene.text, x, y, e["colour"], _jitter(rng, e["colour"]))
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
    elif scene.sort == "wall":
        _draw_wall(rng, scene, image)
    else:
        pen = ImageDraw.Draw(image)
        if scene.sort == "chart":
            ink, font = (60, 60, 60), _font(scene.extra["font"], max(8, int(0.12 * min(w, h)) // 2 * 2))
            base, high = scene.extra["base"], scene.extra["high"]
            for i in range(6):
                y = (base - high * i / 5) * h
                if i == 0 or scene.extra["lines"]:
                    pen.line([(0.11 * w, y), (0.98 * w, y)], fill=ink if i == 0 else (200, 200, 200), width=max(1, w // 150))
            pen.line([(0.11 * w, (base - high) * h), (0.11 * w, base * h)], fill=ink, width=max(1, w // 150))
            small = _font(scene.extra["font"], max(7, int(0.06 * min(w, h))))
            for value in (0, 100):
                pen.text((0.1 * w, (base - high * value / 100) * h), str(value), font=small, fill=ink, anchor="rm")
        for t in scene.things:
            colour = _jitter(rng, t.colour)
            x, y, rx, ry = t.x * w, t.y * h, t.rx * w, t.ry * h
            if len(t.kind) == 1:
                pen.text((x, y), t.kind, font=font, fill=(20, 20, 20), anchor="mm")
            elif t.kind == "bar":
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
kind_id, colour_id = _KIND_ID.__getitem__, _COLOUR_ID.__getitem__


# What a visual token shows besides kind and colour: nothing, a character's place in its string,
# a shape's place in its picture, or a bar's value in steps of 5, which its letter has too.
LONGEST = 12
ROLES = 1 + LONGEST + len(PLACES) + 21
_PLACE_ID = {name: 1 + LONGEST + i for i, name in enumerate(PLACES)}


def worth(value: float) -> int:
    """Index of ROLES for a bar's value."""
    return 1 + LONGEST + len(PLACES) + round(value * 20)


def role(t: Thing) -> int:
    """Index of ROLES; 0 where there is none to tell."""
    if t.order:
        return min(t.order, LONGEST)
    if t.place:
        return _PLACE_ID[t.place]
    return worth(t.value) if t.value else 0


def labels(
    things: list[Thing], across: int, down: int, cell: tuple[int, int, int, int] = (1, 1, 0, 0)
) -> tuple[np.ndarray, np.ndarray]:
    """For the tile `cell` (columns, rows, column, row) of a picture, in reading order of a grid of `across` times `down`:
    int [squares, 5] (kind, colour, role, and how many things have its kind and how many its colour) and float [squares, 5]
    (x, y, half width, half height, as fractions of the tile, and a bar's value, 0 where it has none) of the thing each
    square belongs to.
    """
    cols, rows, col, row = cell
    ids = np.zeros((across * down, 5), dtype=np.int64)
    boxes = np.zeros((across * down, 5), dtype=np.float32)
    near = np.full(across * down, 1e9)
    cx, cy = np.tile((np.arange(across) + 0.5) / across, down), np.repeat((np.arange(down) + 0.5) / down, across)
    for t in things:
        x, y, rx, ry = t.x * cols - col, t.y * rows - row, t.rx * cols, t.ry * rows
        if x + rx < 0 or x - rx > 1 or y + ry < 0 or y - ry > 1:
            continue
        d = np.maximum(np.abs(cx - x) / max(rx, 1e-3), np.abs(cy - y) / max(ry, 1e-3))
        if 0 <= x < 1 and 0 <= y < 1:
            own = int(y * down) * across + int(x * across)
            d[own] = min(d[own], 0.3)
        mine = (d <= 1.0) & (d < near)
        near[mine] = d[mine]
        same = [sum(getattr(u, key) == getattr(t, key) for u in things) for key in ("kind", "colour")]
        ids[mine] = (_KIND_ID[t.kind], _COLOUR_ID[t.colour], role(t), *same)
        boxes[mine] = (x, y, rx, ry, t.value)
    return ids, boxes
