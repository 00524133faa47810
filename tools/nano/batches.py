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


def canvas(rng: Random) -> tuple[int, int]:
    """A canvas size: square more often than not."""
    side = rng.randint(112, 300)
    aspect = 1.0 if rng.random() < 0.6 else rng.uniform(0.6, 1.7)
    return int(side * max(1.0, aspect)), int(side * max(1.0, 1 / aspect))


def random_scene(rng: Random, aspect: float, mix=(60, 24, 16)) -> draw.Scene:
    pick = rng.choices(["shapes", "text", "chart"], mix)[0]
    if pick == "shapes":
        return draw.shapes(rng, aspect=aspect)
    return draw.text(rng, draw.TRAIN_FONTS) if pick == "text" else draw.chart(rng)


class Sample:
    """Tiles, labels of the tiles that show a whole scene, and the token rows of one prompt."""

    def __init__(self):
        self.tiles: list = []
        self.labels: list = []  # (ids, boxes) or None, one per tile
        self.opening = ""
        self.talk = lambda: []  # makes one more talk about the pictures


def picture(rng: Random, scene: draw.Scene, size: int, max_num: int, wh: tuple[int, int], grid: int):
    """(tiles, labels) of one scene drawn at the size `wh`."""
    image = draw.render(rng, scene, wh[0], wh[1], smooth=rng.random() < 0.3)
    cut = tiles.split(image, size, max_num)
    marks = [None] * (len(cut) - 1) + [draw.labels(scene, grid)]
    return cut, marks


def single(rng: Random, size: int, grid: int, max_num: int, mix=(60, 24, 16)) -> Sample:
    s = Sample()
    w, h = canvas(rng)
    if max_num > 1:  # large enough for several tiles, and wider shapes of canvas
        k = rng.uniform(1.3, 2.2)
        w, h = int(w * k), int(h * k)
        if rng.random() < 0.3:
            w = int(w * rng.uniform(1.0, 1.5))
    scene = random_scene(rng, w / h, mix)
    s.tiles, s.labels = picture(rng, scene, size, max_num, (w, h), grid)
    s.opening = prompt.opening(prompt.image_block(len(s.tiles), grid * grid) + "\n")
    s.talk = lambda: talk.rounds_for(rng, scene)
    return s


def pair(rng: Random, size: int, grid: int, max_num: int) -> Sample:
    s = Sample()
    scenes, counts = [], []
    same = rng.random() < 0.45
    wh = canvas(rng)
    if max_num > 1:
        k = rng.uniform(1.3, 2.0)
        wh = (int(wh[0] * k), int(wh[1] * k))
    for i in range(2):
        if not same and rng.random() < 0.3:
            wh = canvas(rng)
        count = 1 if same else rng.choice([1, 1, 2, 2, 3])
        scene = draw.shapes(rng, count, wh[0] / wh[1]) if rng.random() < 0.9 else draw.text(rng, draw.TRAIN_FONTS, rng.choice(draw.CHARS))
        if i == 1 and same and scene.sort == scenes[0].sort == "shapes" and rng.random() < 0.6:
            a, b = scenes[0].things[0], scene.things[0]
            if rng.random() < 0.6:
                b.kind = a.kind
            if rng.random() < 0.6 and (sum(scene.background) > 300) == (sum(scenes[0].background) > 300):
                b.colour = a.colour
        cut, marks = picture(rng, scene, size, max_num, wh, grid)
        scenes.append(scene)
        counts.append(len(cut))
        s.tiles += cut
        s.labels += marks
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
    scenes, move = draw.motion(rng)
    ink = rng.getrandbits(32)
    for scene in scenes:
        image = draw.render(Random(ink), scene, w, h, noise=False)  # the same tilt and tint in every frame
        s.tiles.append(image.resize((size, size), resample=3))
        s.labels.append(draw.labels(scene, grid))
    s.opening = prompt.opening("".join(f"Frame{i + 1}: {prompt.image_block(1, grid * grid)}\n" for i in range(len(scenes))))
    s.talk = lambda: talk.motion_rounds(rng, scenes[0], move)
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


def branch_tokens(rng: Random, tok: prompt.Tokenizer, rounds: list[talk.Round]) -> tuple[list[int], list[int]]:
    """(ids, targets) of one talk; only answers and their `<|im_end|>` are targets."""
    line: list[int] = []
    goal: list[int] = []
    for i, (_, question, answer) in enumerate(rounds):
        ask = tok.encode((prompt.next_user() if i else "") + talk.loosen(rng, question) + prompt.answer_head())
        reply = tok.encode(answer) + [tok.im_end]
        # A round's im_end is written once: as the end of its answer and the beginning of next_user().
        if i:
            ask = ask[1:]
        line += ask + reply
        goal += [IGNORE] * (len(ask) - 1) + reply + [IGNORE]
    return line, goal


