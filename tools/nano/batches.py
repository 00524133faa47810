"""Training batches, drawn on the fly.

One picture carries several independent questions: after a shared opening (system message,
pictures) each talk is a *branch* that sees the opening and itself, at the positions it would
have alone. So the model is trained on exactly the prompts it will get, at the price of one picture.
"""

from __future__ import annotations

from random import Random

import numpy as np
import torch

import draw
import prompt
import talk
import tiles

IGNORE = -100
# Places of a visual token that are told apart, across and down: small letters are narrower than a patch, and one that
# is nobody's nearest would be seen by nothing.
SLOTS = (4, 2)


def canvas(rng: Random) -> tuple[int, int]:
    """A canvas size: square more often than not."""
    side = rng.randint(112, 300)
    aspect = 1.0 if rng.random() < 0.6 else rng.uniform(0.6, 1.7)
    return int(side * max(1.0, aspect)), int(side * max(1.0, 1 / aspect))


def random_scene(rng: Random, aspect: float, mix=(68, 16, 16, 0)) -> draw.Scene:
    pick = rng.choices(["shapes", "text", "chart", "wall"], mix)[0]
    if pick == "wall":
        return draw.wall(rng, draw.TRAIN_FONTS)
    if pick == "shapes":
        return draw.shapes(rng, aspect=aspect)
    return draw.text(rng, draw.TRAIN_FONTS) if pick == "text" else draw.chart(rng)


def corpus(seed: int) -> list[str]:
    """Words and sentences of nano's world, for the tokenizer only."""
    rng = Random(seed)
    lines = ["".join(chr(c) for c in range(33, 127))] * 3
    # Words of the rendering, often enough to become one piece each.
    lines += [w for w in ["system", "user", "assistant", "Image-", "Frame", "say five", "say six", prompt.SYSTEM] for _ in range(2000)]
    chinese = ""
    for _ in range(14_000):
        pick = rng.random()
        if pick < 0.6:
            rounds = talk.rounds_for(rng, random_scene(rng, 1.0))
        elif pick < 0.75:
            count = rng.choice([1, 2, 3])
            rounds = talk.pair_rounds(rng, draw.shapes(rng, count), draw.shapes(rng, count))
        elif pick < 0.9:
            _, happening, thing, move = film(rng)
            rounds = talk.video_rounds(rng, happening, thing, move)
        else:
            rounds = talk.plain_rounds(rng)
        for line in (part for _, q, a in rounds for part in (q, a)):
            if any("\u4e00" <= c <= "\u9fff" for c in line):
                chinese += line
            elif '"' not in line:
                lines.append(line)
            else:  # Quoted strings stay out, so that characters keep one piece each.
                lines += [line.split('"')[0] + '"', '"' + line.split('"')[2]]
    # Chinese by words that never cross: a piece is a colour, a kind, a place, or a character.
    words = [v["zh"] for group in ("colours", "kinds", "places") for v in talk.LANGUAGE[group].values()]
    words += list(talk.LANGUAGE["moves"].values()) + ["图形", "颜色", "柱子", "移动", "什么", "没有", "第一张", "第二张"]
    return lines + [w for w in words for _ in range(3000)] + [c for c in sorted(set(chinese)) for _ in range(20)]


def film(rng: Random):
    """(scenes, happening, thing, move) of a short video."""
    if rng.random() < 0.4:
        scenes, move = draw.motion(rng)
        return scenes, "moves", scenes[0].things[0], move
    return (*draw.change(rng), "")


class Sample:
    """Tiles, labels of the tiles that show a whole scene, and the token rows of one prompt."""

    def __init__(self):
        self.tiles: list = []
        self.labels: list = []  # (ids, boxes) or None, one per tile
        self.opening = ""
        self.talk = lambda: []  # makes one more talk about the pictures
        self.scene: draw.Scene | None = None  # of a single picture: what its words stand for


