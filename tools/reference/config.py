"""The fields of an InternVL-Chat `config.json` that change the numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from families import FAMILIES, Family


@dataclass(frozen=True)
class VisionConfig:
    """InternViT."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    image_size: int
    patch_size: int
    norm_type: str
    qk_normalization: bool
    qkv_bias: bool
    layer_norm_eps: float


@dataclass(frozen=True)
class Rope:
    """`rope_theta` and `rope_scaling`."""

    kind: str
    """`default` when the config has no `rope_scaling`."""
    theta: float
    original: int
    """`original_max_position_embeddings`, wherever it stands; else `max_position_embeddings`."""
    settings: Mapping[str, Any]
    """`rope_scaling` as it is."""

    def number(self, key: str, default: float | None = None) -> float:
        """A number of `rope_scaling`; where it is missing or null, the default, if there is one."""
        value = self.settings.get(key)
        if value is None:
            if default is None:
                raise ValueError(f"rope_scaling type {self.kind!r} without {key}")
            return default
        return float(value)


@dataclass(frozen=True)
class LanguageConfig:
    """One of `families.FAMILIES`."""

    family: Family
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    max_position_embeddings: int
    rope: Rope
    rms_norm_eps: float
    attention_bias: bool
    """Queries, keys, values and the output of the attention have a bias."""
    tie_word_embeddings: bool


@dataclass(frozen=True)
class ChatConfig:
    """The whole model."""

    vision: VisionConfig
    language: LanguageConfig
    template: str
    system_message: str | None
    tile_size: int
    downsample_ratio: float
    ps_version: str
    select_layer: int
    min_dynamic_patch: int
    max_dynamic_patch: int
    use_thumbnail: bool

    @property
    def tokens_per_tile(self) -> int:
        """Visual tokens of one tile after the pixel shuffle."""
        grid = self.tile_size // self.vision.patch_size
        return int(grid * grid * self.downsample_ratio * self.downsample_ratio)


def parse_language(language: Mapping[str, Any]) -> LanguageConfig:
    """Picks the fields out of `llm_config`; what would change the numbers unseen is refused."""
    name, limit = language["architectures"][0], language["max_position_embeddings"]
    if name not in FAMILIES:
        raise ValueError(f"language model {name!r}; known here: {', '.join(FAMILIES)}")
    for key, harmless in (("mlp_bias", False), ("bias", False), ("partial_rotary_factor", 1.0)):
        if language.get(key, harmless) != harmless:
            raise ValueError(f"llm_config.{key} {language[key]!r} is not known here")
    window = language.get("sliding_window") if language.get("use_sliding_window", True) else None
    if window is not None and window < limit:
        raise ValueError(f"llm_config.sliding_window {window} is not known here")
    scaling = language.get("rope_scaling") or {}
    original = "original_max_position_embeddings"
    return LanguageConfig(
        family=FAMILIES[name],
        hidden_size=language["hidden_size"],
        num_hidden_layers=language["num_hidden_layers"],
        num_attention_heads=language["num_attention_heads"],
        num_key_value_heads=language["num_key_value_heads"],
        head_dim=language.get("head_dim") or language["hidden_size"] // language["num_attention_heads"],
        intermediate_size=language["intermediate_size"],
        vocab_size=language["vocab_size"],
        max_position_embeddings=limit,
        rope=Rope(
            kind=scaling.get("rope_type") or scaling.get("type") or "default",
            theta=float(language["rope_theta"]),
            original=language.get(original) or scaling.get(original) or limit,
            settings=scaling,
        ),
        rms_norm_eps=language["rms_norm_eps"],
        attention_bias=language.get("attention_bias", False),
        tie_word_embeddings=language.get("tie_word_embeddings", False),
    )


def parse_config(raw: Mapping[str, Any]) -> ChatConfig:
    """Picks the fields out of a parsed `config.json`."""
    vision = raw["vision_config"]
    return ChatConfig(
        vision=VisionConfig(
            hidden_size=vision["hidden_size"],
            num_hidden_layers=vision["num_hidden_layers"],
            num_attention_heads=vision["num_attention_heads"],
            intermediate_size=vision["intermediate_size"],
            image_size=vision["image_size"],
            patch_size=vision["patch_size"],
            norm_type=vision["norm_type"],
            qk_normalization=vision["qk_normalization"],
            qkv_bias=vision["qkv_bias"],
            layer_norm_eps=vision["layer_norm_eps"],
        ),
        language=parse_language(raw["llm_config"]),
        template=raw["template"],
        system_message=raw.get("system_message"),
        tile_size=raw.get("force_image_size") or vision["image_size"],
        downsample_ratio=raw["downsample_ratio"],
        ps_version=raw["ps_version"],
        select_layer=raw["select_layer"],
        min_dynamic_patch=raw["min_dynamic_patch"],
        max_dynamic_patch=raw["max_dynamic_patch"],
        use_thumbnail=raw["use_thumbnail"],
    )


def read_config(folder: Path) -> ChatConfig:
    """Reads `config.json` of a checkpoint folder."""
    return parse_config(json.loads((folder / "config.json").read_text(encoding="utf-8")))
