"""Trains nano from nothing. Resumable: `--resume` goes on from the last saved state.

    python3 tools/nano/train.py --work .scratch/nano --minutes 75

Two stages: first the vision side learns to name what each visual token looks at (dense labels that the
drawing code knows), then everything learns together to answer, with the first loss kept.
"""

from __future__ import annotations

import argparse
import copy
import csv
import math
import os
import signal
import time
from random import Random

import torch
import torch.nn.functional as F
from torch import nn

import batches
import draw
import prompt
import talk
from model import CONFIG, InternVLChat

PIECES = 1200


def corpus(seed: int) -> list[str]:
    """Sentences of nano's world, for the tokenizer only."""
    rng = Random(seed)
    lines = ["system", "user", "assistant", prompt.SYSTEM, draw.CHARS, "abcdefghijklmnopqrstuvwxyz"]
    lines += ["".join(chr(c) for c in range(33, 127))]
    # Words of the rendering, often enough to become one piece each.
    lines += [w for w in ["system", "user", "assistant", "Image-", "Frame", prompt.SYSTEM] for _ in range(2000)]
    for _ in range(12_000):
        pick = rng.random()
        if pick < 0.6:
            rounds = talk.rounds_for(rng, batches.random_scene(rng, 1.0), 0.2)
        elif pick < 0.75:
            rounds = talk.pair_rounds(rng, draw.shapes(rng, 1), draw.shapes(rng, rng.choice([1, 2])))
        elif pick < 0.9:
            scenes, move = draw.motion(rng)
            rounds = talk.motion_rounds(rng, scenes[0], move)
        else:
            rounds = talk.plain_rounds(rng)
        for _, q, a in rounds:
            lines.append(q)
            # Quoted strings stay out, so that capitals and digits keep one piece each.
            lines.append(a if '"' not in a else a.split('"')[0] + '"')
            if '"' in a:
                lines.append('"' + a.split('"')[2])
    return lines


class Heads(nn.Module):
    """The auxiliary heads on the visual tokens; not part of the checkpoint."""

    def __init__(self, d: int):
        super().__init__()
        self.kind = nn.Linear(d, len(draw.LABEL_KINDS))
        self.colour = nn.Linear(d, len(draw.LABEL_COLOURS))
        self.box = nn.Linear(d, 4)

    def loss(self, visual: torch.Tensor, ids: torch.Tensor, boxes: torch.Tensor):
        keep = ids[..., 0] != batches.IGNORE
        v, ids, boxes = visual[keep], ids[keep], boxes[keep]
        kind = F.cross_entropy(self.kind(v), ids[:, 0])
        colour = F.cross_entropy(self.colour(v), ids[:, 1])
        on = ids[:, 0] > 0
        box = F.smooth_l1_loss(self.box(v[on]), boxes[on], beta=0.05)
        return kind + colour + 4 * box, (kind.item(), colour.item(), box.item())


