"""Questions and answers about a scene, in English and Chinese.

The words are those of `language.json`, which the evaluation in TypeScript reads too. A *talk* is a list of
(task, question, answer) rounds about one prompt; later rounds may lean on earlier ones. The task is a key of
`language.json`.
"""

from __future__ import annotations

import json
import os
import re
from random import Random

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "language.json"), encoding="utf-8") as f:
    LANGUAGE = json.load(f)

KINDS = list(LANGUAGE["kinds"])
COLOUR_NAMES = list(LANGUAGE["colours"])
Round = tuple[str, str, str]


def a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def upper(s: str) -> str:
    return s[0].upper() + s[1:]


class Tongue:
    """One language: names of things, and sentences filled in."""

    def __init__(self, code: str):
        self.code = code
        self.tasks = LANGUAGE[code]
        self.zh = code == "zh"

    def kind(self, k: str) -> str:
        return LANGUAGE["kinds"][k]["zh"] if self.zh else k

    def colour(self, c: str) -> str:
        return LANGUAGE["colours"][c]["zh"] if self.zh else c

    def place(self, p: str) -> str:
        return LANGUAGE["places"][p]["zh"] if self.zh else p

    def thing(self, t) -> str:
        return f"{self.colour(t.colour)}的{self.kind(t.kind)}" if self.zh else f"{t.colour} {t.kind}"

    def number(self, n: int) -> str:
        return LANGUAGE["numbers"][self.code][n]

    def listing(self, parts: list[str]) -> str:
        if self.zh:
            return "，".join(parts)
        return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]

    def fill(self, template: str, slots: dict) -> str:
        def one(match: re.Match) -> str:
            key = match[1]
            if key in slots:
                return slots[key]
            if key.startswith("a "):
                return a(slots[key[2:]])
            if key.startswith("A "):
                return upper(a(slots[key[2:]]))
            if key.startswith("other a "):
                return a(slots["other " + key[8:]])
            return upper(slots[key[0].lower() + key[1:]])

        return re.sub(r"\{([^}]+)\}", one, template)

    def ask(self, rng: Random, task: str, **slots: str) -> str:
        slots = {k.replace("_", " "): v for k, v in slots.items()}
        return self.fill(rng.choice(self.tasks[task]["ask"]), {"cw": rng.choice(["colour", "colour", "color"]), **slots})

    def tell(self, task: str, form: str = "answer", **slots: str) -> str:
        return self.fill(self.tasks[task][form], {k.replace("_", " "): v for k, v in slots.items()})

    def round(self, rng: Random, task: str, form: str = "answer", **slots: str) -> Round:
        return task, self.ask(rng, task, **slots), self.tell(task, form, **slots)


TONGUES = {code: Tongue(code) for code in ("en", "zh")}


def string_noun(s: str) -> str:
    """`the letter "A"`, `the digit "4"`, `the number "42"`, `the text "X7"`."""
    if len(s) == 1 and s.isalnum():
        return f'the {"digit" if s.isdigit() else "letter"} "{s}"'
    return f'the {"number" if s.isdigit() else "text"} "{s}"'


def describe(g: Tongue, scene) -> str:
    """The canonical sentence about a picture."""
    ts = scene.things
    if scene.sort == "chart":
        colours = g.listing([g.colour(t.colour) for t in bars(scene)])
        n = g.number(len(bars(scene)))
        return f"有{n}个柱子：{colours}。" if g.zh else f"A bar chart with {n} bars: {colours}."
    if scene.sort == "text":
        colour = g.colour(scene.extra["colour"])
        return f'{colour}的"{scene.text}"。' if g.zh else f"{upper(string_noun(scene.text))} in {colour}."
    if g.zh:
        return g.listing([f"{g.place(t.place)}是{g.thing(t)}" for t in ts]) + "。"
    return upper(g.listing([f"{a(g.thing(t))} {t.place}" for t in ts])) + "."


def short(g: Tongue, scene) -> str:
    """Without places, for picture pairs."""
    if scene.sort == "text":
        return f'"{scene.text}"' if g.zh else string_noun(scene.text)
    return g.listing([g.thing(t) if g.zh else a(g.thing(t)) for t in scene.things])


def bars(scene) -> list:
    return [t for t in scene.things if t.kind == "bar"]


def _unique(things: list, key: str) -> list:
    values = [getattr(t, key) for t in things]
    return [t for t in things if values.count(getattr(t, key)) == 1]


def _count(g: Tongue, rng: Random, task: str, n: int, **slots: str) -> Round:
    form = "one" if n == 1 else "none" if n == 0 and "none" in g.tasks[task] else "many"
    return g.round(rng, task, form, n=g.number(n), **slots)


def _and_colour(g: Tongue, rng: Random, colour: str) -> Round:
    return g.round(rng, "and its colour", colour=g.colour(colour))


