"""Gives the heads of a vision tower places to look at.

A tower whose weights began at random, or one trained from such weights for two hours, does not look anywhere: its
position embedding is a twentieth of what its patches say, every head looks at all patches alike, and characters,
which are told by the order of their strokes, are read one in two. Here the tower is given what a convolution has:
patches know where they are, and most heads look at one neighbour each. What a ConViT (d'Ascoli et al., 2021) does
with relative positions, InternViT's absolute ones do as well: a place is written as cosines and sines of whole
frequencies, and a query is the place shifted, so that its product with a key peaks where the shift leads.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model import VisionModel

# By layer, where its first heads look, in (rows, columns) of patches from a patch's own; the others stay as they are.
LOOKS = [
    [(0, 1), (0, -1), (1, 0), (-1, 0)],
    [(0, 1), (0, -1), (1, 0), (-1, 0)],
    [(1, 1), (-1, -1), (1, -1), (-1, 1)],
    [(0, 2), (0, -2), (2, 0), (-2, 0)],
]
AMPLITUDE = 2.5  # of a place in the patches' stream
PEAK = 1.6  # of its waves in queries and keys: seven tenths of a head's look fall where it should


def waves(at: Tensor, count: int, size: int) -> Tensor:
    """[n, 2 count]: cosines and sines of the places `at` on an axis of `size` patches."""
    angle = at[:, None] * torch.pi * torch.arange(1, count + 1) / size
    return torch.cat([angle.cos(), angle.sin()], 1)


def shift(by: tuple[int, int], count: int, size: int) -> Tensor:
    """[4 count, 4 count]: takes the waves of a place to those of the place `by` further."""
    out = torch.zeros(4 * count, 4 * count)
    for axis, step in enumerate(by):
        angle = step * torch.pi * torch.arange(1, count + 1) / size
        at = 2 * count * axis + torch.arange(count)
        out[at, at] = out[at + count, at + count] = angle.cos()
        out[at, at + count], out[at + count, at] = -angle.sin(), angle.sin()
    return out


@torch.no_grad()
def spare(tower: VisionModel, pixels: Tensor, size: int) -> tuple[Tensor, list[float]]:
    """(basis [d, size], rms of every layer's input): the directions of the stream in which the pictures differ least."""
    x = tower.embeddings(pixels)
    d = x.shape[-1]
    total, rms = 10 * torch.ones(d, d) / d, []  # not the mean: LayerNorm takes it away
    for layer in [*tower.encoder.layers, None]:
        z = x[:, 1:].flatten(0, 1)
        z = z - z.mean(0)
        total += z.T @ z / z.pow(2).sum()
        rms.append(x.pow(2).mean().sqrt().item())
        if layer is not None:
            x = layer(x)
    return torch.linalg.eigh(total)[1][:, :size], rms


@torch.no_grad()
def look_around(tower: VisionModel, grid: int, basis: Tensor, rms: list[float]) -> None:
    """Writes places into the directions `basis` [d, 4 waves], which nothing else may use, and turns heads to them."""
    d, dim = basis.shape
    count = dim // 4
    rest = torch.eye(d) - basis @ basis.T
    e = tower.embeddings
    at = torch.arange(grid).float()
    places = torch.cat([waves(at.repeat_interleave(grid), count, grid), waves(at.repeat(grid), count, grid)], 1)
    e.patch_embedding.weight.copy_((rest @ e.patch_embedding.weight.flatten(1)).view_as(e.patch_embedding.weight))
    e.patch_embedding.bias.copy_(rest @ e.patch_embedding.bias)
    e.class_embedding.copy_(e.class_embedding @ rest)
    e.position_embedding.copy_(e.position_embedding @ rest)
    e.position_embedding[0, 1:] += AMPLITUDE * places @ basis.T
    for layer, looks, scale in zip(tower.encoder.layers, LOOKS, rms):
        for out in (layer.attn.proj, layer.mlp.fc2):
            out.weight.copy_(rest @ out.weight)
            out.bias.copy_(rest @ out.bias)
        gain = layer.norm1.weight
        read = PEAK * scale / AMPLITUDE * basis.T / torch.where(gain.abs() < 0.1, 0.1, gain)
        weight = layer.attn.qkv.weight.view(3, -1, dim, d)
        bias = layer.attn.qkv.bias.view(3, -1, dim)
        for head, by in enumerate(looks):
            for part, turn in ((0, shift(by, count, grid)), (1, torch.eye(dim))):
                weight[part, head] = turn @ read
                bias[part, head] = -turn @ read @ layer.norm1.bias
            layer.attn.proj.weight[:, head * dim : (head + 1) * dim] = 0  # what they bring is new: it comes in by training
