"""Small random checkpoints in the layout of the public InternVL-Chat ones."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from checkpoint import write_weights
from spm_models import VOCABULARY, write_tokenizer

Tensor = torch.Tensor

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Shape:
    """Everything that varies between the checkpoints."""

    name: str
    seed: int
    dtype: str
    shards: int
    # vision
    tile_size: int
    vision_image_size: int
    vision_hidden: int
    vision_heads: int
    vision_layers: int
    vision_ff: int
    norm_type: str
    qk_normalization: bool
    qkv_bias: bool
    ps_version: str
    # language
    hidden: int
    heads: int
    kv_heads: int
    layers: int
    ff: int
    tied: bool
    max_position_embeddings: int = 32768
    rope_factor: float | None = 2.0
    vocab_size: int = VOCABULARY
    # chat
    system_message: str | None = None
    max_dynamic_patch: int = 12
    use_thumbnail: bool = True


# The 300M kind and the 6B kind first, then mixtures. Patch size is always 14.
_LAYER = Shape(
    name="layer-norm-f32",
    seed=1,
    dtype="float32",
    shards=1,
    tile_size=56,
    vision_image_size=56,
    vision_hidden=32,
    vision_heads=2,
    vision_layers=2,
    vision_ff=64,
    norm_type="layer_norm",
    qk_normalization=False,
    qkv_bias=True,
    ps_version="v2",
    hidden=64,
    heads=2,
    kv_heads=2,
    layers=2,
    ff=96,
    tied=False,
)
SHAPES: tuple[Shape, ...] = (
    _LAYER,
    replace(
        _LAYER,
        name="rms-norm-bf16",
        seed=2,
        dtype="bfloat16",
        shards=2,
        tile_size=112,
        vision_image_size=112,
        vision_hidden=48,
        vision_heads=3,
        norm_type="rms_norm",
        qk_normalization=True,
        qkv_bias=False,
        hidden=96,
        heads=6,
        kv_heads=1,
        layers=2,
        ff=160,
        rope_factor=3.0,
        max_dynamic_patch=6,
    ),
    replace(
        _LAYER,
        name="v1-tied-f16",
        seed=3,
        dtype="float16",
        ps_version="v1",
        heads=4,
        layers=3,
        tied=True,
        system_message="Answer in one word. 用一个词回答。",
        use_thumbnail=False,
        rope_factor=None,
    ),
    replace(
        _LAYER,
        name="interpolated-bf16",
        seed=4,
        dtype="bfloat16",
        shards=2,
        vision_image_size=112,
        vision_heads=1,
        norm_type="rms_norm",
        qk_normalization=True,
        qkv_bias=True,
        ps_version="v1",
        hidden=192,
        heads=12,
        ff=64,
        tied=True,
        max_dynamic_patch=4,
    ),
    replace(
        _LAYER,
        name="long-f16",
        seed=5,
        dtype="float16",
        norm_type="rms_norm",
        qkv_bias=False,
        heads=4,
        max_position_embeddings=160,
        rope_factor=3.0,
    ),
    replace(
        _LAYER,
        name="qk-norm-f32",
        seed=6,
        shards=2,
        qk_normalization=True,
        heads=4,
        kv_heads=4,
        tied=True,
        system_message="",
    ),
)


def config_json(shape: Shape) -> dict[str, Any]:
    """`config.json` with the fields that the public checkpoints have."""
    language: dict[str, Any] = {
        "architectures": ["InternLM2ForCausalLM"],
        "attn_implementation": "eager",
        "bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "initializer_range": 0.02,
        "intermediate_size": shape.ff,
        "max_position_embeddings": shape.max_position_embeddings,
        "model_type": "internlm2",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "pad_token_id": 2,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None if shape.rope_factor is None else {"factor": shape.rope_factor, "type": "dynamic"},
        "rope_theta": 1000000,
        "tie_word_embeddings": shape.tied,
        "torch_dtype": shape.dtype,
        "use_cache": True,
        "vocab_size": shape.vocab_size,
    }
    vision: dict[str, Any] = {
        "architectures": ["InternVisionModel"],
        "attention_dropout": 0.0,
        "drop_path_rate": 0.0,
        "dropout": 0.0,
        "hidden_act": "gelu",
        "hidden_size": shape.vision_hidden,
        "image_size": shape.vision_image_size,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "intermediate_size": shape.vision_ff,
        "layer_norm_eps": 1e-06,
        "model_type": "intern_vit_6b",
        "norm_type": shape.norm_type,
        "num_attention_heads": shape.vision_heads,
        "num_channels": 3,
        "num_hidden_layers": shape.vision_layers,
        "patch_size": 14,
        "qk_normalization": shape.qk_normalization,
        "qkv_bias": shape.qkv_bias,
        "torch_dtype": shape.dtype,
        "use_flash_attn": False,
    }
    config: dict[str, Any] = {
        "architectures": ["InternVLChatModel"],
        "downsample_ratio": 0.5,
        "dynamic_image_size": True,
        "force_image_size": shape.tile_size,
        "llm_config": language,
        "max_dynamic_patch": shape.max_dynamic_patch,
        "min_dynamic_patch": 1,
        "model_type": "internvl_chat",
        "pad2square": False,
        "ps_version": shape.ps_version,
        "select_layer": -1,
        "template": "internlm2-chat",
        "torch_dtype": shape.dtype,
        "use_backbone_lora": 0,
        "use_llm_lora": 0,
        "use_thumbnail": shape.use_thumbnail,
        "vision_config": vision,
    }
    if shape.system_message is not None:
        config["system_message"] = shape.system_message
    return config


class _Random:
    """Draws tensors; scales are chosen so that attention is neither flat nor a single spike and the
    logits differ clearly between tokens."""

    def __init__(self, shape: Shape) -> None:
        self._rng = np.random.default_rng(shape.seed)
        self._dtype = _DTYPES[shape.dtype]

    def normal(self, *extents: int, scale: float, mean: float = 0.0) -> Tensor:
        values = self._rng.standard_normal(extents, dtype=np.float32) * np.float32(scale) + np.float32(mean)
        return torch.from_numpy(values).to(self._dtype)

    def linear(self, rows: int, columns: int, gain: float = 1.0) -> Tensor:
        """[out, in], keeping the size of its input times `gain`."""
        return self.normal(rows, columns, scale=gain / columns**0.5)

    def gain(self, width: int) -> Tensor:
        """A norm's weight."""
        return self.normal(width, scale=0.2, mean=1.0)

    def bias(self, width: int) -> Tensor:
        return self.normal(width, scale=0.1)