def general(g: Tongue, rng: Random) -> Round:
    """Questions that any picture may get and nano cannot answer."""
    absent = rng.choice(LANGUAGE["absent"])
    return g.round(rng, "absent" if not g.zh and rng.random() < 0.5 else "cannot tell", absent=absent)


def shape_rounds(g: Tongue, rng: Random, scene) -> list[Round]:
    """One talk of one or two rounds about a picture of shapes."""
    ts = scene.things
    t = rng.choice(ts)
    describing = ("describe", g.ask(rng, "describe"), describe(g, scene))
    task = rng.choices(
        ["describe", "colour", "kind", "count", "where", "exists", "relation", "follow", "general", "poem"],
        [12, 18, 11, 14, 16, 12, 12, 18, 1, 0 if g.zh else 1],
    )[0]
    if task == "poem":
        return [g.round(rng, "poem", that=short(g, scene))]
    if task == "colour":
        unique = _unique(ts, "kind")
        if unique and rng.random() < 0.8:
            t = rng.choice(unique)
            return [g.round(rng, "colour of kind", kind=g.kind(t.kind), colour=g.colour(t.colour))]
        if len(ts) == 1:
            return [g.round(rng, "colour of it", colour=g.colour(t.colour))]
        return [g.round(rng, "colour at", place=g.place(t.place), colour=g.colour(t.colour))]
    if task == "kind":
        unique = _unique(ts, "colour")
        if unique and rng.random() < 0.6:
            t = rng.choice(unique)
            return [g.round(rng, "kind of colour", kind=g.kind(t.kind), colour=g.colour(t.colour))]
        if len(ts) == 1 and rng.random() < 0.5:
            return [g.round(rng, "kind of it", kind=g.kind(t.kind))]
        if rng.random() < 0.3:
            return [g.round(rng, "kind at", place=g.place(t.place), kind=g.kind(t.kind))]
        return [g.round(rng, "thing at", place=g.place(t.place), thing=g.thing(t))]
    if task == "count":
        if rng.random() < 0.2:
            return [_count(g, rng, "count", len(ts))]
        if rng.random() < 0.6:
            kind = t.kind if rng.random() < 0.7 else rng.choice(KINDS)
            n = sum(x.kind == kind for x in ts)
            return [_count(g, rng, "count kind", n, kind=g.kind(kind), kinds=LANGUAGE["kinds"][kind]["plural"])]
        colour = t.colour if rng.random() < 0.7 else rng.choice(COLOUR_NAMES)
        return [_count(g, rng, "count colour", sum(x.colour == colour for x in ts), colour=g.colour(colour))]
    if task == "where":
        unique = _unique(ts, "kind")
        if not unique:
            return [describing]
        t = rng.choice(unique)
        return [g.round(rng, "where", kind=g.kind(t.kind), colour=g.colour(t.colour), place=g.place(t.place))]
    if task == "exists":
        form = rng.random()
        kind, colour = t.kind, t.colour
        if rng.random() < 0.5:  # something that is perhaps not there, often nearly there
            kind = rng.choice([t.kind, rng.choice(KINDS)])
            colour = rng.choice([t.colour, rng.choice(COLOUR_NAMES)]) if kind == t.kind else rng.choice(COLOUR_NAMES)
        if form < 0.6:
            what = f"{g.colour(colour)}的{g.kind(kind)}" if g.zh else f"{colour} {kind}"
            found = any(x.kind == kind and x.colour == colour for x in ts)
        elif form < 0.85:
            what, found = g.kind(kind), any(x.kind == kind for x in ts)
        else:
            what = f"{g.colour(colour)}的图形" if g.zh else f"{colour} shape"
            found = any(x.colour == colour for x in ts)
        return [g.round(rng, "exists", "yes" if found else "no", what=what)]
    if task == "relation":
        unique = _unique(ts, "kind")
        pairs = [(p, q) for p in unique for q in unique if p is not q]
        if not pairs:
            return [describing]
        p, q = rng.choice(pairs)
        return [relation(g, rng, p, q)] if scene.layout != "one" else [describing]
    if task == "general":
        return [general(g, rng)]
    if task == "follow":
        return _follow(g, rng, scene, t)
    return [describing]


def relation(g: Tongue, rng: Random, p, q) -> Round:
    """Whether p is left of, right of, above or below q: along an axis in which their places differ."""
    (px, py), (qx, qy) = (LANGUAGE["places"][t.place]["cell"] for t in (p, q))
    axes = (["x"] if px != qx else []) + (["y"] if py != qy else [])
    if rng.choice(axes) == "x":
        task = rng.choice(["left of", "right of"])
        yes = (px < qx) == (task == "left of")
    else:
        task = rng.choice(["above", "below"])
        yes = (py < qy) == (task == "above")
    return g.round(rng, task, "yes" if yes else "no", kind=g.kind(p.kind), other=g.kind(q.kind),
                   place=g.place(p.place), other_place=g.place(q.place))  # fmt: skip


