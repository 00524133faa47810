"""InternLM2 in float64, with the key-value cache kept as the reference keeps it: rotated keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from config import LanguageConfig
from vision import rms_norm

Tensor = torch.Tensor
Weights = Mapping[str, Tensor]


@dataclass
class Cache:
    """Rotated keys and values of every layer, [batch, kv heads, length, head_dim] each."""

    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Positions held, padding included."""
        return self.keys[0].shape[2] if self.keys else 0


def rope_base(config: LanguageConfig, length: int) -> float:
    """RoPE's base for a sequence of this length (cached and new positions together).

    Dynamic NTK: base * (factor * length / max - (factor - 1)) ** (d / (d - 2)) once length > max.
    """
    limit = config.max_position_embeddings
    if config.rope_factor is None or length <= limit:
        return config.rope_theta
    d = config.head_dim
    stretch = config.rope_factor * length / limit - (config.rope_factor - 1.0)
    return float(config.rope_theta * stretch ** (d / (d - 2)))


def _rotate(x: Tensor, positions: Tensor, base: float) -> Tensor:
    """RoPE on [batch, heads, length, d] with [batch, length] positions: pairs (i, i + d/2)."""
    d = x.shape[-1]
    exponents = torch.arange(0, d, 2, dtype=torch.float64) / d
    angles = positions.to(torch.float64)[:, None, :, None] * base**-exponents
    first, second = x[..., : d // 2], x[..., d // 2 :]
    cos, sin = torch.cos(angles), torch.sin(angles)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def embed(ids: Tensor, weights: Weights) -> Tensor:
    """Token ids [batch, length] to embeddings [batch, length, D]."""
    return weights["language_model.model.tok_embeddings.weight"][ids]


def forward(
    embeddings: Tensor,
    positions: Tensor,
    mask: Tensor,
    cache: Cache,
    weights: Weights,
    config: LanguageConfig,
) -> Tensor:
    """Logits [batch, new, vocabulary] of `new` further positions; extends the cache.

    `positions` is [batch, new]; `mask` is [batch, cached + new] with 0 at padding.
    """
    batch, new, _ = embeddings.shape
    past = cache.length
    total = past + new
    heads, kv, d = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    groups = heads // kv
    base = rope_base(config, total)
    causal = torch.arange(total)[None, :] <= torch.arange(past, total)[:, None]
    allowed = causal[None] & mask.bool()[:, None, :]
    # A padded query sees nothing; let it see itself so that softmax stays finite (its result is unused).
    allowed = allowed | torch.eye(total, dtype=torch.bool)[past:][None]
    bias = torch.where(allowed, 0.0, float("-inf")).to(torch.float64)[:, None]

    x = embeddings
    for layer in range(config.num_hidden_layers):
        prefix = f"language_model.model.layers.{layer}"
        h = rms_norm(x, weights[f"{prefix}.attention_norm.weight"], config.rms_norm_eps)
        fused = h @ weights[f"{prefix}.attention.wqkv.weight"].T
        fused = fused.reshape(batch, new, kv, groups + 2, d)
        q = fused[:, :, :, :groups].reshape(batch, new, heads, d).transpose(1, 2)
        k = fused[:, :, :, groups].transpose(1, 2)
        v = fused[:, :, :, groups + 1].transpose(1, 2)
        q, k = _rotate(q, positions, base), _rotate(k, positions, base)
        if past == 0:
            cache.keys.append(k)
            cache.values.append(v)
        else:
            k = cache.keys[layer] = torch.cat([cache.keys[layer], k], dim=2)
            v = cache.values[layer] = torch.cat([cache.values[layer], v], dim=2)
        shared_k, shared_v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        scores = q @ shared_k.transpose(-1, -2) / d**0.5 + bias
        mixed = (torch.softmax(scores, dim=-1) @ shared_v).transpose(1, 2).reshape(batch, new, heads * d)
        x = x + mixed @ weights[f"{prefix}.attention.wo.weight"].T
        h = rms_norm(x, weights[f"{prefix}.ffn_norm.weight"], config.rms_norm_eps)
        gate = F.silu(h @ weights[f"{prefix}.feed_forward.w1.weight"].T)
        up = h @ weights[f"{prefix}.feed_forward.w3.weight"].T
        x = x + (gate * up) @ weights[f"{prefix}.feed_forward.w2.weight"].T
    x = rms_norm(x, weights["language_model.model.norm.weight"], config.rms_norm_eps)
    head = "model.tok_embeddings" if config.tie_word_embeddings else "output"
    return x @ weights[f"language_model.{head}.weight"].T


@dataclass(frozen=True)
class Greedy:
    """What greedy decoding gave for one sequence of a batch."""

    ids: list[int]
    """Generated ids, the end token included."""
    first_logits: Tensor
    """[vocabulary]: the logits from which the first id was chosen."""
    margins: list[float]
    """Best logit minus second best, for each id."""


def generate(
    embeddings: Tensor,
    mask: Tensor,
    max_new_tokens: int,
    eos: int,
    weights: Weights,
    config: LanguageConfig,
) -> list[Greedy]:
    """Greedy decoding of a left-padded batch from its embeddings [batch, length, D] and mask."""
    batch = embeddings.shape[0]
    cache = Cache()
    positions = (mask.cumsum(-1) - 1).masked_fill(mask == 0, 1)
    ids: list[list[int]] = [[] for _ in range(batch)]
    margins: list[list[float]] = [[] for _ in range(batch)]
    done = [False] * batch
    first: Tensor | None = None
    x = embeddings
    for _ in range(max_new_tokens):
        logits = forward(x, positions, mask, cache, weights, config)[:, -1]
        if first is None:
            first = logits
        top = logits.topk(2, dim=-1)
        for row in range(batch):
            if not done[row]:
                choice = int(top.indices[row, 0])
                ids[row].append(choice)
                margins[row].append(float(top.values[row, 0] - top.values[row, 1]))
                done[row] = choice == eos
        if all(done):
            break
        # What a finished row is fed no longer matters to the others.
        step = torch.tensor([[row_ids[-1]] for row_ids in ids])
        x = embed(step, weights)
        mask = torch.cat([mask, torch.ones(batch, 1, dtype=mask.dtype)], dim=1)
        positions = mask.sum(-1, keepdim=True) - 1
    assert first is not None
    return [Greedy(ids[row], first[row], margins[row]) for row in range(batch)]