def _vision_weights(shape: Shape, draw: _Random) -> dict[str, Tensor]:
    d, ff = shape.vision_hidden, shape.vision_ff
    side = shape.vision_image_size // 14
    top = "vision_model.embeddings"
    weights = {
        f"{top}.class_embedding": draw.normal(1, 1, d, scale=1.0),
        f"{top}.patch_embedding.weight": draw.normal(d, 3, 14, 14, scale=1.5 / (3 * 14 * 14) ** 0.5),
        f"{top}.patch_embedding.bias": draw.bias(d),
        f"{top}.position_embedding": draw.normal(1, side * side + 1, d, scale=0.7),
    }
    for layer in range(shape.vision_layers):
        p = f"vision_model.encoder.layers.{layer}"
        weights[f"{p}.ls1"] = draw.normal(d, scale=0.2, mean=0.6)
        weights[f"{p}.ls2"] = draw.normal(d, scale=0.2, mean=0.6)
        for norm in ("norm1", "norm2"):
            weights[f"{p}.{norm}.weight"] = draw.gain(d)
            if shape.norm_type == "layer_norm":
                weights[f"{p}.{norm}.bias"] = draw.bias(d)
        weights[f"{p}.attn.qkv.weight"] = draw.linear(3 * d, d, 1.3)
        if shape.qkv_bias:
            weights[f"{p}.attn.qkv.bias"] = draw.bias(3 * d)
        if shape.qk_normalization:
            weights[f"{p}.attn.q_norm.weight"] = draw.gain(d)
            weights[f"{p}.attn.k_norm.weight"] = draw.gain(d)
        weights[f"{p}.attn.proj.weight"] = draw.linear(d, d)
        weights[f"{p}.attn.proj.bias"] = draw.bias(d)
        weights[f"{p}.mlp.fc1.weight"] = draw.linear(ff, d, 1.5)
        weights[f"{p}.mlp.fc1.bias"] = draw.bias(ff)
        weights[f"{p}.mlp.fc2.weight"] = draw.linear(d, ff, 1.5)
        weights[f"{p}.mlp.fc2.bias"] = draw.bias(d)
    return weights


def _language_weights(shape: Shape, draw: _Random) -> dict[str, Tensor]:
    d, ff = shape.hidden, shape.ff
    head_dim = d // shape.heads
    rows = (shape.heads + 2 * shape.kv_heads) * head_dim
    p = "language_model.model"
    weights = {f"{p}.tok_embeddings.weight": draw.normal(shape.vocab_size, d, scale=1.0 / d**0.25)}
    for layer in range(shape.layers):
        q = f"{p}.layers.{layer}"
        weights[f"{q}.attention_norm.weight"] = draw.gain(d)
        weights[f"{q}.attention.wqkv.weight"] = draw.linear(rows, d, 1.4)
        weights[f"{q}.attention.wo.weight"] = draw.linear(d, shape.heads * head_dim, 1.5)
        weights[f"{q}.ffn_norm.weight"] = draw.gain(d)
        weights[f"{q}.feed_forward.w1.weight"] = draw.linear(ff, d, 1.5)
        weights[f"{q}.feed_forward.w3.weight"] = draw.linear(ff, d)
        weights[f"{q}.feed_forward.w2.weight"] = draw.linear(d, ff, 1.5)
    weights[f"{p}.norm.weight"] = draw.gain(d)
    if not shape.tied:
        weights["language_model.output.weight"] = draw.linear(shape.vocab_size, d, 3.0)
    return weights


def random_weights(shape: Shape) -> dict[str, Tensor]:
    """All tensors of a checkpoint, by the names of the public ones."""
    draw = _Random(shape)
    weights = _vision_weights(shape, draw)
    wide = 4 * shape.vision_hidden
    weights["mlp1.0.weight"] = draw.gain(wide)
    weights["mlp1.0.bias"] = draw.bias(wide)
    weights["mlp1.1.weight"] = draw.linear(shape.hidden, wide, 1.5)
    weights["mlp1.1.bias"] = draw.bias(shape.hidden)
    weights["mlp1.3.weight"] = draw.linear(shape.hidden, shape.hidden, 1.0)
    weights["mlp1.3.bias"] = draw.bias(shape.hidden)
    weights.update(_language_weights(shape, draw))
    return weights


def write_checkpoint(folder: Path, shape: Shape, tokenizer_model: bytes) -> None:
    """The whole folder: config, weights, tokenizer."""
    write_tokenizer(folder, tokenizer_model)
    text = json.dumps(config_json(shape), indent=2, ensure_ascii=False)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    write_weights(folder, random_weights(shape), shape.shards)
