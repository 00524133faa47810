"""Asks the checkpoint about fresh pictures and prints the share of exactly right answers per task.

    python3 tools/nano/evaluate.py --model models/nano --count 200 --seed 9001

Loads the committed files (not the training state), renders the real prompts, decodes greedily.
Printed text uses fonts that training never saw. Later rounds get the model's own earlier answers.
"""

from __future__ import annotations

import argparse
import json
import os
from random import Random

import torch
from safetensors.torch import load_file

import batches
import draw
import prompt
import talk
import tiles
from model import CONFIG, InternVLChat


class Nano:
    """The checkpoint, with the reference's chat()."""

    def __init__(self, folder: str):
        self.tok = prompt.Tokenizer(os.path.join(folder, "tokenizer.model"))
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
            self.config = json.load(f)
        self.model = InternVLChat(self.tok.size).eval()
        self.model.load_state_dict({k: v.float() for k, v in load_file(os.path.join(folder, "model.safetensors")).items()})

    def chat(self, cut: list, question: str, counts: list[int] | None = None, history: list | None = None) -> str:
        """One answer. `cut`: tiles of all pictures; `counts`: tiles per `<image>`; `history`: (question, answer) pairs, appended to."""
        rounds = history if history is not None else []
        if not rounds and cut and "<image>" not in question:
            question = "<image>\n" + question
        if counts is None:
            counts = [len(cut)] if cut else []
        text = f"<s>{prompt.IM_START}system\n{self.config['system_message']}{prompt.IM_END}"
        for q, a in rounds:
            text += f"{prompt.IM_START}user\n{q}{prompt.IM_END}{prompt.IM_START}assistant\n{a}{prompt.IM_END}"
        text += f"{prompt.IM_START}user\n{question}{prompt.IM_END}{prompt.IM_START}assistant\n"
        for n in counts:
            text = text.replace("<image>", prompt.image_block(n, self.model.grid**2), 1)
        pixels = torch.from_numpy(tiles.normalise(tiles.to_bytes(cut))) if cut else None
        ids = self.model.generate(self.tok.encode(text), pixels, self.tok.context, self.tok.im_end)
        answer = self.tok.decode(ids).strip()
        rounds.append((question, answer))
        return answer


def cases(rng: Random, group: str, count: int):
    """Yields (tiles, counts, first head, rounds)."""
    size = CONFIG["vision"]["image"]
    for _ in range(count):
        if group in ("shapes", "text", "chart", "shapes, tiled", "long chats"):
            w, h = batches.canvas(rng)
            if group.endswith("tiled"):
                w, h = w * 2, h * 2
            scene = (
                draw.text(rng, draw.HELD_OUT_FONTS) if group == "text" else draw.chart(rng) if group == "chart" else draw.shapes(rng, aspect=w / h)
            )
            image = draw.render(rng, scene, w, h, smooth=True)
            cut = tiles.split(image, size, 6 if group.endswith("tiled") else 1)
            rounds = talk.rounds_for(rng, scene)
            if group == "long chats":
                rounds = rounds + talk.rounds_for(rng, scene) + talk.rounds_for(rng, scene)
            yield cut, [len(cut)], "<image>\n", rounds
        elif group.startswith("two"):
            s = batches.pair(rng, size, size // 28, 1)
            if group.endswith("combined"):
                yield s.tiles, [len(s.tiles)], "<image>\n", s.talk()
            else:
                yield s.tiles, [1, 1], "Image-1: <image>\nImage-2: <image>\n", s.talk()
        elif group == "video":
            s = batches.video(rng, size, size // 28)
            yield s.tiles, [1] * len(s.tiles), "".join(f"Frame{i + 1}: <image>\n" for i in range(len(s.tiles))), s.talk()
        else:
            yield [], [], "", talk.plain_rounds(rng)


GROUPS = ["shapes", "shapes, tiled", "long chats", "text", "chart", "two pictures, combined", "two pictures, separate", "video", "no picture"]


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--model", default="models/nano")
    ap.add_argument("--count", type=int, default=200, help="talks per group")
    ap.add_argument("--seed", type=int, default=9001)
    ap.add_argument("--group", default="")
    ap.add_argument("--wrong", type=int, default=0, help="print this many wrong answers per group")
    ap.add_argument("--json", default="", help="also store the table here")
    args = ap.parse_args()
    torch.set_num_threads(1)
    nano = Nano(args.model)
    table: dict[str, list[int]] = {}
    for group in GROUPS:
        if args.group and group != args.group:
            continue
        rng = Random(f"{args.seed} {group}")
        shown = 0
        for cut, counts, head, rounds in cases(rng, group, args.count * (2 if group == "shapes" else 1)):
            history: list = []
            for i, (task, question, expected) in enumerate(rounds):
                got = nano.chat(cut, (head if i == 0 else "") + question, counts, history)
                row = table.setdefault(f"{group}: {task}", [0, 0])
                row[0] += got == expected
                row[1] += 1
                total = table.setdefault(f"{group} (all)", [0, 0])
                total[0] += got == expected
                total[1] += 1
                if task in ("read", "describe"):
                    # Per item: characters at their place, or things named right at their place.
                    part = table.setdefault(f"{group}: {task}, per {'character' if task == 'read' else 'thing'}", [0, 0])
                    if task == "read":
                        want, have = expected.split('"')[1], (got.split('"') + ["", ""])[1]
                        part[0] += sum(x == y for x, y in zip(want, have))
                        part[1] += len(want)
                    else:
                        cut_up = lambda s: [x.strip(" .").lower() for x in s.replace(" and ", ",").split(",")]  # noqa: E731
                        part[0] += sum(x in cut_up(got) for x in cut_up(expected))
                        part[1] += len(cut_up(expected))
                if got != expected and shown < args.wrong:
                    shown += 1
                    print(f"  [{group}] {question!r}: {got!r}, not {expected!r}")
    width = max(len(k) for k in table)
    for name in sorted(table, key=lambda k: (GROUPS.index(k.split(":")[0].replace(" (all)", "")), k)):
        right, n = table[name]
        print(f"{name:{width}}  {right:5d} / {n:5d}  {100 * right / n:6.1f} %")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump({k: {"right": r, "of": n} for k, (r, n) in table.items()}, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
