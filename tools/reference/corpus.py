"""A small synthetic corpus (English, Chinese, code) and the strings the tokenizers are tried on."""

from __future__ import annotations

import random

_NOUNS = [
    "picture",
    "image",
    "tile",
    "model",
    "cat",
    "dog",
    "house",
    "street",
    "river",
    "mountain",
    "child",
    "woman",
    "man",
    "table",
    "letter",
    "word",
    "number",
    "window",
    "sign",
    "train",
    "bicycle",
    "market",
    "flower",
    "cloud",
    "bridge",
    "garden",
    "paper",
    "chart",
    "answer",
    "question",
    "colour",
    "frame",
]
_VERBS = [
    "shows",
    "contains",
    "holds",
    "follows",
    "crosses",
    "carries",
    "reads",
    "describes",
    "counts",
    "names",
    "finds",
    "opens",
]
_ADJECTIVES = [
    "small",
    "large",
    "red",
    "blue",
    "green",
    "old",
    "new",
    "bright",
    "dark",
    "open",
    "quiet",
    "left",
    "right",
    "second",
    "last",
]
_PREPOSITIONS = ["in", "on", "under", "near", "behind", "above", "beside", "between"]
_CJK_NOUNS = [
    "图片",
    "图像",
    "模型",
    "猫",
    "狗",
    "房子",
    "街道",
    "河流",
    "山",
    "孩子",
    "桌子",
    "文字",
    "数字",
    "窗户",
    "火车",
    "花",
    "云",
    "桥",
    "问题",
    "答案",
    "颜色",
]
_CJK_VERBS = ["有", "是", "显示", "包含", "描述", "看到", "找到", "打开", "回答"]
_CJK_ADJECTIVES = ["小的", "大的", "红色的", "蓝色的", "绿色的", "旧的", "新的", "明亮的"]
_IDENTIFIERS = ["index", "value", "tiles", "width", "height", "result", "count", "image", "text", "node", "graph"]
_EMOJI = ["😀", "😂", "🚀", "🐱", "👩\u200d👩\u200d👧", "👍🏽", "🇨🇳", "❤️", "✅", "🌍", "👨🏿\u200d🚒", "1️⃣"]
_OTHER = [
    "Ünïcödé",
    "čeština",
    "Ελληνικά",
    "русский",
    "עברית",
    "العربية",
    "हिन्दी",
    "ไทย",
    "日本語",
    "カタカナ",
    "한국어",
    "ﬁ",
    "½",
    "①",
    "Ａ",
    "Å",
    "é",
    "﷽",
    "\u2028",
    "\xa0",
    "\u3000",
    "\u200b",
    "\u200d",
    "\ufeff",
    "�",
    "\uffff",
    "\U0010ffff",
    "\ue000",
    "\U000e0041",
    "▁",
    "▁▁",
    "\u0378",
]
_CONTROL = ["\x00", "\x01", "\x07", "\x08", "\t", "\n", "\r\n", "\x0b", "\x0c", "\x1b[31m", "\x7f", "\x85", "\x9f"]
_SPECIAL = [
    "<unk>",
    "<s>",
    "</s>",
    "<|plugin|>",
    "<|interpreter|>",
    "<|action_end|>",
    "<|action_start|>",
    "<|im_end|>",
    "<|im_start|>",
    "<img>",
    "</img>",
    "<IMG_CONTEXT>",
    "<quad>",
    "</quad>",
    "<ref>",
    "</ref>",
    "<box>",
    "</box>",
]
_NEARLY = [
    "<image>",
    "<|im_end|",
    "|im_end|>",
    "<",
    "s>",
    "<S>",
    "<IMG_CONTEXT",
    "<img/>",
    "<<s>>",
    "<box></box>",
    "<0x41>",
    "<0xE4>",
    "[UNUSED_TOKEN_141]",
    "[UNUSED_TOKEN_145]",
    "[UNUSED_TOKEN_999]",
    "<|im_start|><|im_start|>",
]


def _english(rng: random.Random) -> str:
    noun, other = rng.choice(_NOUNS), rng.choice(_NOUNS)
    forms = (
        f"The {rng.choice(_ADJECTIVES)} {noun} {rng.choice(_VERBS)} the {other}.",
        f"What is {rng.choice(_PREPOSITIONS)} the {noun}?",
        f"There are {rng.randrange(1, 100)} {noun}s {rng.choice(_PREPOSITIONS)} the {other}, it's {rng.choice(_ADJECTIVES)}.",
        f"Describe this {noun} in detail; don't name the {other}!",
        f"{noun.capitalize()} and {other}: {rng.random():.2f}% ({rng.choice(_ADJECTIVES)})",
    )
    return rng.choice(forms)