def picture(rng: Random, scene: draw.Scene, size: int, max_num: int, wh: tuple[int, int], grid: int):
    """(tiles, labels of each tile) of one scene drawn at the size `wh`."""
    image = draw.render(rng, scene, wh[0], wh[1], smooth=rng.random() < 0.3)
    cut = tiles.split(image, size, max_num)
    cols, rows = tiles.grid_for(image.width, image.height, size, 1, max_num)
    cells = [(cols, rows, c, r) for r in range(rows) for c in range(cols)]
    if len(cut) > len(cells):
        cells.append((1, 1, 0, 0))
    return cut, [marks(scene, grid, cell) for cell in cells]


def marks(scene: draw.Scene, grid: int, cell: tuple[int, int, int, int] = (1, 1, 0, 0)):
    """Of one tile: (ids, boxes) of its visual tokens, the kinds of its patches, int [4 grid²], and the kinds and roles of
    what each visual token shows in SLOTS places, int [SLOTS grid², 2], row by row of the tile."""
    across, down = SLOTS
    kinds = draw.labels(scene.things, 2 * grid, 2 * grid, cell)[0][:, 0]
    slots = draw.labels(scene.things, across * grid, down * grid, cell)[0][:, [0, 2]]
    return (*draw.labels(scene.things, grid, grid, cell), kinds, slots)


def single(rng: Random, size: int, grid: int, max_num: int, mix=(68, 16, 16, 0)) -> Sample:
    s = Sample()
    w, h = canvas(rng)
    if max_num > 1:  # large enough for several tiles, and wider shapes of canvas
        k = rng.uniform(1.3, 2.2)
        w, h = int(w * k), int(h * k)
        if rng.random() < 0.3:
            w = int(w * rng.uniform(1.0, 1.5))
    scene = random_scene(rng, w / h, mix)
    if scene.sort == "text":
        aspect = draw.text_aspect(rng, scene.text)
        if max_num > 1:
            h = rng.randint(112, 224)
            w = int(h * aspect)
        elif rng.random() < 0.7:  # a piece of a line, as a tile shows it
            while len(scene.text) > 4:
                scene = draw.text(rng, draw.TRAIN_FONTS)
    s.tiles, s.labels = picture(rng, scene, size, max_num, (w, h), grid)
    s.opening = prompt.opening(prompt.image_block(len(s.tiles), grid * grid) + "\n")
    s.talk = lambda: talk.rounds_for(rng, scene)
    s.scene = scene
    return s


# Columns and rows of pages: most are small, which teach the same reading for less.
PAGES = [(4, 3), (4, 3), (4, 3), (4, 3), (2, 1), (1, 2), (2, 2), (3, 2), (2, 3), (3, 3)]


def page(rng: Random, size: int, grid: int, bare: bool = False) -> Sample:
    """A picture of several tiles with one line, as small as on a large page. Drawn only a little finer than its tiles show it, which looks the same.

    `bare`: of the tiles that show nothing one at most is kept, for what asks nothing about the page.
    """
    s = Sample()
    cols, rows = rng.choice(PAGES)
    scene = draw.text(rng, draw.TRAIN_FONTS, small=min(8, 4 * cols))
    scene.extra["height"] *= 3 / rows
    fine = size * rng.uniform(1.1, 1.55)
    wh = (int(fine * cols), int(fine * rows * rng.uniform(0.95, 1.05)))
    s.tiles, s.labels = picture(rng, scene, size, cols * rows, wh, grid)
    if bare:
        empty = [i for i, mark in enumerate(s.labels) if not mark[0][:, 0].any()]
        gone = set(empty[1:])
        s.tiles, s.labels = ([x for i, x in enumerate(xs) if i not in gone] for xs in (s.tiles, s.labels))
    s.opening = prompt.opening(prompt.image_block(len(s.tiles), grid * grid) + "\n")
    s.talk = lambda: talk.text_rounds(talk.TONGUES["en"], rng, scene)
    return s


