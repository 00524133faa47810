"""Questions and their answers, made from a scene's data. English, and a little Chinese.

A *talk* is a list of (question, answer) rounds about one prompt; later rounds
may lean on earlier ones. Each question also carries the name of its task, for
evaluation.
"""

from __future__ import annotations

from random import Random

from draw import COLOUR_NAMES, KINDS, Scene, Thing

Round = tuple[str, str, str]  # task, question, answer

NUMBERS = ["no", "one", "two", "three", "four"]
ZH_COLOUR = dict(
    red="红色", green="绿色", blue="蓝色", yellow="黄色", orange="橙色", purple="紫色",
    pink="粉色", brown="棕色", black="黑色", gray="灰色", white="白色",
)  # fmt: skip
ZH_KIND = dict(
    circle="圆形", square="正方形", triangle="三角形", star="星形", diamond="菱形", cross="十字", ring="圆环"
)
ZH_PLACE = {
    "at the top left": "左上", "at the top": "上面", "at the top right": "右上", "on the left": "左边",
    "in the middle": "中间", "on the right": "右边", "at the bottom left": "左下", "at the bottom": "下面",
    "at the bottom right": "右下",
}  # fmt: skip
ZH_NUMBER = ["零", "一", "两", "三", "四"]

DESCRIBE = [
    "What is in the picture?",
    "What is in the picture?",
    "What is in the image?",
    "What do you see?",
    "What can you see in the picture?",
    "Describe the picture.",
    "Describe the image.",
    "Please describe the picture.",
    "Please describe the image shortly.",
    "Please describe the image in detail.",
    "Describe the image in detail.",
    "What does the picture show?",
    "What is this?",
    "What's in the picture?",
    "What is shown here?",
]


def a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def named(t: Thing) -> str:
    return a(f"{t.colour} {t.kind}")


