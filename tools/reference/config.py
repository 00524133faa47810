"""The fields of an InternVL-Chat `config.json` that change the numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


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
class LanguageConfig:
    """InternLM2."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    intermediate_size: int
    vocab_size: int
    max_position_embeddings: int
    rope_theta: float
    rope_factor: float | None
    """Factor of dynamic NTK scaling; None when the config has no `rope_scaling`."""
    rms_norm_eps: float
    tie_word_embeddings: bool

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads


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


def parse_config(raw: Mapping[str, Any]) -> ChatConfig:
    """Picks the fields out of a parsed `config.json`."""
    vision = raw["vision_config"]
    language = raw["llm_config"]
    scaling = language.get("rope_scaling")
    if scaling is not None and scaling["type"] != "dynamic":
        raise ValueError(f"rope_scaling type {scaling['type']!r}; only 'dynamic' is known here")
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
        language=LanguageConfig(
            hidden_size=language["hidden_size"],
            num_hidden_layers=language["num_hidden_layers"],
            num_attention_heads=language["num_attention_heads"],
            num_key_value_heads=language["num_key_value_heads"],
            intermediate_size=language["intermediate_size"],
            vocab_size=language["vocab_size"],
            max_position_embeddings=language["max_position_embeddings"],
            rope_theta=float(language["rope_theta"]),
            rope_factor=None if scaling is None else float(scaling["factor"]),
            rms_norm_eps=language["rms_norm_eps"],
            tie_word_embeddings=language["tie_word_embeddings"],
        ),
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