def pair(rng: Random, size: int, grid: int, max_num: int) -> Sample:
    s = Sample()
    scenes, counts = [], []
    single = rng.random() < 0.5
    wh = canvas(rng)
    if max_num > 1:
        k = rng.uniform(1.3, 2.0)
        wh = (int(wh[0] * k), int(wh[1] * k))
    for i in range(2):
        if not single and rng.random() < 0.3:
            wh = canvas(rng)
        if single and rng.random() < 0.1:
            scene = draw.text(rng, draw.TRAIN_FONTS, rng.choice(draw.CAPITALS + draw.DIGITS))
        else:
            scene = draw.shapes(rng, 1 if single else rng.choice([1, 2, 2, 3, 3, 4]), wh[0] / wh[1])
        if i == 1 and single and scene.sort == scenes[0].sort == "shapes" and rng.random() < 0.6:
            a, b = scenes[0].things[0], scene.things[0]
            if rng.random() < 0.6:
                b.kind = a.kind
            if rng.random() < 0.6 and (sum(scene.background) > 300) == (sum(scenes[0].background) > 300):
                b.colour = a.colour
        cut, labels = picture(rng, scene, size, max_num, wh, grid)
        scenes.append(scene)
        counts.append(len(cut))
        s.tiles += cut
        s.labels += labels
    if rng.random() < 0.5:
        head = prompt.image_block(sum(counts), grid * grid) + "\n"
    else:
        head = "".join(f"Image-{i + 1}: {prompt.image_block(n, grid * grid)}\n" for i, n in enumerate(counts))
    s.opening = prompt.opening(head)
    s.talk = lambda: talk.pair_rounds(rng, *scenes)
    return s


def video(rng: Random, size: int, grid: int) -> Sample:
    s = Sample()
    w, h = (rng.randint(112, 180),) * 2 if rng.random() < 0.6 else (rng.randint(150, 240), rng.randint(112, 150))
    scenes, happening, thing, move = film(rng)
    ink = rng.getrandbits(32)
    for scene in scenes:
        image = draw.render(Random(ink), scene, w, h, noise=False)  # the same tilt and tint in every frame
        s.tiles.append(image.resize((size, size), resample=3))
        s.labels.append(marks(scene, grid))
    s.opening = prompt.opening("".join(f"Frame{i + 1}: {prompt.image_block(1, grid * grid)}\n" for i in range(len(scenes))))
    s.talk = lambda: talk.video_rounds(rng, happening, thing, move)
    return s


def plain(rng: Random) -> Sample:
    s = Sample()
    s.opening = prompt.opening("")
    s.talk = lambda: talk.plain_rounds(rng)
    return s


def chat(rng: Random, make) -> list[talk.Round]:
    """A conversation: one talk, now and then followed by a second and a third."""
    rounds = make()
    for _ in range(2):
        if rng.random() < 0.4:
            rounds = rounds + make()
    return rounds


ASKED = 6  # labels of a word: role, kind, colour, how many, whether thing and colour go together, whether it was said before


class Words:
    """What the words of a talk stand for in its picture: labels for half way up the language model.

    Without them a question's word finds its thing only by what the answer's loss sends back through every layer.
    """

    def __init__(self, tok: prompt.Tokenizer):
        one = lambda forms: {t[0] for t in map(tok.encode, forms) if len(t) == 1}  # noqa: E731
        self.kinds = {i: k for k, v in talk.LANGUAGE["kinds"].items() for i in one([" " + k, k, " " + v["plural"], v["zh"]])}
        self.colours = {i: c for c, v in talk.LANGUAGE["colours"].items() for i in one([" " + c, c, v["zh"]])}
        self.letters = {i: c for c in draw.CAPITALS for i in one([" " + c, c])}
        self.of = one(["的"])

    def label(self, line: list[int], asks: list[bool], scene: draw.Scene | None) -> np.ndarray:
        """int [n, ASKED] for a branch `line`; `asks` says which of its ids belong to questions."""
        out = np.full((len(line), ASKED), IGNORE, dtype=np.int64)
        things = [] if scene is None or scene.sort == "text" else [t for t in scene.things if t.place or t.label]
        said: set[int] = set()
        for i, (word, ask) in enumerate(zip(line, asks)):
            if ask:
                said = set()
            kind, colour = self.kinds.get(word), self.colours.get(word)
            if not ask and (kind or colour):
                out[i, 5] = word in said
                said.add(word)
            if scene is None or scene.sort == "text":
                continue
            if scene.sort == "chart" and ask and word in self.letters:
                named = [t for t in things if t.label == self.letters[word]]
            elif colour or (kind and scene.sort == "shapes"):
                named = [t for t in things if (t.kind == kind if kind else t.colour == colour)]
            else:
                continue
            out[i, 3] = len(named)
            if len(named) == 1:
                t = named[0]
                out[i, 0] = draw.worth(t.value) if t.label else draw.role(t)
                if not colour:
                    out[i, 2] = draw.colour_id(t.colour)
                elif not t.label:
                    out[i, 1] = draw.kind_id(t.kind)
            if kind:
                before = line[i - 2] if i > 1 and line[i - 1] in self.of else line[i - 1] if i else -1
                if before in self.colours:
                    out[i, 4] = any(t.colour == self.colours[before] for t in named)
        return out


