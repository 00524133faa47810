"""Writes the checkpoint folder in the Hugging Face layout from a training state.

    python3 tools/nano/export.py --work .scratch/nano --out models/nano
"""

from __future__ import annotations

import argparse
import os
import shutil

import torch
from safetensors.torch import save_file

import prompt
from model import CONFIG, InternVLChat, sized, tower_layers, write_config


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--work", required=True)
    ap.add_argument("--out", required=True)
    ap.add_argument("--raw", action="store_true", help="the weights as they are, not their moving average")
    args = ap.parse_args()
    os.makedirs(args.out, exist_ok=True)
    tok = prompt.Tokenizer(os.path.join(args.work, "tokenizer.model"))
    shutil.copyfile(os.path.join(args.work, "tokenizer.model"), os.path.join(args.out, "tokenizer.model"))
    prompt.write_tokenizer_files(args.out, tok)
    config = CONFIG
    state_path = os.path.join(args.work, "state.pt")
    if os.path.exists(state_path):
        state = torch.load(state_path, weights_only=True)
        weights = state["model" if args.raw else "ema"]
        config = sized(tower_layers(weights))
    write_config(args.out, tok.size, prompt.SYSTEM, config)
    model = InternVLChat(tok.size, config)
    if os.path.exists(state_path):
        model.load_state_dict(weights)
        print("step", state["step"], "minutes", round(state["spent"] / 60, 1))
    tensors = {k: t.to(torch.float16).contiguous() for k, t in model.state_dict().items()}
    target = os.path.join(args.out, "model.safetensors")
    save_file(tensors, target + ".new", metadata={"format": "pt"})
    os.chmod(target + ".new", 0o644)
    os.replace(target + ".new", target)
    print(target, os.path.getsize(target), "bytes,", sum(t.numel() for t in tensors.values()), "parameters")


if __name__ == "__main__":
    main()
