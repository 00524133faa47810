"""Checks the reference against itself and against PyTorch's own layers: `python3 tools/reference/selftest.py`."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import language
import vision
from chat import Model
from pixels import frame_indices, tile_grid
from random_checkpoints import SHAPES, write_checkpoint
from spm_models import RECIPES, train


def _close(name: str, a: torch.Tensor, b: torch.Tensor) -> None:
    error = float((a - b).norm() / b.norm())
    print(f"{name}: {error:.1e}")
    assert error < 1e-12, name


def _pixel_shuffle() -> None:
    grid = torch.randn(2, 6, 6, 5, dtype=torch.float64)
    # SpaceToDepth is pixel_unshuffle with the channel order (block, channel) instead of (channel, block).
    unshuffled = F.pixel_unshuffle(grid.permute(0, 3, 1, 2), 2)
    expected = unshuffled.reshape(2, 5, 4, 3, 3).permute(0, 3, 4, 2, 1).reshape(2, 3, 3, 20)
    _close("pixel shuffle v2", vision.pixel_shuffle(grid, "v2"), expected)
    _close("pixel shuffle v1", vision.pixel_shuffle(grid, "v1"), expected.transpose(1, 2))


def _vision_layer(model: Model) -> None:
    """Attention and norms by PyTorch's own functions."""
    w, c = model.weights, model.config.vision
    pixels = torch.randn(2, 3, model.config.tile_size, model.config.tile_size, dtype=torch.float64)
    x = vision.embed_patches(pixels, w, c)
    heads, width = c.num_attention_heads, c.hidden_size

    def norm(t: torch.Tensor, name: str) -> torch.Tensor:
        if c.norm_type == "layer_norm":
            return F.layer_norm(t, (width,), w[f"{name}.weight"], w[f"{name}.bias"], 1e-6)
        return F.rms_norm(t, (width,), w[f"{name}.weight"], 1e-6)

    for layer in range(c.num_hidden_layers):
        p = f"vision_model.encoder.layers.{layer}"
        q, k, v = F.linear(norm(x, f"{p}.norm1"), w[f"{p}.attn.qkv.weight"], w.get(f"{p}.attn.qkv.bias")).chunk(3, -1)
        if c.qk_normalization:
            q = F.rms_norm(q, (width,), w[f"{p}.attn.q_norm.weight"], 1e-6)
            k = F.rms_norm(k, (width,), w[f"{p}.attn.k_norm.weight"], 1e-6)
        q, k, v = (t.reshape(2, -1, heads, width // heads).transpose(1, 2) for t in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + w[f"{p}.ls1"] * F.linear(mixed, w[f"{p}.attn.proj.weight"], w[f"{p}.attn.proj.bias"])
        hidden = F.gelu(F.linear(norm(x, f"{p}.norm2"), w[f"{p}.mlp.fc1.weight"], w[f"{p}.mlp.fc1.bias"]))
        x = x + w[f"{p}.ls2"] * F.linear(hidden, w[f"{p}.mlp.fc2.weight"], w[f"{p}.mlp.fc2.bias"])
    _close("vision encoder", vision.encode(pixels, w, model.config), x)


def _positions(model: Model) -> None:
    c = model.config.vision
    table = vision.position_embedding(model.weights, c, c.image_size // c.patch_size)
    _close("position table at its own grid", table, model.weights["vision_model.embeddings.position_embedding"])


def _language_cache(model: Model) -> None:
    """Within range, decoding step by step equals one pass; attention by PyTorch's own function."""
    c = replace(model.config.language, max_position_embeddings=4096)
    ids = torch.randint(0, c.vocab_size, (1, 40))
    mask = torch.ones_like(ids)
    positions = torch.arange(40)[None]
    x = language.embed(ids, model.weights, c)
    whole = language.forward(x, positions, mask, language.Cache(), model.weights, c)
    cache = language.Cache()
    steps = [
        language.forward(x[:, i : i + 1], positions[:, i : i + 1], mask[:, : i + 1], cache, model.weights, c)
        for i in range(40)
    ]
    _close("cache", torch.cat(steps, 1), whole)


def _padding(model: Model) -> None:
    """Left padding changes nothing."""
    c = model.config.language
    ids = torch.randint(0, c.vocab_size, (1, 20))
    plain = language.generate(language.embed(ids, model.weights, c), torch.ones_like(ids), 8, -1, model.weights, c)[0]
    padded = torch.cat([torch.full((1, 7), 2), ids], 1)
    mask = (torch.arange(27)[None] >= 7).long()
    shifted = language.generate(language.embed(padded, model.weights, c), mask, 8, -1, model.weights, c)[0]
    _close("left padding", shifted.first_logits, plain.first_logits)
    assert shifted.ids == plain.ids


def _numbers() -> None:
    assert tile_grid(448, 448, 1, 12, 448) == (1, 1)
    assert tile_grid(800, 400, 1, 12, 448) == (2, 1)
    assert tile_grid(1600, 800, 1, 12, 448) == (4, 2)
    assert tile_grid(100, 4000, 1, 12, 448) == (1, 12)
    assert frame_indices(100, 25.0, 4) == [int(99 / 8 + np.round(99 / 4 * i)) for i in range(4)]


def main() -> None:
    """Runs all checks."""
    torch.manual_seed(0)
    _numbers()
    _pixel_shuffle()
    tokenizer = train(RECIPES[0])
    for shape in SHAPES:
        print(shape.name)
        with tempfile.TemporaryDirectory() as folder:
            write_checkpoint(Path(folder), shape, tokenizer)
            model = Model(Path(folder))
        _positions(model)
        _vision_layer(model)
        _language_cache(model)
        _padding(model)


if __name__ == "__main__":
    main()