def branch_tokens(rng: Random, tok: prompt.Tokenizer, rounds: list[talk.Round]) -> tuple[list[int], list[int], list[bool]]:
    """(ids, targets, whether an id is of a question) of one talk; only answers and their `<|im_end|>` are targets."""
    line: list[int] = []
    goal: list[int] = []
    asks: list[bool] = []
    for i, (_, question, answer) in enumerate(rounds):
        ask = tok.encode((prompt.next_user() if i else "") + talk.loosen(rng, question) + prompt.answer_head())
        reply = tok.spell(answer) + [tok.im_end]
        # A round's im_end is written once: as the end of its answer and the beginning of next_user().
        if i:
            ask = ask[1:]
        line += ask + reply
        goal += [IGNORE] * (len(ask) - 1) + reply + [IGNORE]
        asks += [True] * len(ask) + [False] * len(reply)
    return line, goal, asks


def collate(samples: list[Sample], rng: Random, tok: prompt.Tokenizer, words: Words, grid: int, budget: int) -> dict:
    """One batch; each row gets talks until about `budget` tokens follow the longest opening, so that little is padding."""
    rows, pixels, labels, asked = [], [], [], []
    heads = [tok.encode(s.opening) for s in samples]
    full = max(len(h) for h in heads) + budget
    for s, head in zip(samples, heads):
        pixels += [np.asarray(t).transpose(2, 0, 1) for t in s.tiles]
        labels += s.labels
        ids, pos, branch, target = list(head), list(range(len(head))), [0] * len(head), [IGNORE] * len(head)
        named = [np.full((len(head), ASKED), IGNORE, dtype=np.int64)]
        for b in range(1, 30):
            if budget == 0:
                break
            line, goal, asks = branch_tokens(rng, tok, chat(rng, s.talk))
            if len(ids) + len(line) > full and b > 1:
                if full - len(ids) < 16:
                    break
                continue
            ids += line
            target += goal
            pos += range(len(head), len(head) + len(line))
            branch += [b] * len(line)
            named.append(words.label(line, asks, s.scene))
        rows.append((ids, pos, branch, target))
        asked.append(np.concatenate(named))
    length = max(len(r[0]) for r in rows)
    fill = [0, 0, -1, IGNORE]
    packed = [np.full((len(rows), length), f, dtype=np.int64) for f in fill]
    for i, r in enumerate(rows):
        for k in range(4):
            packed[k][i, : len(r[k])] = r[k]
    ids, pos, branch, target = (torch.from_numpy(p) for p in packed)
    meant = np.full((len(rows), length, ASKED), IGNORE, dtype=np.int64)
    for i, a in enumerate(asked):
        meant[i, : len(a)] = a
    out = {"ids": ids, "pos": pos, "branch": branch, "target": target, "asked": torch.from_numpy(meant)}
    if pixels:
        out["pixels"] = torch.from_numpy(np.stack(pixels))
        for i, name in enumerate(("label_ids", "label_boxes", "label_patches", "label_slots")):
            out[name] = torch.from_numpy(np.stack([mark[i] for mark in labels]))
    return out