def _follow(g: Tongue, rng: Random, scene, t) -> list[Round]:
    """Two rounds; the second leans on the first."""
    ts = scene.things
    kind, colour, place = g.kind(t.kind), g.colour(t.colour), g.place(t.place)
    options = ["count, what"]
    options += ["kind, colour", "kind, colour", "colour, kind", "describe, colour"] if len(ts) == 1 else ["at, at", "kind at, colour"] * 2
    if t in _unique(ts, "kind"):
        options += ["exists, colour", "exists, where", "where, colour", "colour, where"]
    pick = rng.choice(options)
    if pick == "count, what":
        return [_count(g, rng, "count", len(ts)), ("what are they", g.ask(rng, "what are they"), describe(g, scene))]
    if pick == "kind, colour":
        return [g.round(rng, "kind of it", kind=kind), _and_colour(g, rng, t.colour)]
    if pick == "colour, kind":
        return [g.round(rng, "colour of it", colour=colour), g.round(rng, "and its shape", kind=kind)]
    if pick == "describe, colour":
        return [("describe", g.ask(rng, "describe"), describe(g, scene)), _and_colour(g, rng, t.colour)]
    if pick == "kind at, colour":
        return [g.round(rng, "kind at", place=place, kind=kind), _and_colour(g, rng, t.colour)]
    if pick == "at, at":
        u = rng.choice([x for x in ts if x is not t])
        return [g.round(rng, "thing at", place=place, thing=g.thing(t)), g.round(rng, "and at", place=g.place(u.place), thing=g.thing(u))]
    if pick == "where, colour":
        return [g.round(rng, "where", kind=kind, colour=colour, place=place), _and_colour(g, rng, t.colour)]
    and_where = g.round(rng, "and where", place=place)
    if pick == "colour, where":
        return [g.round(rng, "colour of kind", kind=kind, colour=colour), and_where]
    first = g.round(rng, "exists", "yes", what=kind)
    return [first, _and_colour(g, rng, t.colour) if pick == "exists, colour" else and_where]


def text_rounds(g: Tongue, rng: Random, scene) -> list[Round]:
    """Talks about printed characters."""
    s, colour = scene.text, g.colour(scene.extra["colour"])
    roll = rng.random()
    if roll < 0.12:
        return [("describe", g.ask(rng, "describe"), describe(g, scene))]
    if roll < 0.15:
        return [g.round(rng, "colour of text", colour=colour)]
    if roll < 0.17:
        return [general(g, rng)]
    if len(s) == 1 and s.isalnum() and not g.zh and rng.random() < 0.4:
        rounds = [g.round(rng, "read digit" if s.isdigit() else "read letter", text=s)]
    else:
        rounds = [g.round(rng, "read", text=s)]
    if rng.random() < 0.15:
        rounds.append(_and_colour(g, rng, scene.extra["colour"]))
    return rounds


def chart_rounds(g: Tongue, rng: Random, scene) -> list[Round]:
    """Talks about a bar chart."""
    ts = bars(scene)
    high, low, t = max(ts, key=lambda t: t.value), min(ts, key=lambda t: t.value), rng.choice(ts)
    value = str(round(t.value * 20) * 5)
    roll = rng.random()
    if roll < 0.1:
        return [("describe", g.ask(rng, "describe"), describe(g, scene))]
    if roll < 0.25:
        return [g.round(rng, "highest", colour=g.colour(high.colour))]
    if roll < 0.37:
        return [g.round(rng, "lowest", colour=g.colour(low.colour))]
    if roll < 0.43:
        return [g.round(rng, "count bars", n=g.number(len(ts)))]
    if roll < 0.62 or (g.zh and roll < 0.9):
        return [g.round(rng, "value of colour", colour=g.colour(t.colour), value=value)]
    if roll < 0.9:
        if rng.random() < 0.2:
            return [g.round(rng, "colour of label", label=t.label, colour=t.colour)]
        return [g.round(rng, "value of label", label=t.label, value=value)]
    if roll < 0.95 and not g.zh:
        p, q = rng.sample(ts, 2)
        up = rng.random() < 0.5
        return [g.round(rng, "higher" if up else "lower", "yes" if (p.value > q.value) == up else "no", colour=p.colour, other=q.colour)]
    if not g.zh:
        return [g.round(rng, "highest", colour=high.colour), g.round(rng, "and the lowest", colour=low.colour)]
    return [general(g, rng)]


