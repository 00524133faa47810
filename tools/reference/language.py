"""The language models in float64, with the key-value cache kept as the reference keeps it: rotated keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from config import LanguageConfig
from rope import turning
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


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE on [batch, heads, length, d]: pairs (i, i + d/2)."""
    d = x.shape[-1]
    first, second = x[..., : d // 2], x[..., d // 2 :]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def _linear(x: Tensor, weights: Weights, names: list[str], bias: bool) -> Tensor:
    """What some linear layers make of one input, one behind the other."""
    parts = [x @ weights[f"{name}.weight"].T for name in names]
    if bias:
        parts = [part + weights[f"{name}.bias"] for part, name in zip(parts, names)]
    return torch.cat(parts, dim=-1)


def _split(fused: Tensor, config: LanguageConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values, [batch, heads, length, d] each."""
    heads, kv, d = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    groups = heads // kv
    fused = fused.unflatten(-1, (-1, d))
    if config.family.grouped:
        fused = fused.unflatten(2, (kv, groups + 2))
        q, k, v = fused[:, :, :, :groups].flatten(2, 3), fused[:, :, :, groups], fused[:, :, :, groups + 1]
    else:
        q, k, v = fused.split([heads, kv, kv], dim=2)
    return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)


def embed(ids: Tensor, weights: Weights, config: LanguageConfig) -> Tensor:
    """Token ids [batch, length] to embeddings [batch, length, D]."""
    return weights[f"language_model.{config.family.embedding}.weight"][ids]


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
    past = cache.length
    total = past + embeddings.shape[1]
    family, eps = config.family, config.rms_norm_eps
    groups = config.num_attention_heads // config.num_key_value_heads
    frequencies, loudness = turning(config, total)
    angles = positions.to(torch.float64)[:, None, :, None] * frequencies
    cos, sin = torch.cos(angles) * loudness, torch.sin(angles) * loudness
    causal = torch.arange(total)[None, :] <= torch.arange(past, total)[:, None]
    allowed = causal[None] & mask.bool()[:, None, :]
    # A padded query sees nothing; let it see itself so that softmax stays finite (its result is unused).
    allowed = allowed | torch.eye(total, dtype=torch.bool)[past:][None]
    bias = torch.where(allowed, 0.0, float("-inf")).to(torch.float64)[:, None]

    x = embeddings
    for layer in range(config.num_hidden_layers):
        prefix = f"language_model.model.layers.{layer}"
        qkv, gate_up = ([f"{prefix}.{name}" for name in names] for names in (family.qkv, family.gate_up))
        h = rms_norm(x, weights[f"{prefix}.{family.norms[0]}.weight"], eps)
        q, k, v = _split(_linear(h, weights, qkv, config.attention_bias or family.qkv_bias), config)
        if family.head_norms:
            q, k = (
                rms_norm(part, weights[f"{prefix}.{name}.weight"], eps)
                for part, name in zip((q, k), family.head_norms)
            )
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        if past == 0:
            cache.keys.append(k)
            cache.values.append(v)
        else:
            k = cache.keys[layer] = torch.cat([cache.keys[layer], k], dim=2)
            v = cache.values[layer] = torch.cat([cache.values[layer], v], dim=2)
        shared_k, shared_v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        scores = q @ shared_k.transpose(-1, -2) / config.head_dim**0.5 + bias
        mixed = (torch.softmax(scores, dim=-1) @ shared_v).transpose(1, 2).flatten(2)
        x = x + _linear(mixed, weights, [f"{prefix}.{family.out}"], config.attention_bias)
        h = rms_norm(x, weights[f"{prefix}.{family.norms[1]}.weight"], eps)
        gate, up = _linear(h, weights, gate_up, False).chunk(2, dim=-1)
        x = x + _linear(F.silu(gate) * up, weights, [f"{prefix}.{family.down}"], False)
    x = rms_norm(x, weights["language_model.model.norm.weight"], eps)
    head = family.embedding if config.tie_word_embeddings else family.head
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
        x = embed(step, weights, config)
        mask = torch.cat([mask, torch.ones(batch, 1, dtype=mask.dtype)], dim=1)
        positions = mask.sum(-1, keepdim=True) - 1
    assert first is not None
    return [Greedy(ids[row], first[row], margins[row]) for row in range(batch)]