def collate(samples: list[Sample], rng: Random, tok: prompt.Tokenizer, grid: int, budget: int) -> dict:
    """One batch; each row gets talks until about `budget` tokens follow the longest opening, so that little is padding."""
    rows, pixels, ids_l, boxes_l = [], [], [], []
    heads = [tok.encode(s.opening) for s in samples]
    full = max(len(h) for h in heads) + budget
    for s, head in zip(samples, heads):
        for t, mark in zip(s.tiles, s.labels):
            pixels.append(np.asarray(t).transpose(2, 0, 1))
            if mark is None:
                ids_l.append(np.full((grid * grid, 2), IGNORE))
                boxes_l.append(np.zeros((grid * grid, 4), np.float32))
            else:
                ids_l.append(mark[0])
                boxes_l.append(mark[1])
        ids, pos, branch, target = list(head), list(range(len(head))), [0] * len(head), [IGNORE] * len(head)
        for b in range(1, 30):
            if budget == 0:
                break
            line, goal = branch_tokens(rng, tok, chat(rng, s.talk))
            if len(ids) + len(line) > full and b > 1:
                if full - len(ids) < 16:
                    break
                continue
            ids += line
            target += goal
            pos += range(len(head), len(head) + len(line))
            branch += [b] * len(line)
        rows.append((ids, pos, branch, target))
    length = max(len(r[0]) for r in rows)
    fill = [0, 0, -1, IGNORE]
    packed = [np.full((len(rows), length), f, dtype=np.int64) for f in fill]
    for i, r in enumerate(rows):
        for k in range(4):
            packed[k][i, : len(r[k])] = r[k]
    ids, pos, branch, target = (torch.from_numpy(p) for p in packed)
    out = {"ids": ids, "pos": pos, "branch": branch, "target": target}
    if pixels:
        out["pixels"] = torch.from_numpy(np.stack(pixels))
        out["label_ids"] = torch.from_numpy(np.stack(ids_l).astype(np.int64))
        out["label_boxes"] = torch.from_numpy(np.stack(boxes_l))
    return out


def attention_mask(branch: torch.Tensor) -> torch.Tensor:
    """[b, 1, n, n]: causal; a branch sees the opening (0) and itself; padding (-1) sees itself."""
    n = branch.shape[1]
    q, k = branch[:, :, None], branch[:, None, :]
    allowed = ((k == q) | ((k == 0) & (q >= 0))) & torch.ones(n, n, dtype=torch.bool).tril()
    return allowed[:, None]


class Stream(torch.utils.data.IterableDataset):
    """Endless batches. `mix` gives the weights of single, tiled, pair and video batches."""

    def __init__(self, tokenizer_path: str, size: int, grid: int, seed: int, mix, budget: int = 110, batch: int = 48):
        self.args = (tokenizer_path, size, grid, seed, mix, budget, batch)

    def __iter__(self):
        torch.set_num_threads(1)
        path, size, grid, seed, mix, budget, batch = self.args
        info = torch.utils.data.get_worker_info()
        rng = Random(seed * 1000 + (info.id if info else 0))
        label_mix = (60, 24, 16) if mix[1] == 0 else (22, 70, 8)
        tok = prompt.Tokenizer(path)
        while True:
            sort = rng.choices(["labels", "single", "tiled", "pair", "video"], mix)[0]
            room = budget
            if sort == "labels":
                # Mostly printed text: characters are what the vision side learns slowest, and this batch is cheap.
                samples, room = [single(rng, size, grid, 1, label_mix) for _ in range(batch * 4 // 3)], 0
            elif sort == "single":
                samples = [single(rng, size, grid, 1) for _ in range(batch)] + [plain(rng) for _ in range(2)]
            elif sort == "tiled":
                samples = [single(rng, size, grid, rng.choice([2, 3, 4, 4, 6, 6])) for _ in range(batch // 3)]
            elif sort == "pair":
                many = 1 if rng.random() < 0.65 else rng.choice([4, 6])
                samples = [pair(rng, size, grid, many) for _ in range(batch * 2 // 3 if many == 1 else batch // 4)]
            else:
                samples, room = [video(rng, size, grid) for _ in range(batch // 4)], budget * 3 // 4
            yield collate(samples, rng, tok, grid, room)
