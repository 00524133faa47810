"""Trains nano. Resumable: `--resume` goes on from the last saved state, `--init` starts from a checkpoint folder.

    python3 tools/nano/train.py --work .scratch/nano --minutes 120

Every process works on its own batches with one thread, and the gradients are averaged: on a shared machine
two processes of one thread each are faster than one process of two, which waits in every operation.

The loss is that of the answers, and with it what the drawing code knows about the picture: every visual
token should name the kind and colour of the thing it looks at and say where that thing is, and every
patch which thing or character it shows.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import math
import os
import signal
import time
from datetime import timedelta
from random import Random

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn

import batches
import draw
import look
import prompt
import tiles
from model import CONFIG, InternVLChat, sized, tower_layers

PIECES = 900
MOST = 7  # things of one kind, and 0
VERDICT = 6  # weight of the word behind a colon, the verdict of a comparison: one of a dozen in its answer


class Heads(nn.Module):
    """The auxiliary heads; not part of the checkpoint.

    On a visual token, a class is scored by the embedding of its own word ("circle", "red", "A"): so what a
    token shows lies where a question's word points, and looking a thing up by its name is a dot product.
    """

    def __init__(self, tok: prompt.Tokenizer):
        super().__init__()
        d, v = CONFIG["llm"]["hidden"], CONFIG["vision"]["hidden"]
        word = lambda w: tok.encode(w if len(w) == 1 else " " + w)[0]  # noqa: E731
        self.register_buffer("kind_ids", torch.tensor([word(w) for w in draw.LABEL_KINDS[1:]]), persistent=False)
        self.register_buffer("colour_ids", torch.tensor([word(w) for w in draw.LABEL_COLOURS[1:]]), persistent=False)
        self.none = nn.Parameter(torch.zeros(2, d))
        self.scale = nn.Parameter(torch.tensor([0.05, 0.05]))
        self.bias_kind = nn.Parameter(torch.zeros(len(draw.LABEL_KINDS)))
        self.bias_colour = nn.Parameter(torch.zeros(len(draw.LABEL_COLOURS)))
        self.box = nn.Linear(d, 4)
        self.level = nn.Linear(d, 1)
        self.patch = nn.Sequential(nn.LayerNorm(v), nn.Linear(v, len(draw.LABEL_KINDS)))
        places = math.prod(batches.SLOTS)
        self.slots = nn.ModuleList(nn.Sequential(nn.LayerNorm(d), nn.Linear(d, places * n)) for n in (len(draw.LABEL_KINDS), draw.ROLES))
        self.watch = nn.ModuleList(nn.Sequential(nn.LayerNorm(d), nn.Linear(d, n)) for n in (draw.ROLES, MOST, MOST))
        classes = (draw.ROLES, len(draw.LABEL_KINDS), len(draw.LABEL_COLOURS), MOST, 2, 2)
        self.asked = nn.ModuleList(nn.Sequential(nn.LayerNorm(d), nn.Linear(d, n)) for n in classes)
        self.register_buffer("weigh_role", torch.tensor([0.1] + [1.0] * (draw.ROLES - 1)), persistent=False)

    def loss(self, tower: torch.Tensor, visual: torch.Tensor, words: torch.Tensor, ids, boxes, patches, slots):
        """tower [tiles, patches, v], visual [tiles, tokens, d]; labels: ids [tiles, tokens, 5], boxes [.., 5], patches [tiles, patches], slots [tiles, slots, 2]."""
        v, on = visual.flatten(0, 1), (ids[..., 0] > 0).flatten()
        parts = []
        for i, (index, bias) in enumerate(((self.kind_ids, self.bias_kind), (self.colour_ids, self.bias_colour))):
            table = torch.cat([self.none[i : i + 1], words[index]])
            logits = v @ table.T * self.scale[i] + bias
            parts.append(F.cross_entropy(logits, ids[..., i].flatten(), ignore_index=batches.IGNORE))
        if on.any():
            boxes = boxes.flatten(0, 1)[on]
            box = F.smooth_l1_loss(self.box(v[on]), boxes[:, :4], beta=0.05)
            bars = boxes[:, 4] > 0
            if bars.any():
                box = box + F.smooth_l1_loss(self.level(v[on][bars])[:, 0], boxes[bars, 4], beta=0.05)
            parts.append(box)
        else:
            parts.append(self.box.bias.sum() * 0)
        parts.append(F.cross_entropy(self.patch(tower).flatten(0, 1), patches.flatten(), ignore_index=batches.IGNORE))
        # A visual token may show several things, small characters above all: it should tell what is in each of its places.
        parts.append(F.cross_entropy(self.slots[0](v).view(-1, len(draw.LABEL_KINDS)), by_token(slots)[..., 0].flatten()))
        return parts[0] + parts[1] + 4 * parts[2] + parts[3] + parts[4], [p.item() for p in parts]

    def watch_loss(self, hidden: torch.Tensor, ids: torch.Tensor, slots: torch.Tensor, shapes: bool) -> torch.Tensor:
        """What a visual token should know half way up: its thing's role, those of what is in its places and, of shapes, how many share its kind and its colour.

        Reading in order, places, values and counts are then looked up as kinds and colours are.
        """
        role, kind, colour = (head(hidden) for head in self.watch)
        loss = F.cross_entropy(role, ids[..., 2].flatten(), weight=self.weigh_role)
        loss = loss + F.cross_entropy(self.slots[1](hidden).view(-1, draw.ROLES), by_token(slots)[..., 1].flatten(), weight=self.weigh_role)
        if shapes:
            for logits, count in ((kind, ids[..., 3].flatten()), (colour, ids[..., 4].flatten())):
                count = torch.where((count > 0) & (count < MOST), count, batches.IGNORE)
                if (count > 0).any():
                    loss = loss + 0.5 * F.cross_entropy(logits, count, ignore_index=batches.IGNORE)
        return loss

    def asked_loss(self, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """What a word of a talk should know half way up, of those that stand for something: see `batches.Words`."""
        loss = hidden.sum() * 0
        for head, label, weight in zip(self.asked, labels.unbind(-1), (1.0, 0.5, 0.5, 0.5, 1.0, 1.0)):
            on = label != batches.IGNORE
            if on.any():
                loss = loss + weight * F.cross_entropy(head(hidden[on]), label[on].clamp(max=head[1].out_features - 1))
        return loss


def by_token(slots: torch.Tensor) -> torch.Tensor:
    """Labels of places [tiles, slots, n], by the visual token that pixel shuffle puts them in: [tiles · tokens, places, n]."""
    tiles_, count, n = slots.shape
    across, down = batches.SLOTS
    g = math.isqrt(count // (across * down))
    return slots.view(tiles_, g, down, g, across, n).permute(0, 1, 3, 2, 4, 5).reshape(tiles_ * g * g, across * down, n)


class Muon(torch.optim.Optimizer):
    """Momentum, then the nearest orthogonal matrix by Newton-Schulz iterations (K. Jordan, 2024).

    Each process works out its share of the matrices; then all exchange what they worked out.
    """

    def __init__(self, params, lr: float, momentum: float = 0.95, decay: float = 0.02):
        super().__init__(params, dict(lr=lr, momentum=momentum, decay=decay))

    @torch.no_grad()
    def step(self):
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        for group in self.param_groups:
            ps = group["params"]
            updates = [torch.zeros_like(p) for p in ps]
            for i, p in enumerate(ps):
                if p.grad is None:  # what takes no part must not go on by its momentum, which is scaled up to a full step
                    continue
                state = self.state[p]
                if not state:
                    state["m"] = torch.zeros_like(p)
                m = state["m"].mul_(group["momentum"]).add_(p.grad)
                if i % world != rank:
                    continue
                g = p.grad.add(m, alpha=group["momentum"])
                tall = g.shape[0] > g.shape[1]
                x = g.T if tall else g
                x = x / (x.norm() + 1e-7)
                for _ in range(5):
                    a = x @ x.T
                    x = torch.addmm(x, torch.addmm(a, a, a, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
                updates[i].copy_(x.T if tall else x)
            all_reduce(updates, 1.0)
            for p, x in zip(ps, updates):
                if p.grad is None:
                    continue
                p.mul_(1 - group["lr"] * group["decay"])
                p.add_(x, alpha=-group["lr"] * max(1.0, p.shape[0] / p.shape[1]) ** 0.5)


@torch.no_grad()
def all_reduce(tensors: list[torch.Tensor], scale: float) -> None:
    """Sums over the processes and scales, in place."""
    if dist.is_initialized():
        flat = torch.cat([t.flatten() for t in tensors])
        dist.all_reduce(flat)
        flat *= scale
        at = 0
        for t in tensors:
            t.copy_(flat[at : at + t.numel()].view_as(t))
            at += t.numel()


def load_into(module: nn.Module, values: dict) -> list[str]:
    """Loads what fits by name and shape; returns what did not."""
    own = module.state_dict()
    fits = {k: v.float() for k, v in values.items() if k in own and own[k].shape == v.shape}
    module.load_state_dict(fits, strict=False)
    return sorted(set(own) - set(fits))


def normal(pixels: torch.Tensor) -> torch.Tensor:
    """Bytes [tiles, 3, s, s] as the tower wants them."""
    mean, std = (torch.from_numpy(v).view(1, 3, 1, 1).to(pixels.device) for v in (tiles.MEAN, tiles.STD))
    return (pixels.float() / 255 - mean) / std


def sizes_of(folder: str) -> dict:
    """The sizes of a model that starts from the checkpoint in `folder`, or from nothing."""
    if not folder:
        return CONFIG
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        return sized(json.load(f)["vision_config"]["num_hidden_layers"])


@torch.no_grad()
def adopt(model: InternVLChat, tok: prompt.Tokenizer, folder: str) -> None:
    """Starts from the checkpoint in `folder`; its tokenizer may be another: rows of words are found by their pieces."""
    from safetensors.torch import load_file

    values = load_file(os.path.join(folder, "model.safetensors"))
    before = prompt.Tokenizer(os.path.join(folder, "tokenizer.model"))
    names = {"language_model.model.tok_embeddings.weight": 0, "language_model.output.weight": 0}
    old = {n: values.pop(n).float() for n in names}
    print("not in the checkpoint:", load_into(model, values), flush=True)
    own = model.state_dict()
    found = 0
    for i in range(tok.size):
        piece = tok.names.get(i) or tok.sp.id_to_piece(i)
        if piece in before.special:
            j = [before.special[piece]]
        else:
            j = [before.sp.piece_to_id(piece)]
            if before.sp.is_unknown(j[0]):
                text = piece.replace("\u2581", " ")
                j = before.encode(text)
        found += len(j) == 1
        for n in names:
            own[n][i] = old[n][j].mean(0)
    print(f"{found} of {tok.size} pieces were there before", flush=True)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--work", required=True, help="folder for the tokenizer, the state and the log")
    ap.add_argument("--minutes", type=float, default=120, help="training time in all, over all resumed runs: of a processor the time of one process, of a GPU by the clock")
    ap.add_argument("--decay-minutes", type=float, default=40, help="of it, the last part, in which the rate falls to nothing")
    ap.add_argument("--vision-minutes", type=float, default=0, help="of it, the first part, without questions")
    ap.add_argument("--heads-minutes", type=float, default=0, help="of it, the very first part, in which only the heads of the labels learn: a checkpoint has none")
    ap.add_argument("--device", default="cpu", help="cpu or cuda; with cuda one process, and drawing in --workers")
    ap.add_argument("--workers", type=int, default=0, help="processes that draw batches ahead; 0 draws between steps")
    ap.add_argument("--processes", type=int, default=2)
    ap.add_argument("--cost", type=float, default=80, help="size of a batch: forward and backward, in GFLOP")
    ap.add_argument("--budget", type=int, default=110, help="tokens of questions and answers per picture")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--lr", type=float, default=0.012, help="Muon's; AdamW's is a tenth")
    ap.add_argument("--aux", type=float, default=0.5, help="weight of the dense labels beside the answers")
    ap.add_argument("--adam", type=float, default=0.0, help="AdamW for everything, at this rate: for a short run on a good checkpoint")
    ap.add_argument("--mix", default="", help="weights of the sorts of batch, as name=weight,...")
    ap.add_argument("--tower", default="labels,single,print", help="sorts of batch that train the vision tower; none: it stays as it is once the first part is over")
    ap.add_argument("--init", default="", help="a checkpoint folder to start from")
    ap.add_argument("--look", action="store_true", help="at the start, let the tower's heads look at neighbours: see look.py")
    ap.add_argument("--resume", action="store_true")
    args = ap.parse_args()
    os.makedirs(args.work, exist_ok=True)
    path = os.path.join(args.work, "tokenizer.model")
    if not os.path.exists(path):
        prompt.train_tokenizer(batches.corpus(args.seed), path, PIECES)
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    if args.device != "cpu":
        args.processes = 1
    rank = 0
    meet = os.path.join(args.work, "meet")
    if os.path.exists(meet):
        os.remove(meet)
    for i in range(1, args.processes):
        if os.fork() == 0:
            rank = i
            break
    if args.processes > 1:
        dist.init_process_group(
            "gloo", init_method="file://" + os.path.abspath(meet), rank=rank, world_size=args.processes, timeout=timedelta(hours=2)
        )
    train(args, path, rank)
    if rank > 0:
        os._exit(0)


def train(args: argparse.Namespace, path: str, rank: int) -> None:
    chief = rank == 0
    torch.manual_seed(args.seed)
    tok = prompt.Tokenizer(path)
    device = torch.device(args.device)
    state_path = os.path.join(args.work, "state.pt")
    s = torch.load(state_path, weights_only=True, map_location=device) if args.resume and os.path.exists(state_path) else None
    model = InternVLChat(tok.size, sized(tower_layers(s["model"])) if s else sizes_of(args.init)).to(device)
    heads = Heads(tok).to(device)
    if args.init:
        adopt(model, tok, args.init)
    matrices, rest = [], list(heads.parameters())
    for name, p in model.named_parameters():
        inner = p.dim() == 2 and (".layers." in name or name.startswith("mlp1"))
        (matrices if inner else rest).append(p)
    if args.look:
        maker = batches.Maker(tok, CONFIG["vision"]["image"], model.grid, Random(args.seed), 30, 0)
        pixels = torch.cat([maker.make(sort)["pixels"] for sort in ("labels", "single", "print")])
        tower = model.vision_model
        basis, rms = look.spare(tower, normal(pixels), CONFIG["vision"]["hidden"] // CONFIG["vision"]["heads"])
        look.look_around(tower, 2 * model.grid, basis, rms)
    colons = torch.tensor([tok.encode(mark)[-1] for mark in (":", "\uff1a")], device=device)
    seen = tuple(args.tower.split(","))
    # What no process has at work: gradients of zero would let a momentum of before go on.
    idle = {"labels": {id(p) for p in model.language_model.model.layers.parameters()},
            "heads": {id(p) for p in model.parameters()},
            "all": {id(p) for p in model.vision_model.parameters()} if seen == ("none",) else set()}  # fmt: skip
    if args.adam:
        matrices, rest = [], rest + matrices
    muon = Muon(matrices or [nn.Parameter(torch.zeros(0))], lr=args.lr)
    adam = torch.optim.AdamW(rest, lr=args.lr / 10, betas=(0.9, 0.98), weight_decay=0.0)
    ema = copy.deepcopy(model) if chief else None

    step, spent, began = 0, 0.0, 0
    if s:
        missing = load_into(model, s["model"]) + load_into(heads, s["heads"])
        if chief:
            load_into(ema, s["ema"])
            print("new:", missing, flush=True)
        try:
            muon.load_state_dict(s["muon"])
            adam.load_state_dict(s["adam"])
            for p in rest:
                if p in adam.state and adam.state[p]["exp_avg"].shape != p.shape:
                    del adam.state[p]
        except (ValueError, KeyError) as error:
            print("The optimizers start anew:", error, flush=True)
        step, spent = s["step"], s["spent"]
        began = step
        if chief:
            print(f"resumed at step {step}, {spent / 60:.1f} minutes", flush=True)
    if chief:
        print("parameters", sum(p.numel() for p in model.parameters()), "vocabulary", tok.size, flush=True)
        log = open(os.path.join(args.work, "loss.csv"), "a", newline="")
        writer = csv.writer(log)
        if log.tell() == 0:
            writer.writerow(["minutes", "step", "sort", "answer_loss", "kind_loss", "colour_loss", "box_loss", "patch_loss", "slot_loss", "watch_loss", "asked_loss", "pictures"])

    def save() -> None:
        value = dict(model=model.state_dict(), ema=ema.state_dict(), heads=heads.state_dict(), muon=muon.state_dict(),
                     adam=adam.state_dict(), step=step, spent=spent)  # fmt: skip
        torch.save(value, state_path + ".new")
        os.replace(state_path + ".new", state_path)

    mix = dict(batches.MIX)
    for part in filter(None, args.mix.split(",")):
        name, weight = part.split("=")
        mix[name] = float(weight)
    stream, stage = None, ""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))  # stop after this step, with the state saved
    signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
    last_save, last_log = time.time(), step
    sums: dict[str, list[float]] = {}
    total, tail = args.minutes * 60, max(1.0, args.decay_minutes * 60)
    clock = torch.zeros(2)
    # On a shared machine what counts is the processor time that was had; a GPU is not shared.
    clock_now = time.process_time if device.type == "cpu" else time.perf_counter
    while True:
        start = clock_now()
        # Warm-up, a plateau, then down in a line.
        factor = min(1.0, (step - began + 1) / 30) * min(1.0, max(0.0, (total - spent) / tail))
        for group in muon.param_groups:
            group["lr"] = args.lr * factor
        for group in adam.param_groups:
            group["lr"] = (args.adam or args.lr / 10) * factor
        now = "heads" if spent < args.heads_minutes * 60 else "labels" if spent < args.vision_minutes * 60 else "all"
        if now != stage:
            stage = now
            data = batches.Stream(path, CONFIG["vision"]["image"], model.grid, f"{args.seed} {step} {rank}",
                                  {"labels": 1} if now == "labels" else mix, args.cost, args.budget, {"heads": ("none",), "labels": ("labels",), "all": seen}[now])  # fmt: skip
            ahead = dict(num_workers=args.workers, prefetch_factor=4, pin_memory=device.type == "cuda") if args.workers else {}
            stream = iter(torch.utils.data.DataLoader(data, batch_size=None, **ahead))
        sort, batch = next(stream)
        batch = {k: v.to(device, non_blocking=True) for k, v in batch.items()}
        visual, aux, parts, watch, asked, answer = None, 0.0, [0.0] * 5, 0.0, 0.0, 0.0
        if "pixels" in batch:
            # The tower learns from single tiles; where a picture has many, only what reads it does: a third of the cost.
            with torch.set_grad_enabled(stage == "labels" or stage == "all" and sort in seen):
                tower = model.tower(normal(batch["pixels"]))
            with torch.set_grad_enabled(stage != "heads"):
                visual = model.project(tower)
            words = model.language_model.model.tok_embeddings.weight
            if stage != "all":  # any words will do, and a language model may know these
                words = words.detach()
            if args.aux:
                aux, parts = heads.loss(tower, visual, words, batch["label_ids"], batch["label_boxes"], batch["label_patches"], batch["label_slots"])
        loss = aux
        if sort != "labels":
            with torch.set_grad_enabled(stage != "heads"):
                x = model.embed(batch["ids"], tok.context, visual)
                h, watched = model.language_model(x, batch["pos"], batches.attention_mask(batch["branch"]))
            on = batch["target"] != batches.IGNORE
            losses = F.cross_entropy(model.language_model.output(h[on]), batch["target"][on], reduction="none")
            verdict = torch.isin(batch["ids"][on], colons).float()
            answer_loss = (losses * (1 + (VERDICT - 1) * verdict)).mean()
            loss, answer = (0.0 if stage == "heads" else answer_loss) + args.aux * aux, answer_loss.item()
            if args.aux and "pixels" in batch and sort != "video":
                watch_loss = heads.watch_loss(watched[batch["ids"] == tok.context], batch["label_ids"], batch["label_slots"], sort not in batches.SHORT)
                loss, watch = loss + args.aux * watch_loss, watch_loss.item()
            if args.aux:
                asked_loss = heads.asked_loss(watched, batch["asked"])
                loss, asked = loss + args.aux * asked_loss, asked_loss.item()
        if not math.isfinite(loss.item()):
            raise SystemExit(f"loss is {loss.item()} at step {step}")
        muon.zero_grad()
        adam.zero_grad()
        loss.backward()
        # All processes have the same parts at work: in the first stage the vision side alone.
        working = [p for p in matrices + rest if id(p) not in idle[stage]]
        for p in working:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        all_reduce([p.grad for p in working], 1 / args.processes)
        nn.utils.clip_grad_norm_(rest, 1.0)
        if matrices:
            muon.step()
        adam.step()
        step += 1
        if chief:
            with torch.no_grad():
                decay = min(0.995, (1 + step - began) / (10 + step - began))
                for a, b in zip(ema.parameters(), model.parameters()):
                    a.lerp_(b, 1 - decay)
        # The chief's clock, in processor time, and any process's wish to stop hold for all.
        clock[0] = clock_now() - start if chief else 0.0
        clock[1] = float(bool(stopped))
        all_reduce([clock], 1.0)
        spent += clock[0].item()
        acc = sums.setdefault(sort, [0.0] * 10)
        for i, value in enumerate((answer, *parts, watch, asked, len(batch["ids"]), 1)):
            acc[i] += value
        if chief and step - last_log >= 20:
            for name, a in sorted(sums.items()):
                row = [round(spent / 60, 2), step, name] + [round(a[i] / a[9], 4) for i in range(8)] + [int(a[8])]
                writer.writerow(row)
                print(row, flush=True)
            log.flush()
            sums, last_log = {}, step
        ending = clock[1].item() > 0 or spent >= total
        if chief and (ending or time.time() - last_save > 180):
            save()
            last_save = time.time()
        if ending:
            break
    if chief:
        print("done" if spent >= total else "stopped", flush=True)


if __name__ == "__main__":
    main()