def _chinese(rng: random.Random) -> str:
    noun, other = rng.choice(_CJK_NOUNS), rng.choice(_CJK_NOUNS)
    forms = (
        f"{rng.choice(_CJK_ADJECTIVES)}{noun}{rng.choice(_CJK_VERBS)}{other}。",
        f"请{rng.choice(_CJK_VERBS)}这张图片里的{noun}和{other}。",
        f"{noun}在哪里？有{rng.randrange(1, 50)}个{other}吗？",
    )
    return rng.choice(forms)


def _code(rng: random.Random) -> str:
    a, b = rng.choice(_IDENTIFIERS), rng.choice(_IDENTIFIERS)
    forms = (
        f"const {a} = {b}.map((x) => x * {rng.randrange(10)});",
        f"for {a} in range({rng.randrange(100)}):\n    {b} += {a}",
        f"if ({a} !== null && {b} >= 0) {{\n  return {a}[{b}];\n}}",
        f'def {a}({b}: int) -> str:\n\treturn f"{{{b}}}"',
        f'{{"{a}": {rng.randrange(1000)}, "{b}": [true, null]}}',
        f'<p class="{a}">{b}</p>  // {a}_{b}',
    )
    return rng.choice(forms)


def sentences() -> list[str]:
    """The training corpus, the same on every run."""
    rng = random.Random(20240422)
    kinds = (_english, _english, _chinese, _code)
    lines: list[str] = []
    for _ in range(6000):
        lines.extend(line for line in rng.choice(kinds)(rng).split("\n") if line)
    return lines


def _spaces(rng: random.Random) -> str:
    return " " * rng.choice((1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31))


def _random_unicode(rng: random.Random) -> str:
    ranges = (
        (0x20, 0x7E),
        (0xA1, 0x24F),
        (0x370, 0x52F),
        (0x3040, 0x30FF),
        (0x4E00, 0x9FFF),
        (0x1F300, 0x1FAFF),
        (0x10000, 0x10FFFF),
    )
    characters = []
    for _ in range(rng.randrange(1, 12)):
        low, high = rng.choice(ranges)
        characters.append(chr(rng.randint(low, high)))
    return "".join(characters)


def trial_strings(count: int) -> list[str]:
    """Strings of every kind that a user may type; distinct; no lone surrogates."""
    rng = random.Random(5000)
    fixed = [
        "",
        " ",
        "  ",
        "\n",
        "\n\n",
        "\t",
        "a",
        " a",
        "a ",
        " a ",
        "  a  b  ",
        "▁",
        " ▁ ",
        "a▁b",
        "<s>",
        " <s> ",
        "</s></s>",
    ]
    fixed += [*_EMOJI, *_OTHER, *_CONTROL, *_SPECIAL, *_NEARLY]
    fixed += [f"{a}{b}" for a in _SPECIAL[:4] for b in ("x", " x", "\n", " ")]
    fixed += [f"a {token} b" for token in (*_SPECIAL, *_NEARLY)] + [f"a{token}b" for token in (*_SPECIAL, *_NEARLY)]
    fixed += ["word " * 40, "图" * 60, "\u0301" * 9, "x" * 120, " " * 70 + "end", "\n" * 9 + "end"]
    result = list(dict.fromkeys(fixed))
    known = set(result)
    parts = (
        _english,
        _english,
        _chinese,
        _chinese,
        _code,
        _code,
        _spaces,
        _random_unicode,
        lambda r: r.choice(_EMOJI),
        lambda r: r.choice(_OTHER),
        lambda r: r.choice(_CONTROL),
        lambda r: r.choice(_SPECIAL),
        lambda r: r.choice(_NEARLY),
        lambda r: r.choice(_NOUNS),
        lambda r: str(r.randrange(10**6)),
    )
    while len(result) < count:
        pieces = [rng.choice(parts)(rng) for _ in range(rng.choice((1, 1, 2, 2, 3, 4)))]
        text = rng.choice(("", "", " ", "\n")).join(pieces)
        if text not in known:
            known.add(text)
            result.append(text)
    return result


def trial_ids(count: int, vocabulary: int) -> list[list[int]]:
    """Random id sequences: byte pieces in any order, special tokens anywhere."""
    rng = random.Random(259)
    special = [0, 1, 2, *range(vocabulary - 15, vocabulary)]
    result = []
    for _ in range(count):
        kind = rng.randrange(3)
        length = rng.randrange(1, 24)
        if kind == 0:
            result.append([rng.randrange(vocabulary) for _ in range(length)])
        elif kind == 1:
            result.append([rng.randrange(3, 259) for _ in range(length)])
        else:
            result.append(
                [rng.choice(special) if rng.random() < 0.25 else rng.randrange(vocabulary) for _ in range(length)]
            )
    return result