class Muon(torch.optim.Optimizer):
    """Momentum, then the nearest orthogonal matrix by Newton-Schulz iterations (K. Jordan, 2024)."""

    def __init__(self, params, lr: float, momentum: float = 0.95, decay: float = 0.02):
        super().__init__(params, dict(lr=lr, momentum=momentum, decay=decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["m"] = torch.zeros_like(p)
                m = state["m"].mul_(group["momentum"]).add_(p.grad)
                g = p.grad.add(m, alpha=group["momentum"])
                tall = g.shape[0] > g.shape[1]
                x = g.T if tall else g
                x = x / (x.norm() + 1e-7)
                for _ in range(5):
                    a = x @ x.T
                    x = torch.addmm(x, torch.addmm(a, a, a, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
                x = x.T if tall else x
                p.mul_(1 - group["lr"] * group["decay"])
                p.add_(x, alpha=-group["lr"] * max(1.0, p.shape[0] / p.shape[1]) ** 0.5)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--work", required=True, help="folder for the tokenizer, the state and the log")
    ap.add_argument("--minutes", type=float, default=75, help="training time in all, over all resumed runs")
    ap.add_argument("--vision-minutes", type=float, default=10, help="of it, the first stage")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--batch", type=int, default=48)
    ap.add_argument("--budget", type=int, default=110, help="tokens of questions and answers per picture")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--lr", type=float, default=0.02, help="Muon's; AdamW's is a tenth")
    ap.add_argument("--aux", type=float, default=1.0, help="weight of the dense labels in the second stage")
    ap.add_argument("--resume", action="store_true")
    ap.add_argument("--log", default="", help="CSV of the loss curve (default: in the work folder)")
    args = ap.parse_args()
    os.makedirs(args.work, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    path = os.path.join(args.work, "tokenizer.model")
    if not os.path.exists(path):
        prompt.train_tokenizer(corpus(args.seed), path, PIECES)
    tok = prompt.Tokenizer(path)
    model = InternVLChat(tok.size)
    heads = Heads(CONFIG["llm"]["hidden"])
    ema = copy.deepcopy(model)
    print("parameters", sum(p.numel() for p in model.parameters()), "vocabulary", tok.size, flush=True)

    matrices, rest = [], list(heads.parameters())
    for name, p in model.named_parameters():
        inner = p.dim() == 2 and (".layers." in name or name.startswith("mlp1"))
        (matrices if inner else rest).append(p)
    muon = Muon(matrices, lr=args.lr)
    adam = torch.optim.AdamW(rest, lr=args.lr / 10, betas=(0.9, 0.98), weight_decay=0.0)

    state_path = os.path.join(args.work, "state.pt")
    step, spent = 0, 0.0
    if args.resume and os.path.exists(state_path):
        s = torch.load(state_path, weights_only=True)
        model.load_state_dict(s["model"])
        ema.load_state_dict(s["ema"])
        heads.load_state_dict(s["heads"])
        muon.load_state_dict(s["muon"])
        adam.load_state_dict(s["adam"])
        step, spent = s["step"], s["spent"]
        print(f"resumed at step {step}, {spent / 60:.1f} minutes", flush=True)

    log_path = args.log or os.path.join(args.work, "loss.csv")
    log = open(log_path, "a", newline="")
    writer = csv.writer(log)
    if log.tell() == 0:
        writer.writerow(["minutes", "step", "sort", "answer_loss", "kind_loss", "colour_loss", "box_loss", "pictures"])

    def save() -> None:
        value = dict(model=model.state_dict(), ema=ema.state_dict(), heads=heads.state_dict(), muon=muon.state_dict(),
                     adam=adam.state_dict(), step=step, spent=spent)  # fmt: skip
        torch.save(value, state_path + ".new")
        os.replace(state_path + ".new", state_path)

    v = CONFIG["vision"]
    grid = model.grid
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)

    # (until this share of the time, weights of: labels only, single, tiled, pair, video)
    first = args.vision_minutes / args.minutes
    plan = [(first, (1, 0, 0, 0, 0)), (first + (1 - first) * 0.12, (0, 1, 0, 0, 0)), (2.0, (20, 40, 14, 16, 10))]
    stage, stream = -1, None
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))  # stop after this step, with the state saved
    last_save = time.time()
    sums: dict[str, list[float]] = {}
    total = args.minutes * 60
    while spent < total and not stopped:
        now = next(i for i, (until, _) in enumerate(plan) if spent / total < until)
        if now != stage:
            stage = now
            data = batches.Stream(path, v["image"], grid, args.seed * 100_003 + step, plan[stage][1], args.budget, args.batch)
            stream = iter(torch.utils.data.DataLoader(data, batch_size=None, num_workers=1, prefetch_factor=6))
        start = time.time()
        batch = next(stream)
        # Warm-up, a plateau, then down in a line over the last two thirds.
        progress = spent / total
        factor = min(1.0, (step + 1) / 100) * min(1.0, max(0.02, (1 - progress) / 0.67))
        for group in muon.param_groups:
            group["lr"] = args.lr * factor
        for group in adam.param_groups:
            group["lr"] = args.lr / 10 * factor
        visual, aux, parts = None, 0.0, (0.0, 0.0, 0.0)
        if "pixels" in batch:
            pixels = (batch["pixels"].float() / 255 - mean) / std
            visual = model.see(pixels)
            aux, parts = heads.loss(visual, batch["label_ids"], batch["label_boxes"])
        if not bool((batch["branch"] > 0).any()):  # labels only
            loss, answer = aux, 0.0
        else:
            x = model.embed(batch["ids"], tok.context, visual)
            h = model.language_model(x, batch["pos"], batches.attention_mask(batch["branch"]))
            on = batch["target"] != batches.IGNORE
            answer_loss = F.cross_entropy(model.language_model.output(h[on]), batch["target"][on])
            loss, answer = answer_loss + args.aux * aux, answer_loss.item()
        if not math.isfinite(loss.item()):
            raise SystemExit(f"loss is {loss.item()} at step {step}")
        muon.zero_grad(set_to_none=True)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(rest, 1.0)
        muon.step()
        adam.step()
        step += 1
        with torch.no_grad():
            decay = min(0.995, (1 + step) / (20 + step))
            for a, b in zip(ema.parameters(), model.parameters()):
                a.lerp_(b, 1 - decay)
        spent += time.time() - start
        n_tiles = len(batch["pixels"]) if visual is not None else 0
        n_seqs = len(batch["ids"])
        sort = "labels" if answer == 0.0 else "video" if n_tiles >= 8 * n_seqs else "single" if n_tiles <= n_seqs else "several"
        acc = sums.setdefault(sort, [0.0] * 6)
        for i, value in enumerate((answer, *parts, n_seqs, 1)):
            acc[i] += value
        if step % 100 == 0:
            for name, a in sums.items():
                row = [round(spent / 60, 2), step, name] + [round(a[i] / a[5], 4) for i in range(4)] + [int(a[4])]
                writer.writerow(row)
                print(row, flush=True)
            log.flush()
            sums = {}
        if time.time() - last_save > 180:
            save()
            last_save = time.time()
    save()
    print("stopped" if stopped else "done", flush=True)


if __name__ == "__main__":
    main()
