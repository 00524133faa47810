"""RoPE's frequencies: what each pair of a head turns by from one position to the next."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from config import LanguageConfig

Tensor = torch.Tensor
Turning = tuple[Tensor, float]
"""Frequencies [head_dim / 2], and the factor that cosines and sines are multiplied with."""


def _plain(config: LanguageConfig, base: float | None = None) -> Tensor:
    d = config.head_dim
    return (config.rope.theta if base is None else base) ** -(torch.arange(0, d, 2, dtype=torch.float64) / d)


def _linear(config: LanguageConfig, length: int) -> Turning:
    return _plain(config) / config.rope.number("factor"), 1.0


def _dynamic(config: LanguageConfig, length: int) -> Turning:
    """base * (factor * length / max - (factor - 1)) ** (d / (d - 2)) once length > max."""
    limit, d = config.max_position_embeddings, config.head_dim
    if length <= limit:
        return _plain(config), 1.0
    factor = config.rope.number("factor")
    stretch = factor * length / limit - (factor - 1.0)
    return _plain(config, float(config.rope.theta * stretch ** (d / (d - 2)))), 1.0


def _llama3(config: LanguageConfig, length: int) -> Turning:
    """Pairs with few turns in the original length are slowed by `factor`, those with many not."""
    rope, plain = config.rope, _plain(config)
    low, high = rope.number("low_freq_factor"), rope.number("high_freq_factor")
    turns = rope.original * plain / (2 * math.pi)
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return plain * (kept + (1 - kept) / rope.number("factor")), 1.0


def _yarn(config: LanguageConfig, length: int) -> Turning:
    """As llama3, but the share goes linearly by the pair's index."""
    rope, d, plain = config.rope, config.head_dim, _plain(config)
    factor = rope.number("factor")

    def index(turns: float) -> float:
        """Where the pair would be that makes so many turns in the original length."""
        return d * math.log(rope.original / (turns * 2 * math.pi)) / (2 * math.log(rope.theta))

    first = max(math.floor(index(rope.number("beta_fast", 32))), 0)
    last = float(min(math.ceil(index(rope.number("beta_slow", 1))), d - 1))
    if first == last:
        last += 0.001
    slowed = ((torch.arange(d // 2, dtype=torch.float64) - first) / (last - first)).clamp(0, 1)

    def loudness(scale: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0

    some, every = rope.number("mscale", 0), rope.number("mscale_all_dim", 0)
    default = loudness(some) / loudness(every) if some and every else loudness(1.0)
    return plain * (1 - slowed + slowed / factor), rope.number("attention_factor", default)


def _longrope(config: LanguageConfig, length: int) -> Turning:
    """A divisor for each pair, from one list up to the original length and from another beyond."""
    rope = config.rope
    factor = rope.number("factor", config.max_position_embeddings / rope.original)
    default = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(rope.original))
    divisors = rope.settings["long_factor" if length > rope.original else "short_factor"]
    return _plain(config) / torch.tensor(divisors, dtype=torch.float64), rope.number("attention_factor", default)


_KINDS: dict[str, Callable[[LanguageConfig, int], Turning]] = {
    "default": lambda config, length: (_plain(config), 1.0),
    "linear": _linear,
    "dynamic": _dynamic,
    "llama3": _llama3,
    "yarn": _yarn,
    "longrope": _longrope,
    "su": _longrope,
}


def turning(config: LanguageConfig, length: int) -> Turning:
    """For a pass that reaches this length, cached and new positions together."""
    return _KINDS[config.rope.kind](config, length)