def rounds_for(rng: Random, scene, chinese: float = 0.28) -> list[Round]:
    """One talk about one picture of any sort."""
    g = TONGUES["zh" if rng.random() < chinese * (1.0 if scene.sort == "shapes" else 0.5) else "en"]
    return {"text": text_rounds, "chart": chart_rounds}.get(scene.sort, shape_rounds)(g, rng, scene)


def pair_rounds(rng: Random, one, two, chinese: float = 0.12) -> list[Round]:
    """Talks about two pictures."""
    g = TONGUES["zh" if rng.random() < chinese else "en"]
    s, t = short(g, one), short(g, two)
    single = one.sort == two.sort == "shapes" and len(one.things) == len(two.things) == 1
    shapes = one.sort == two.sort == "shapes" and not single
    roll = rng.random()
    if single and roll < 0.5:
        p, q = one.things[0], two.things[0]
        form = {(True, True): "same", (True, False): "colour differs", (False, True): "kind differs", (False, False): "all differs"}
        slots = dict(first=s, second=t, kind=g.kind(p.kind), other_kind=g.kind(q.kind), colour=g.colour(p.colour), other_colour=g.colour(q.colour))
        slots["first"], slots["second"] = (s, t)
        return [g.round(rng, "differ", form[p.kind == q.kind, p.colour == q.colour], **slots)]
    if single and roll < 0.65 and not g.zh:
        p, q = one.things[0], two.things[0]
        slots = dict(kind=p.kind, other_kind=q.kind, colour=p.colour, other_colour=q.colour)
        if rng.random() < 0.5:
            return [g.round(rng, "same colour", "yes" if p.colour == q.colour else "no", **slots)]
        return [g.round(rng, "same shape", "yes" if p.kind == q.kind else "no", **slots)]
    if shapes and roll < 0.5:
        n, m = len(one.things), len(two.things)
        form = "same" if n == m else "first" if n > m else "second"
        return [g.round(rng, "more", form, n=g.number(n), m=g.number(m))]
    if roll < 0.75 or g.zh:
        return [g.round(rng, "two", first=s, second=t)]
    first = rng.random() < 0.5
    words = [("first", "1", s), ("second", "2", t)]
    (w, n, that), (v, m, other) = words if first else words[::-1]
    rounds = [g.round(rng, "one of two", ordinal=w, number=n, that=that)]
    if rng.random() < 0.4:
        rounds.append(g.round(rng, "and the other", ordinal=v, that=other))
    return rounds


def video_rounds(rng: Random, happening: str, thing, move: str, chinese: float = 0.15) -> list[Round]:
    """Talks about a video in which `thing` moves, appears or vanishes."""
    g = TONGUES["zh" if rng.random() < chinese else "en"]
    way = LANGUAGE["moves"][move] if g.zh and move else move
    slots = dict(thing=g.thing(thing), move=way, kind=g.kind(thing.kind))
    roll = rng.random()
    if roll < 0.45:
        return [g.round(rng, "happens", happening, **slots)]
    if happening != "moves":
        if g.zh:
            return [g.round(rng, "happens", happening, **slots)]
        rounds = [g.round(rng, "what " + happening, **slots)]
        return rounds + [_and_colour(g, rng, thing.colour)] if rng.random() < 0.15 else rounds
    if roll < 0.8:
        return [g.round(rng, "which way kind" if not g.zh and rng.random() < 0.4 else "which way", **slots)]
    if g.zh or roll < 0.87:
        return [g.round(rng, "colour of kind", kind=g.kind(thing.kind), colour=g.colour(thing.colour))]
    if roll < 0.94:
        return [g.round(rng, "what moves", **slots), g.round(rng, "and which way", **slots)]
    return [g.round(rng, "which way", **slots), _and_colour(g, rng, thing.colour)]


def plain_rounds(rng: Random) -> list[Round]:
    """Talks without a picture."""
    en, zh = TONGUES["en"], TONGUES["zh"]
    pick = rng.choices(["hello", "who", "zh", "thanks", "bye", "no picture", "cannot do", "cannot tell"], [25, 25, 10, 8, 5, 14, 14, 4])[0]
    if pick == "zh":
        return [zh.round(rng, "hello")]
    if pick == "no picture" and rng.random() < 0.5:
        return [(pick, en.ask(rng, "describe"), en.tell("no picture"))]
    rounds = [en.round(rng, pick, absent=rng.choice(LANGUAGE["absent"]))]
    if pick == "hello" and rng.random() < 0.3:
        rounds.append(en.round(rng, "who"))
    return rounds


def loosen(rng: Random, question: str) -> str:
    """Now and then as people type: no capital, no question mark."""
    if rng.random() < 0.08:
        question = question[0].lower() + question[1:]
    if rng.random() < 0.08 and question[-1] in "?.":
        question = question[:-1]
    return question
