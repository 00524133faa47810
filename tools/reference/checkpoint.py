"""Weights of a checkpoint folder, as stored, in float64."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

Tensor = torch.Tensor


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of the folder's safetensors file or shards, widened to float64."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        files = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    else:
        files = ["model.safetensors"]
    weights: dict[str, Tensor] = {}
    for file in files:
        for name, tensor in load_file(str(folder / file)).items():
            weights[name] = tensor.to(torch.float64)
    return weights


def write_weights(folder: Path, weights: dict[str, Tensor], shards: int) -> None:
    """Writes tensors as `model.safetensors`, or as shards with their index."""
    metadata = {"format": "pt"}
    if shards == 1:
        save_file(weights, str(folder / "model.safetensors"), metadata=metadata)
        return
    total = sum(t.numel() * t.element_size() for t in weights.values())
    weight_map: dict[str, str] = {}
    part: dict[str, Tensor] = {}
    size = written = number = 0
    remaining = list(weights.items())
    for position, (name, tensor) in enumerate(remaining):
        part[name] = tensor
        size += tensor.numel() * tensor.element_size()
        last = position == len(remaining) - 1
        if last or (number < shards - 1 and written + size >= total * (number + 1) / shards):
            number += 1
            file = f"model-{number:05d}-of-{shards:05d}.safetensors"
            save_file(part, str(folder / file), metadata=metadata)
            weight_map.update({key: file for key in part})
            written += size
            part, size = {}, 0
    if number != shards:
        raise ValueError(f"{len(weights)} tensors made {number} shards, not {shards}")
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
