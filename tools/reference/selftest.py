"""Checks the reference against itself and against PyTorch's own layers: `python3 tools/reference/selftest.py`."""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F

import language
import vision
from chat import Model
from config import parse_language
from families import FAMILIES
from pixels import frame_indices, tile_grid
from random_checkpoints import SHAPES, language_json, random_weights, write_checkpoint
from spm_models import RECIPES, train


def _close(name: str, a: torch.Tensor, b: torch.Tensor, bound: float = 1e-12) -> None:
    error = float((a - b).norm() / b.norm())
    print(f"{name}: {error:.1e}")
    assert error < bound, name


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


_ORIGINAL = {"original_max_position_embeddings": 36}
_FACTORS = {
    "long_factor": [1.07, 1.42, 2.13, 3.01, 5.91, 9.93, 15.41, 19.81],
    "short_factor": [1.0, 1.02, 1.05, 1.1, 1.25, 1.4, 1.75, 2.1],
}
ROPES: dict[str, dict[str, Any] | None] = {
    "none": None,
    "linear": {"factor": 3.0, "type": "linear"},
    "dynamic": {"factor": 3.0, "type": "dynamic"},
    "llama3": {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "rope_type": "llama3", **_ORIGINAL},
    "yarn": {"factor": 4.0, "type": "yarn", **_ORIGINAL},
    "yarn, every key": {
        "attention_factor": 1.3,
        "beta_fast": 6.0,
        "beta_slow": 0.25,
        "factor": 4.0,
        "rope_type": "yarn",
        **_ORIGINAL,
    },
    "yarn, two scales": {"factor": 4.0, "mscale": 0.7, "mscale_all_dim": 1.2, "rope_type": "yarn", **_ORIGINAL},
    "longrope": {"rope_type": "longrope", **_FACTORS},
    "longrope, factor of its own": {"attention_factor": 1.1, "rope_type": "longrope", **_FACTORS},
}


@contextlib.contextmanager
def _wide() -> Iterator[None]:
    """transformers computes norms, angles and softmax in float32 whatever the weights are; not so in here."""
    wide, usual = torch.float64, torch.get_default_dtype()
    torch.set_default_dtype(wide)
    try:
        with mock.patch.multiple(torch, float32=wide, float=wide):
            with mock.patch.object(torch.Tensor, "float", torch.Tensor.double):
                yield
    finally:
        torch.set_default_dtype(usual)


def _family(architecture: str, rope: str, bias: bool, tied: bool) -> None:
    """A prompt and some steps, across the limit of 40 positions and the original length of 36."""
    import transformers

    keys: dict[str, Any] = {"rope_theta": 10000.0, "attention_bias": bias}
    if rope.startswith("longrope"):
        keys |= {"max_position_embeddings": 144, **_ORIGINAL}
    elif rope.startswith("yarn"):
        keys |= {"max_position_embeddings": 144}
    if architecture == "Qwen3ForCausalLM":
        keys |= {"head_dim": 16}
    if architecture == "Phi3ForCausalLM":
        keys |= {"sliding_window": 1000}
    shape = replace(
        SHAPES[0],
        architecture=architecture,
        hidden=96 if architecture == "Qwen3ForCausalLM" else 64,
        heads=4,
        kv_heads=2,
        tied=tied,
        vocab_size=120,
        max_position_embeddings=40,
        rope_scaling=ROPES[rope],
        llm_keys=keys,
    )
    raw = language_json(shape)
    ours = {
        name: tensor.double() for name, tensor in random_weights(shape).items() if name.startswith("language_model.")
    }
    theirs = {name.removeprefix("language_model."): tensor for name, tensor in ours.items()}
    if tied:
        theirs["lm_head.weight"] = theirs["model.embed_tokens.weight"]
    config = parse_language(raw)
    ids = torch.randint(0, shape.vocab_size, (2, 46))
    steps = [32, *[1] * 14]
    with torch.no_grad(), _wide():
        described = getattr(transformers, architecture.replace("ForCausalLM", "Config"))
        settings = described(**raw, attn_implementation="eager")
        model = getattr(transformers, architecture)(settings).double().eval()
        model.load_state_dict(theirs)
        cache, past, wanted = None, 0, []
        for step in steps:
            out = model(ids[:, past : past + step], past_key_values=cache, use_cache=True)
            cache, past = out.past_key_values, past + step
            wanted.append(out.logits)
    own, past, got = language.Cache(), 0, []
    for step in steps:
        part = ids[:, past : past + step]
        positions = torch.arange(past, past + step).expand(2, -1)
        mask = torch.ones(2, past + step, dtype=torch.long)
        got.append(language.forward(language.embed(part, ours, config), positions, mask, own, ours, config))
        past += step
    what = f"{architecture}, RoPE {rope}{', biases' if bias else ''}{', tied' if tied else ''}"
    _close(what, torch.cat(got, 1), torch.cat(wanted, 1), 1e-9)


def _families() -> None:
    """The language models against transformers' own classes."""
    if importlib.util.find_spec("transformers") is None:
        print("transformers is not installed: the language models are not compared with its classes")
        return
    for architecture in FAMILIES:
        if architecture == "InternLM2ForCausalLM":
            continue
        for rope in ROPES:
            if architecture == "Phi3ForCausalLM" and rope != "none" and not rope.startswith("longrope"):
                continue  # their configuration refuses it
            _family(architecture, rope, bias=False, tied=False)
        _family(architecture, "none", bias=False, tied=True)
        if architecture in ("LlamaForCausalLM", "Qwen3ForCausalLM"):
            _family(architecture, "none", bias=True, tied=False)


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
    _families()


if __name__ == "__main__":
    main()
