"""Gives the vision tower of a training state more layers, without a change of what it says.

    python3 tools/nano/deepen.py --work .scratch/nano --out .scratch/deeper --after 1,3

A new layer is a copy of the one before it whose outputs are zero: its heads already know where to look, and what they
bring comes in by training. The training goes on from the new folder with `--resume`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil

import torch

from model import tower_layers

LAYER = re.compile(r"vision_model\.encoder\.layers\.(\d+)\.(.+)")
CLOSED = ("attn.proj.weight", "attn.proj.bias", "mlp.fc2.weight", "mlp.fc2.bias")


def order(layers: int, after: list[int]) -> list[tuple[int, bool]]:
    """(layer it comes from, whether it is new) of each layer of the deeper tower."""
    return [pair for i in range(layers) for pair in ((i, False), (i, True)) if not pair[1] or i in after]


def deepen(values: dict[str, torch.Tensor], after: list[int]) -> dict[str, torch.Tensor]:
    """The tensors of a model with the layers `after` repeated."""
    layers = tower_layers(values)
    out: dict[str, torch.Tensor] = {}
    placed = False
    for name, value in values.items():
        if not LAYER.match(name):
            out[name] = value
        elif not placed:  # all layers in their order where the first stood, so that the order of tensors is the model's
            placed = True
            for to, (source, new) in enumerate(order(layers, after)):
                for inner in (n for n in values if (m := LAYER.match(n)) and int(m[1]) == source):
                    tail = LAYER.match(inner)[2]
                    copy = torch.zeros_like(values[inner]) if new and tail in CLOSED else values[inner].clone()
                    out[f"vision_model.encoder.layers.{to}.{tail}"] = copy
    return out


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--work", required=True, help="folder with the state to start from")
    ap.add_argument("--out", required=True, help="folder for the deeper state")
    ap.add_argument("--after", required=True, help="layers to repeat, from 0, as 1,3")
    args = ap.parse_args()
    after = [int(i) for i in args.after.split(",")]
    shutil.copytree(args.work, args.out, dirs_exist_ok=True)
    path = os.path.join(args.out, "state.pt")
    state = torch.load(path, weights_only=True)
    layers = tower_layers(state["model"])
    for key in ("model", "ema"):
        state[key] = deepen(state[key], after)
    # Optimizers keep what they know by a parameter's number, which is another now: they start anew.
    state["muon"], state["adam"] = {}, {}
    torch.save(state, path)
    print("layers:", [f"{i}{' (new)' if new else ''}" for i, new in order(layers, after)])


if __name__ == "__main__":
    main()
