"""InternViT, the pixel shuffle and the projector, in float64."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F

from config import ChatConfig, VisionConfig

Tensor = torch.Tensor
Weights = Mapping[str, Tensor]


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last axis."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def _norm(x: Tensor, weights: Weights, name: str, config: VisionConfig) -> Tensor:
    weight = weights[f"{name}.weight"]
    if config.norm_type == "rms_norm":
        return rms_norm(x, weight, config.layer_norm_eps)
    if config.norm_type == "layer_norm":
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + config.layer_norm_eps) * weight + weights[f"{name}.bias"]
    raise ValueError(f"norm_type {config.norm_type!r}")


def position_embedding(weights: Weights, config: VisionConfig, grid: int) -> Tensor:
    """[1, 1 + grid^2, D]: the class row as stored, the patch rows resampled (bicubic) to the grid."""
    stored = weights["vision_model.embeddings.position_embedding"]
    side = config.image_size // config.patch_size
    width = config.hidden_size
    table = stored[:, 1:].reshape(1, side, side, width).permute(0, 3, 1, 2)
    table = F.interpolate(table, size=(grid, grid), mode="bicubic", align_corners=False)
    table = table.permute(0, 2, 3, 1).reshape(1, grid * grid, width)
    return torch.cat([stored[:, :1], table], dim=1)


def embed_patches(pixels: Tensor, weights: Weights, config: VisionConfig) -> Tensor:
    """[n, 3, S, S] to [n, 1 + g^2, D]: patch convolution, class token in front, positions added."""
    patches = F.conv2d(
        pixels,
        weights["vision_model.embeddings.patch_embedding.weight"],
        weights["vision_model.embeddings.patch_embedding.bias"],
        stride=config.patch_size,
    )
    count, width, grid, _ = patches.shape
    tokens = patches.reshape(count, width, grid * grid).transpose(1, 2)
    first = weights["vision_model.embeddings.class_embedding"].expand(count, 1, width)
    return torch.cat([first, tokens], dim=1) + position_embedding(weights, config, grid)


def _attention(x: Tensor, weights: Weights, prefix: str, config: VisionConfig) -> Tensor:
    count, length, width = x.shape
    heads = config.num_attention_heads
    head_dim = width // heads
    fused = x @ weights[f"{prefix}.qkv.weight"].T
    if config.qkv_bias:
        fused = fused + weights[f"{prefix}.qkv.bias"]
    q, k, v = fused[..., :width], fused[..., width : 2 * width], fused[..., 2 * width :]
    if config.qk_normalization:
        q = rms_norm(q, weights[f"{prefix}.q_norm.weight"], config.layer_norm_eps)
        k = rms_norm(k, weights[f"{prefix}.k_norm.weight"], config.layer_norm_eps)
    q, k, v = (t.reshape(count, length, heads, head_dim).transpose(1, 2) for t in (q, k, v))
    scores = (q @ k.transpose(-1, -2)) * head_dim**-0.5
    mixed = (torch.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(count, length, width)
    return mixed @ weights[f"{prefix}.proj.weight"].T + weights[f"{prefix}.proj.bias"]


def _mlp(x: Tensor, weights: Weights, prefix: str) -> Tensor:
    hidden = x @ weights[f"{prefix}.fc1.weight"].T + weights[f"{prefix}.fc1.bias"]
    return F.gelu(hidden) @ weights[f"{prefix}.fc2.weight"].T + weights[f"{prefix}.fc2.bias"]


def encode(pixels: Tensor, weights: Weights, config: ChatConfig) -> Tensor:
    """[n, 3, S, S] to the hidden state chosen by `select_layer`, class token included."""
    vision = config.vision
    x = embed_patches(pixels, weights, vision)
    states = [x]
    for layer in range(vision.num_hidden_layers):
        prefix = f"vision_model.encoder.layers.{layer}"
        x = x + weights[f"{prefix}.ls1"] * _attention(
            _norm(x, weights, f"{prefix}.norm1", vision), weights, f"{prefix}.attn", vision
        )
        x = x + weights[f"{prefix}.ls2"] * _mlp(_norm(x, weights, f"{prefix}.norm2", vision), weights, f"{prefix}.mlp")
        states.append(x)
    return states[config.select_layer]


def pixel_shuffle(grid: Tensor, version: str) -> Tensor:
    """[n, g, g, C] to [n, g/2, g/2, 4C]; element by element, straight from the definition.

    v2: output (r, c) is the concatenation of inputs (2r, 2c), (2r, 2c+1), (2r+1, 2c), (2r+1, 2c+1).
    v1 leaves the resulting grid transposed.
    """
    side = grid.shape[1] // 2
    rows = []
    for r in range(side):
        cells = [
            torch.cat(
                [
                    grid[:, 2 * r, 2 * c],
                    grid[:, 2 * r, 2 * c + 1],
                    grid[:, 2 * r + 1, 2 * c],
                    grid[:, 2 * r + 1, 2 * c + 1],
                ],
                dim=-1,
            )
            for c in range(side)
        ]
        rows.append(torch.stack(cells, dim=1))
    shuffled = torch.stack(rows, dim=1)
    if version == "v2":
        return shuffled
    if version == "v1":
        return shuffled.transpose(1, 2)
    raise ValueError(f"ps_version {version!r}")


def project(features: Tensor, weights: Weights, config: ChatConfig) -> Tensor:
    """[n, 1 + g^2, Dv] to [n, g^2/4, Dl]: class token dropped, pixel shuffle, `mlp1`."""
    if config.downsample_ratio != 0.5:
        raise ValueError(f"downsample_ratio {config.downsample_ratio}; only 0.5 is known here")
    patches = features[:, 1:]
    count, length, width = patches.shape
    side = round(length**0.5)
    x = pixel_shuffle(patches.reshape(count, side, side, width), config.ps_version)
    x = x.reshape(count, length // 4, 4 * width)
    x = F.layer_norm(x, (4 * width,), weights["mlp1.0.weight"], weights["mlp1.0.bias"], eps=1e-5)
    x = F.gelu(x @ weights["mlp1.1.weight"].T + weights["mlp1.1.bias"])
    return x @ weights["mlp1.3.weight"].T + weights["mlp1.3.bias"]