def listing(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def upper(s: str) -> str:
    return s[0].upper() + s[1:]


def colour_word(rng: Random) -> str:
    return rng.choice(["colour", "color"])


def plural(kind: str) -> str:
    return kind + ("es" if kind == "cross" else "s")


def describe(scene: Scene) -> str:
    """The canonical sentence about a picture."""
    ts = scene.things
    if scene.sort == "chart":
        return f"A bar chart with {NUMBERS[len(ts)]} bars: {listing([t.colour for t in ts])}."
    if scene.sort == "text":
        return f"{upper(string_noun(scene.text))} in {scene.extra['colour']}."
    return upper(listing([f"{named(t)} {t.place}" for t in ts])) + "."


def string_noun(s: str) -> str:
    """`the letter "A"`, `the digit "4"`, `the number "42"`, `the text "X7"`."""
    if len(s) == 1:
        return f'the {"digit" if s.isdigit() else "letter"} "{s}"'
    return f'the {"number" if s.isdigit() else "text"} "{s}"'


def short(scene: Scene) -> str:
    """Without places, for picture pairs."""
    if scene.sort == "text":
        return string_noun(scene.text)
    if scene.sort == "chart":
        return "a bar chart"
    return listing([named(t) for t in scene.things])


def _unique(things: list[Thing], key: str) -> list[Thing]:
    values = [getattr(t, key) for t in things]
    return [t for t in things if values.count(getattr(t, key)) == 1]


def _poem(scene: Scene) -> str:
    return f"{upper(short(scene))}, so simple and so clear: a little picture that is good to have here."


CANNOT = "I cannot tell. I only know simple pictures."
ABSENT = ["dog", "cat", "house", "tree", "person", "panda", "red panda", "car", "bird", "flower", "man", "woman"]


def general(rng: Random) -> list[Round]:
    """Questions that any picture may get and nano cannot answer."""
    thing = rng.choice(ABSENT)
    if rng.random() < 0.5:
        return [("absent", rng.choice([f"Is there a {thing}?", f"Can you see a {thing}?", f"Is there a {thing} in the picture?"]), f"No, there is no {thing}.")]
    return [
        (
            "cannot",
            rng.choice(
                [
                    f"What is the {thing} doing?",
                    "Who made this picture?",
                    "Who is this?",
                    "Where was this taken?",
                    "When was this made?",
                    "Why is it here?",
                    "How old is it?",
                    "What is the weather like?",
                ]
            ),
            CANNOT,
        )
    ]


def shape_rounds(rng: Random, scene: Scene) -> list[Round]:
    """One talk of one or two rounds about a picture of shapes."""
    ts = scene.things
    task = rng.choices(
        ["describe", "colour", "kind", "count", "where", "exists", "relation", "follow", "general", "poem"],
        [13, 25, 14, 10, 12, 10, 5, 16, 2, 1],
    )[0]
    cw = colour_word(rng)
    t = rng.choice(ts)
    if task == "describe":
        return [("describe", rng.choice(DESCRIBE), describe(scene))]
    if task == "poem":
        return [("poem", rng.choice(["Please write a poem according to the image.", "Write a poem about the picture."]), _poem(scene))]
    if task == "colour":
        unique = _unique(ts, "kind")
        if unique and rng.random() < 0.8:
            t = rng.choice(unique)
            q = rng.choice([f"What {cw} is the {t.kind}?", f"What {cw} is the {t.kind}?", f"Which {cw} is the {t.kind}?", f"What is the {cw} of the {t.kind}?"])
            return [("colour", q, f"The {t.kind} is {t.colour}.")]
        if len(ts) == 1:
            return [("colour", rng.choice([f"What {cw} is it?", f"What {cw} is the shape?", f"Which {cw} is it?"]), f"It is {t.colour}.")]
        return [("colour", rng.choice([f"What {cw} is the shape {t.place}?", f"Which {cw} is the shape {t.place}?"]), f"It is {t.colour}.")]
    if task == "kind":
        unique = _unique(ts, "colour")
        if unique and rng.random() < 0.6:
            t = rng.choice(unique)
            return [("kind", rng.choice([f"What shape is {t.colour}?", f"Which shape is {t.colour}?"]), f"The {t.kind}.")]
        return [("kind", rng.choice([f"What is {t.place}?", f"What do you see {t.place}?", f"What is there {t.place}?"]), f"{upper(named(t))}.")]
    if task == "count":
        if rng.random() < 0.5:
            n = len(ts)
            q = rng.choice(["How many shapes are there?", "How many shapes are in the picture?", "How many things do you see?", "How many shapes do you see?"])
            return [("count", q, f"There {'is' if n == 1 else 'are'} {NUMBERS[n]} shape{'' if n == 1 else 's'}.")]
        if rng.random() < 0.5:
            kind = rng.choice([t.kind, t.kind, rng.choice(KINDS)])
            n = sum(x.kind == kind for x in ts)
            noun, q = kind, rng.choice([f"How many {plural(kind)} are there?", f"How many {plural(kind)} do you see?"])
            answer = f"There is one {kind}." if n == 1 else f"There are {NUMBERS[n]} {plural(kind)}."
        else:
            colour = rng.choice([t.colour, t.colour, rng.choice(COLOUR_NAMES)])
            n = sum(x.colour == colour for x in ts)
            q = rng.choice([f"How many {colour} shapes are there?", f"How many {colour} shapes do you see?"])
            answer = f"There is one {colour} shape." if n == 1 else f"There are {NUMBERS[n]} {colour} shapes."
        return [("count", q, answer)]
    if task == "where":
        unique = _unique(ts, "kind")
        if unique:
            t = rng.choice(unique)
            return [("where", rng.choice([f"Where is the {t.kind}?", f"Where is the {t.colour} {t.kind}?"]), f"The {t.kind} is {t.place}.")]
        return [("describe", rng.choice(DESCRIBE), describe(scene))]
    if task == "exists":
        if rng.random() < 0.5:
            kind, colour = t.kind, t.colour
        else:
            kind = rng.choice([t.kind, rng.choice(KINDS)])
            colour = rng.choice([t.colour, rng.choice(COLOUR_NAMES)]) if kind == t.kind else rng.choice(COLOUR_NAMES)
        form = rng.random()
        what = f"{colour} {kind}" if form < 0.6 else kind if form < 0.85 else f"{colour} shape"
        found = any(
            (x.kind == kind or form >= 0.85) and (x.colour == colour or 0.6 <= form < 0.85) for x in ts
        )
        q = rng.choice([f"Is there {a(what)}?", f"Is there {a(what)} in the picture?", f"Do you see {a(what)}?"])
        return [("exists", q, f"Yes, there is {a(what)}." if found else f"No, there is no {what}.")]
    if task == "relation" and len(ts) > 1:
        p, q_ = rng.sample(ts, 2)
        unique = _unique(ts, "kind")
        if p in unique and q_ in unique:
            if scene.layout == "row" or (scene.layout in ("corners", "four") and rng.random() < 0.5 and abs(p.x - q_.x) > 0.2):
                left = rng.random() < 0.5
                yes = (p.x < q_.x) == left
                word = "left" if left else "right"
                q = rng.choice([f"Is the {p.kind} to the {word} of the {q_.kind}?", f"Is the {p.kind} {word} of the {q_.kind}?"])
            elif abs(p.y - q_.y) > 0.2:
                above = rng.random() < 0.5
                yes = (p.y < q_.y) == above
                q = f"Is the {p.kind} {'above' if above else 'below'} the {q_.kind}?"
            else:
                return [("describe", rng.choice(DESCRIBE), describe(scene))]
            return [("relation", q, "Yes." if yes else "No.")]
    if task == "general":
        return general(rng)
    return _follow(rng, scene, t, cw)


def _follow(rng: Random, scene: Scene, t: Thing, cw: str) -> list[Round]:
    """Two rounds; the second leans on the first."""
    ts = scene.things
    and_colour = rng.choice([f"And its {cw}?", f"And its {cw}?", f"And what {cw} is it?", f"What {cw} is it?", f"Which {cw}?"])
    options = ["count_what"]
    if len(ts) == 1:
        options += ["kind_colour"] * 3 + ["colour_kind"] * 2 + ["describe_colour"]
    else:
        options += ["place_place"] * 3 + ["place_kind_colour"] * 3
    if t in _unique(ts, "kind"):
        options += ["exists_colour"] * 2 + ["where_colour"] * 2 + ["colour_where"] * 2
    pick = rng.choice(options)
    ask_kind = rng.choice(["What shape is it?", "What shape is this?", "Which shape do you see?"])
    if pick == "count_what":
        n = len(ts)
        return [
            ("count", rng.choice(["How many shapes are there?", "How many shapes do you see?"]), f"There {'is' if n == 1 else 'are'} {NUMBERS[n]} shape{'' if n == 1 else 's'}."),
            ("second round", rng.choice(["What are they?", "Which ones?", "Name them."]) if n > 1 else rng.choice(["What is it?", "Which one?"]), describe(scene)),
        ]
    if pick == "kind_colour":
        return [("kind", ask_kind, f"It is {a(t.kind)}."), ("second round", and_colour, f"It is {t.colour}.")]
    if pick == "colour_kind":
        return [
            ("colour", f"What {cw} is it?", f"It is {t.colour}."),
            ("second round", rng.choice(["And its shape?", "And what shape is it?", "And the shape?"]), f"It is {a(t.kind)}."),
        ]
    if pick == "describe_colour":
        return [("describe", rng.choice(DESCRIBE), describe(scene)), ("second round", and_colour, f"It is {t.colour}.")]
    if pick == "place_kind_colour":
        return [("kind", f"What shape is {t.place}?", f"It is {a(t.kind)}."), ("second round", and_colour, f"It is {t.colour}.")]
    if pick == "place_place":
        u = rng.choice([x for x in ts if x is not t])
        return [
            ("kind", f"What is {t.place}?", f"{upper(named(t))}."),
            ("second round", rng.choice([f"And {u.place}?", f"And what is {u.place}?", f"And the one {u.place}?"]), f"{upper(named(u))}."),
        ]
    if pick == "exists_colour":
        return [
            ("exists", f"Is there {a(t.kind)}?", f"Yes, there is {a(t.kind)}."),
            ("second round", rng.choice([and_colour, "Where is it?", "And where is it?"]), "")
        ]
    if pick == "where_colour":
        return [("where", f"Where is the {t.kind}?", f"The {t.kind} is {t.place}."), ("second round", and_colour, f"It is {t.colour}.")]
    return [
        ("colour", f"What {cw} is the {t.kind}?", f"The {t.kind} is {t.colour}."),
        ("second round", rng.choice(["Where is it?", "And where is it?", "And its place?"]), f"It is {t.place}."),
    ]


def _finish(rounds: list[Round], scene: Scene) -> list[Round]:
    """Fills the one answer that depends on the second question's words."""
    if len(rounds) == 2 and rounds[1][2] == "":
        kind = rounds[0][2].rsplit(" ", 1)[1].rstrip(".")
        t = next(x for x in scene.things if x.kind == kind)
        where = "here" in rounds[1][1]
        rounds[1] = (rounds[1][0], rounds[1][1], f"It is {t.place}." if where else f"It is {t.colour}.")
    return rounds


def shape_rounds_zh(rng: Random, scene: Scene) -> list[Round]:
    """The same in Chinese: describe, colour, kind, count."""
    ts = scene.things
    t = rng.choice(ts)
    zh = lambda x: f"{ZH_COLOUR[x.colour]}的{ZH_KIND[x.kind]}"  # noqa: E731
    pick = rng.choice(["describe", "describe", "colour", "count", "kind"])
    if pick == "colour":
        unique = _unique(ts, "kind")
        if unique:
            t = rng.choice(unique)
            return [("chinese", f"{ZH_KIND[t.kind]}是什么颜色？", f"{ZH_KIND[t.kind]}是{ZH_COLOUR[t.colour]}。")]
    if pick == "count":
        return [("chinese", rng.choice(["有几个图形？", "图里有几个图形？"]), f"有{ZH_NUMBER[len(ts)] if len(ts) != 1 else '一'}个图形。")]
    if pick == "kind":
        return [("chinese", f"{ZH_PLACE[t.place]}是什么？", f"{zh(t)}。")]
    return [("chinese", rng.choice(["图里有什么？", "图片里有什么？", "请描述图片。"]), "，".join(f"{ZH_PLACE[x.place]}是{zh(x)}" for x in ts) + "。")]


def text_rounds(rng: Random, scene: Scene) -> list[Round]:
    """Talks about printed characters."""
    s, colour, cw = scene.text, scene.extra["colour"], colour_word(rng)
    roll = rng.random()
    if roll < 0.3:
        return [("read", rng.choice(DESCRIBE), describe(scene))]
    if roll < 0.42:
        return [("text colour", rng.choice([f"What {cw} is it?", f"What {cw} is the text?", f"What {cw} is the {'letter' if len(s) == 1 else 'word'}?"]), f"It is {colour}.")]
    if roll < 0.45:
        return [("chinese", "写的是什么？", f'写的是"{s}"。')]
    if roll < 0.47:
        return general(rng)
    if len(s) == 1 and rng.random() < 0.6:
        noun = "digit" if s.isdigit() else "letter"
        rounds = [("read", rng.choice([f"What {noun} is this?", f"Which {noun} is this?", f"Which {noun} do you see?", f"What {noun} is it?"]), f'It is {string_noun(s)}.')]
    else:
        rounds = [("read", rng.choice(["What does it say?", "What is written here?", "Read the text.", "What is the text?", "What does the picture say?", "Read it.", "Please read the text."]), f'It says "{s}".')]
    if rng.random() < 0.25:
        rounds.append(("second round", rng.choice([f"And its {cw}?", f"And what {cw} is it?", f"What {cw} is it?"]), f"It is {colour}."))
    return rounds


def chart_rounds(rng: Random, scene: Scene) -> list[Round]:
    """Talks about a bar chart."""
    ts, cw = scene.things, colour_word(rng)
    high, low = max(ts, key=lambda t: t.value), min(ts, key=lambda t: t.value)
    ask_high = ("chart", rng.choice(["Which bar is the highest?", "Which bar is the tallest?", "Which bar is highest?", "What is the highest bar?"]), f"The {high.colour} bar.")
    ask_low = ("chart", rng.choice(["Which bar is the lowest?", "Which bar is the shortest?", "Which bar is lowest?", "What is the lowest bar?"]), f"The {low.colour} bar.")
    roll = rng.random()
    if roll < 0.2:
        return [("chart describe", rng.choice(DESCRIBE), describe(scene))]
    if roll < 0.42:
        return [ask_high]
    if roll < 0.6:
        return [ask_low]
    if roll < 0.7:
        return [("chart", rng.choice(["How many bars are there?", "How many bars do you see?"]), f"There are {NUMBERS[len(ts)]} bars.")]
    if roll < 0.85:
        p, q = rng.sample(ts, 2)
        up = rng.random() < 0.5
        yes = (p.value > q.value) == up
        return [("chart", f"Is the {p.colour} bar {'higher' if up else 'lower'} than the {q.colour} bar?", "Yes." if yes else "No.")]
    if roll < 0.98:
        return [ask_high, ("second round", rng.choice(["And the lowest?", "And the lowest bar?", "And which is the lowest?", "And the shortest?"]), ask_low[2])]
    return general(rng)


def rounds_for(rng: Random, scene: Scene, chinese: float = 0.06) -> list[Round]:
    """One talk about one picture of any sort."""
    if scene.sort == "text":
        return text_rounds(rng, scene)
    if scene.sort == "chart":
        return chart_rounds(rng, scene)
    if rng.random() < chinese:
        return shape_rounds_zh(rng, scene)
    return _finish(shape_rounds(rng, scene), scene)


def pair_rounds(rng: Random, one: Scene, two: Scene) -> list[Round]:
    """Talks about two pictures."""
    s, t, cw = short(one), short(two), colour_word(rng)
    roll = rng.random()
    both = rng.choice(["images", "pictures"])
    it = both[:-1]
    if roll < 0.25:
        q = rng.choice([f"Describe the two {both} in detail.", f"Describe the two {both}.", f"What is in the two {both}?", f"Please describe the two {both}.", f"Describe the {both}."])
        return [("two pictures", q, f"The first shows {s} and the second shows {t}.")]
    single = one.sort == two.sort == "shapes" and len(one.things) == len(two.things) == 1
    if single:
        p, q_ = one.things[0], two.things[0]
        if p.kind == q_.kind and p.colour == q_.colour:
            differ = f"Both show {s}."
        elif p.kind == q_.kind:
            differ = f"Both show {a(p.kind)}, but the first is {p.colour} and the second is {q_.colour}."
        elif p.colour == q_.colour:
            differ = f"Both are {p.colour}, but the first is {a(p.kind)} and the second is {a(q_.kind)}."
        else:
            differ = f"The first is {s} and the second is {t}."
        if roll < 0.6:
            q = rng.choice(
                [
                    f"What are the similarities and differences between these two {both}?",
                    f"What is different?",
                    f"What differs?",
                    f"How do the two {both} differ?",
                    f"What are the differences between the two {both}?",
                    f"What is the difference between the two {both}?",
                ]
            )
            return [("two pictures", q, differ)]
        if roll < 0.72:
            if rng.random() < 0.5:
                same, q = p.colour == q_.colour, rng.choice([f"Do they have the same {cw}?", f"Is the {cw} the same?", f"Are both the same {cw}?"])
                answer = f"Yes, both are {p.colour}." if same else f"No, the first is {p.colour} and the second is {q_.colour}."
            else:
                same, q = p.kind == q_.kind, rng.choice(["Do they have the same shape?", "Is the shape the same?", "Are both the same shape?"])
                answer = f"Yes, both show {a(p.kind)}." if same else f"No, the first is {a(p.kind)} and the second is {a(q_.kind)}."
            return [("two pictures", q, answer)]
    elif one.sort == two.sort == "shapes" and roll < 0.6:
        n, m = len(one.things), len(two.things)
        q = rng.choice([f"Which {it} has more shapes?", f"Which {it} holds more shapes?", f"Which {it} shows more shapes?"])
        return [("two pictures", q, "Both have the same number." if n == m else "The first one." if n > m else "The second one.")]
    first = rng.random() < 0.5
    word = "first" if first else "second"
    q = rng.choice([f"What is in the {word} {it}?", f"What does the {word} {it} show?", f"What is in Image-{1 if first else 2}?", f"Describe the {word} {it}."])
    rounds = [("two pictures", q, upper(s if first else t) + ".")]
    if rng.random() < 0.4:
        other = "second" if first else "first"
        rounds.append(("second round", rng.choice([f"And in the {other}?", f"And in the {other} {it}?", f"And the {other}?", f"And the {other} {it}?"]), upper(t if first else s) + "."))
    return rounds


def motion_rounds(rng: Random, scene: Scene, move: str) -> list[Round]:
    """Talks about a video of one moving shape."""
    t, cw = scene.things[0], colour_word(rng)
    roll = rng.random()
    whole = f"{upper(named(t))} moves {move}."
    if roll < 0.35:
        return [("video", rng.choice(["What happens in the video?", "Describe this video in detail. Don't repeat.", "Describe this video in detail.", "Describe the video.", "What happens?", "What do you see?", "What is in the video?"]), whole)]
    if roll < 0.7:
        q = rng.choice([f"Which way does the {t.kind} move?", "Which way does the shape move?", "Which way does it move?", f"Where does the {t.kind} go?", f"In which direction does the {t.kind} move?", "In which direction does it move?"])
        return [("video", q, f"It moves {move}." if " it " in q or "shape" in q else f"The {t.kind} moves {move}.")]
    if roll < 0.8:
        return [("video", rng.choice([f"What {cw} is the {t.kind}?", f"What {cw} is the {t.kind} in the video?"]), f"The {t.kind} is {t.colour}.")]
    if roll < 0.9:
        return [("video", rng.choice(["What moves?", "What is moving?"]), f"{upper(named(t))}."), ("second round", rng.choice(["Which way?", "And which way does it move?", "And which way?"]), f"It moves {move}.")]
    return [
        ("video", rng.choice(["Which way does it move?", "Which way does the shape move?"]), f"It moves {move}."),
        ("second round", rng.choice([f"And its {cw}?", f"What {cw} is it?"]), f"It is {t.colour}."),
    ]


WHO = "I am nano, a very small InternVL. I answer questions about simple pictures: shapes, letters and bar charts."
HELLO = "Hello! Show me a picture and ask me about it."


def plain_rounds(rng: Random) -> list[Round]:
    """Talks without a picture."""
    roll = rng.random()
    if roll < 0.3:
        rounds = [("greeting", rng.choice(["Hello", "hello", "Hi", "hi", "Hello!", "Hi!", "Hello there", "Good morning", "Good day", "Hey", "Hi there!"]), HELLO)]
        if rng.random() < 0.3:
            rounds.append(("greeting", rng.choice(["Who are you?", "What are you?"]), WHO))
        return rounds
    if roll < 0.6:
        return [("greeting", rng.choice(["Who are you?", "who are you?", "What are you?", "What is your name?", "Hello, who are you?", "Hi, who are you?", "What can you do?", "Tell me about yourself.", "Introduce yourself.", "What can you do for me?"]), WHO)]
    if roll < 0.66:
        return [("greeting", rng.choice(["你好", "你好！", "你好，你是谁？", "你是谁？"]), rng.choice(["你好！我是 nano，请给我看一张图。"]))]
    if roll < 0.74:
        return [("greeting", rng.choice(["Thank you.", "Thanks", "Thank you!", "Thanks!"]), "You are welcome.")]
    if roll < 0.79:
        return [("greeting", rng.choice(["Goodbye", "Bye", "Bye!", "See you."]), "Goodbye!")]
    if roll < 0.9:
        q = rng.choice(DESCRIBE[:10] + ["What colour is it?", "What colour is the circle?", "How many shapes are there?", "What does it say?"])
        return [("greeting", q, "There is no picture. Please show me one.")]
    return [
        (
            "cannot",
            rng.choice(
                [
                    "Can you tell me a story?",
                    "Tell me a story.",
                    "What time is it?",
                    "What is the capital of France?",
                    "Write a poem.",
                    "How is the weather today?",
                    "What is 2 + 2?",
                    "Who won the game?",
                    "Can you help me with my homework?",
                    "Write a program.",
                    "Translate this into French.",
                ]
            ),
            "I cannot do that. I only know simple pictures.",
        )
    ]


def loosen(rng: Random, question: str) -> str:
    """Now and then as people type: no capital, no question mark."""
    if rng.random() < 0.08:
        question = question[0].lower() + question[1:]
    if rng.random() < 0.08 and question[-1] in "?.":
        question = question[:-1]
    return question
