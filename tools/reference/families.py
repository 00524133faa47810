"""The language models of the series: how each names its tensors, and what is in them.

Names go behind `language_model.`, and those of a layer behind `language_model.model.layers.N.`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Family:
    """One class of language models; the numbers of all are those of `language.forward`."""

    embedding: str
    head: str
    norms: tuple[str, str]
    """In front of the attention, and in front of the feed-forward part."""
    qkv: tuple[str, ...]
    """Tensors that hold, put together, all queries, all keys and all values."""
    out: str
    gate_up: tuple[str, ...]
    """Tensors that hold, put together, the gate and what it is multiplied with."""
    down: str
    grouped: bool = False
    """The rows of `qkv` are, for each key head, its queries, itself and its values instead."""
    head_norms: tuple[str, ...] = ()
    """RMS norms of each query head and of each key head, in front of RoPE."""
    qkv_bias: bool = False
    """Queries, keys and values have a bias whatever `attention_bias` says."""


_INTERNLM2 = Family(
    embedding="model.tok_embeddings",
    head="output",
    norms=("attention_norm", "ffn_norm"),
    qkv=("attention.wqkv",),
    out="attention.wo",
    gate_up=("feed_forward.w1", "feed_forward.w3"),
    down="feed_forward.w2",
    grouped=True,
)
_LLAMA = Family(
    embedding="model.embed_tokens",
    head="lm_head",
    norms=("input_layernorm", "post_attention_layernorm"),
    qkv=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    out="self_attn.o_proj",
    gate_up=("mlp.gate_proj", "mlp.up_proj"),
    down="mlp.down_proj",
)

FAMILIES: dict[str, Family] = {
    "InternLM2ForCausalLM": _INTERNLM2,
    "LlamaForCausalLM": _LLAMA,
    "Qwen2ForCausalLM": replace(_LLAMA, qkv_bias=True),
    "Qwen3ForCausalLM": replace(_LLAMA, head_norms=("self_attn.q_norm", "self_attn.k_norm")),
    "Phi3ForCausalLM": replace(_LLAMA, qkv=("self_attn.qkv_proj",), gate_up=("mlp.gate_up_proj",)),
}
"""By the first of `architectures` in `llm_config`."""
