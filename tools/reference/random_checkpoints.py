"""Small random checkpoints in the layout of the public InternVL-Chat ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from checkpoint import write_weights
from config import parse_language
from spm_models import VOCABULARY, write_tokenizer

Tensor = torch.Tensor

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def dynamic(factor: float) -> dict[str, Any]:
    """`rope_scaling` of dynamic NTK."""
    return {"factor": factor, "type": "dynamic"}


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
    rope_scaling: Mapping[str, Any] | None = field(default_factory=lambda: dynamic(2.0))
    architecture: str = "InternLM2ForCausalLM"
    llm_keys: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of `llm_config`, and other values."""
    absent: tuple[str, ...] = ()
    """Keys that the published `llm_config` does not have."""
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
        rope_scaling=dynamic(3.0),
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
        rope_scaling=None,
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
        rope_scaling=dynamic(3.0),
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
    # The other language models; keys and their values as published, where a small model can have them.
    replace(
        _LAYER,
        name="llama-gqa-f32",
        seed=7,
        architecture="LlamaForCausalLM",
        heads=4,
        max_position_embeddings=768,
        rope_scaling={
            "factor": 8.0,
            "high_freq_factor": 4.0,
            "low_freq_factor": 1.0,
            "original_max_position_embeddings": 96,
            "rope_type": "llama3",
        },
        llm_keys={"rope_theta": 500000.0},
    ),
    replace(
        _LAYER,
        name="qwen2-tied-bf16",
        seed=8,
        dtype="bfloat16",
        norm_type="rms_norm",
        architecture="Qwen2ForCausalLM",
        hidden=96,
        heads=6,
        kv_heads=2,
        tied=True,
        rope_scaling=None,
        absent=("rope_scaling",),
    ),
    replace(
        _LAYER,
        name="qwen3-f16",
        seed=69,
        dtype="float16",
        architecture="Qwen3ForCausalLM",
        hidden=64,
        heads=4,
        kv_heads=2,
        max_position_embeddings=40960,
        rope_scaling=None,
        llm_keys={"head_dim": 32},
        absent=("tie_word_embeddings",),
    ),
    replace(
        _LAYER,
        name="phi3-long-bf16",
        seed=10,
        dtype="bfloat16",
        architecture="Phi3ForCausalLM",
        hidden=64,
        heads=4,
        kv_heads=2,
        max_position_embeddings=1024,
        rope_scaling={
            "long_factor": [1.07, 1.42, 2.13, 3.01, 5.91, 9.93, 15.41, 19.81],
            "short_factor": [1.0, 1.02, 1.05, 1.1, 1.25, 1.4, 1.75, 2.1],
            "type": "su",
        },
        llm_keys={"original_max_position_embeddings": 160, "rope_theta": 10000.0, "sliding_window": 2048},
    ),
    replace(
        _LAYER,
        name="qwen2-yarn-f32",
        seed=71,
        shards=2,
        architecture="Qwen2ForCausalLM",
        hidden=64,
        heads=2,
        kv_heads=1,
        max_position_embeddings=2048,
        rope_scaling={"factor": 4.0, "original_max_position_embeddings": 512, "type": "yarn"},
        llm_keys={"sliding_window": 2048},
    ),
)


_LLM_KEYS: dict[str, dict[str, Any]] = {
    "InternLM2ForCausalLM": {"attn_implementation": "eager", "bias": False, "pad_token_id": 2},
    "LlamaForCausalLM": {"attention_bias": False, "attention_dropout": 0.0, "mlp_bias": False, "pretraining_tp": 1},
    "Qwen2ForCausalLM": {
        "attention_dropout": 0.0,
        "max_window_layers": 2,
        "rms_norm_eps": 1e-06,
        "sliding_window": 32768,
        "use_sliding_window": False,
    },
    "Qwen3ForCausalLM": {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "debug": False,
        "ep_size": 1,
        "max_window_layers": 2,
        "micro_forward": False,
        "rms_norm_eps": 1e-06,
        "skip_checkpoint": False,
        "sliding_window": None,
        "use_cache": False,
        "use_deepep": False,
        "use_sliding_window": False,
    },
    "Phi3ForCausalLM": {"attention_dropout": 0.0, "embd_pdrop": 0.0, "pad_token_id": 2, "resid_pdrop": 0.0},
}
"""What `llm_config` of each family has beside, or otherwise than, the keys that all have."""


def language_json(shape: Shape) -> dict[str, Any]:
    """`llm_config`."""
    language: dict[str, Any] = {
        "architectures": [shape.architecture],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "initializer_range": 0.02,
        "intermediate_size": shape.ff,
        "max_position_embeddings": shape.max_position_embeddings,
        "model_type": shape.architecture.removesuffix("ForCausalLM").lower(),
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "rms_norm_eps": 1e-05,
        "rope_scaling": shape.rope_scaling,
        "rope_theta": 1000000,
        "tie_word_embeddings": shape.tied,
        "torch_dtype": shape.dtype,
        "use_cache": True,
        "vocab_size": shape.vocab_size,
        **_LLM_KEYS[shape.architecture],
        **shape.llm_keys,
    }
    return dict(sorted(item for item in language.items() if item[0] not in shape.absent))


def config_json(shape: Shape) -> dict[str, Any]:
    """`config.json` with the fields that the public checkpoints have."""
    language = language_json(shape)
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
    c = parse_language(language_json(shape))
    family, d, ff, wide = c.family, shape.hidden, shape.ff, shape.heads * c.head_dim
    rows = (wide, shape.kv_heads * c.head_dim, shape.kv_heads * c.head_dim)
    weights: dict[str, Tensor] = {}

    def linear(name: str, out: int, columns: int, gain: float, bias: bool = False) -> None:
        weights[f"{name}.weight"] = draw.linear(out, columns, gain)
        if bias:
            # Larger than others, so that a forgotten one shows.
            weights[f"{name}.bias"] = draw.normal(out, scale=0.5)

    weights[f"language_model.{family.embedding}.weight"] = draw.normal(shape.vocab_size, d, scale=1.0 / d**0.25)
    for layer in range(shape.layers):
        p = f"language_model.model.layers.{layer}"
        weights[f"{p}.{family.norms[0]}.weight"] = draw.gain(d)
        for name, out in zip(family.qkv, rows if len(family.qkv) == 3 else (sum(rows),)):
            linear(f"{p}.{name}", out, d, 1.4, c.attention_bias or family.qkv_bias)
        for name in family.head_norms:
            weights[f"{p}.{name}.weight"] = draw.gain(c.head_dim)
        linear(f"{p}.{family.out}", d, wide, 1.5, c.attention_bias)
        weights[f"{p}.{family.norms[1]}.weight"] = draw.gain(d)
        for name, gain in zip(family.gate_up, (1.5, 1.0) if len(family.gate_up) == 2 else (1.25,)):
            linear(f"{p}.{name}", 2 * ff // len(family.gate_up), d, gain)
        linear(f"{p}.{family.down}", d, ff, 1.5)
    weights["language_model.model.norm.weight"] = draw.gain(d)
    if not shape.tied:
        linear(f"language_model.{family.head}", shape.vocab_size, d, 3.0)
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