def attention_mask(branch: torch.Tensor) -> torch.Tensor:
    """[b, 1, n, n]: causal; a branch sees the opening (0) and itself; padding (-1) sees itself."""
    n = branch.shape[1]
    q, k = branch[:, :, None], branch[:, None, :]
    allowed = ((k == q) | ((k == 0) & (q >= 0))) & torch.ones(n, n, dtype=torch.bool, device=branch.device).tril()
    return allowed[:, None]


# Forward and backward, in GFLOP; of a tower of four layers.
TILE_COST, FROZEN_COST, TOKEN_COST = 0.75, 0.25, 0.0155
# Weights of the sorts of batch.
MIX = {"labels": 5, "single": 30, "tiled": 13, "print": 16, "line": 12, "page": 4, "pair": 11, "video": 12}
# Printed text has few questions: fewer of them a picture, and so more pictures.
SHORT = ("print", "line", "page")


class Maker:
    """Makes batches of one sort each, all of about the same cost."""

    def __init__(self, tok: prompt.Tokenizer, size: int, grid: int, rng: Random, cost: float, budget: int, seen: tuple[str, ...] = ("labels", "single", "print")):
        """`seen` are the sorts that train the vision tower, which costs more."""
        self.tok, self.size, self.grid, self.rng, self.cost, self.budget, self.seen = tok, size, grid, rng, cost, budget, seen
        self.words = Words(tok)

    def make(self, sort: str) -> dict:
        samples, spent = [], 0.0
        room = 0 if sort == "labels" else self.budget // 3 if sort in SHORT else self.budget
        while spent < self.cost:
            sample = self.sample(sort)
            samples.append(sample)
            spent += (TILE_COST if sort in self.seen else FROZEN_COST) * len(sample.tiles) + (TOKEN_COST * (12 + 16 * len(sample.tiles) + room) if room else 0)
        if sort == "single":
            samples += [plain(self.rng) for _ in range(2)]
        return collate(samples, self.rng, self.tok, self.words, self.grid, room)

    def sample(self, sort: str) -> Sample:
        rng, size, grid = self.rng, self.size, self.grid
        if sort == "labels":  # mostly printed text: characters are what the vision side learns slowest
            roll = rng.random()
            if roll < 0.28:
                return page(rng, size, grid, bare=True)
            # Where a picture has many tiles, they cut large characters in pieces, which are the hardest to tell.
            return single(rng, size, grid, 1, (10, 34, 16, 40)) if roll < 0.83 else single(rng, size, grid, 6, (10, 74, 16, 0))
        if sort == "single":
            return single(rng, size, grid, 1, (72, 0, 28, 0))
        if sort == "tiled":
            return single(rng, size, grid, rng.choice([2, 4, 6, 6, 6]), (70, 0, 30, 0))
        if sort == "print":
            return single(rng, size, grid, 1, (0, 1, 0, 0))
        if sort == "line":
            return single(rng, size, grid, 6, (0, 1, 0, 0))
        if sort == "page":
            return page(rng, size, grid)
        if sort == "pair":
            return pair(rng, size, grid, 1 if rng.random() < 0.7 else 6)
        return video(rng, size, grid)


class Stream(torch.utils.data.IterableDataset):
    """Endless (sort, batch), by the weights of `mix`; every worker of a loader draws its own."""

    def __init__(self, tokenizer_path: str, size: int, grid: int, seed: str, mix: dict[str, float], cost: float, budget: int, seen: tuple[str, ...]):
        self.path, self.size, self.grid, self.seed, self.mix, self.cost, self.budget, self.seen = tokenizer_path, size, grid, seed, mix, cost, budget, seen

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        rng = Random(f"{self.seed} {worker.id if worker else 0}")
        maker = Maker(prompt.Tokenizer(self.path), self.size, self.grid, rng, self.cost, self.budget, self.seen)
        while True:
            sort = rng.choices(list(self.mix), list(self.mix.values()))[0]
            yield sort, maker.make(sort)
