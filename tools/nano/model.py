"""A trainable InternVL-Chat in PyTorch whose parameter names are the checkpoint's tensor names.

Source of the architecture: InternVL's modeling_intern_vit.py, modeling_internvl_chat.py and
modeling_internlm2.py (InternViT with LayerNorm and qkv bias, as the 300M kind; pixel shuffle v2;
mlp1; InternLM2 with grouped-query attention). Float32, batched, no dropout.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONFIG = {
    "vision": dict(hidden=192, layers=4, heads=6, ff=768, image=112, patch=14, eps=1e-6),
    "llm": dict(hidden=256, layers=4, heads=8, kv=2, ff=512, eps=1e-5, theta=1e6, max_pos=4096),
}


def sized(layers: int) -> dict:
    """CONFIG with so many layers in the vision tower."""
    return {**CONFIG, "vision": {**CONFIG["vision"], "layers": layers}}


def tower_layers(names: Iterable[str]) -> int:
    """Layers of the vision tower that tensors of these names make up."""
    return 1 + max(int(name.split(".")[3]) for name in names if name.startswith("vision_model.encoder.layers."))


class VisionAttention(nn.Module):
    def __init__(self, d: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(d, 3 * d)
        self.proj = nn.Linear(d, d)

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d))


class VisionMLP(nn.Module):
    def __init__(self, d: int, ff: int):
        super().__init__()
        self.fc1 = nn.Linear(d, ff)
        self.fc2 = nn.Linear(ff, d)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class VisionLayer(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        d = c["hidden"]
        self.ls1 = nn.Parameter(torch.ones(d))
        self.ls2 = nn.Parameter(torch.ones(d))
        self.norm1 = nn.LayerNorm(d, eps=c["eps"])
        self.norm2 = nn.LayerNorm(d, eps=c["eps"])
        self.attn = VisionAttention(d, c["heads"])
        self.mlp = VisionMLP(d, c["ff"])

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x)) * self.ls1
        return x + self.mlp(self.norm2(x)) * self.ls2


class VisionEmbeddings(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        n = (c["image"] // c["patch"]) ** 2
        self.class_embedding = nn.Parameter(torch.randn(1, 1, c["hidden"]) * 0.02)
        self.position_embedding = nn.Parameter(torch.randn(1, n + 1, c["hidden"]) * 0.02)
        self.patch_embedding = nn.Conv2d(3, c["hidden"], c["patch"], c["patch"])

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.patch_embedding(pixels).flatten(2).transpose(1, 2)
        return torch.cat([self.class_embedding.expand(len(x), -1, -1), x], 1) + self.position_embedding


class VisionEncoder(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.layers = nn.ModuleList(VisionLayer(c) for _ in range(c["layers"]))


class VisionModel(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.embeddings = VisionEmbeddings(c)
        self.encoder = VisionEncoder(c)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.embeddings(pixels)
        for layer in self.encoder.layers:
            x = layer(x)
        return x


class RMSNorm(nn.Module):
    def __init__(self, d: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], self.weight, self.eps)


class Attention(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        d, self.heads, self.kv = c["hidden"], c["heads"], c["kv"]
        self.dim = d // self.heads
        self.wqkv = nn.Linear(d, (self.heads + 2 * self.kv) * self.dim, bias=False)
        self.wo = nn.Linear(d, d, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        b, n, d = x.shape
        g = self.heads // self.kv
        # Rows of wqkv, per KV head: g query heads, one key, one value.
        qkv = self.wqkv(x).view(b, n, self.kv, g + 2, self.dim)
        q = rotate(qkv[..., :g, :].reshape(b, n, self.heads, self.dim).transpose(1, 2), cos, sin)
        k = rotate(qkv[..., g, :].transpose(1, 2), cos, sin)
        v = qkv[..., g + 1, :].transpose(1, 2)
        k, v = k.repeat_interleave(g, 1), v.repeat_interleave(g, 1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.wo(y.transpose(1, 2).reshape(b, n, d))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Half-rotation RoPE; cos and sin are [b, 1, n, dim]."""
    h = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., h:], x[..., :h]], -1) * sin


class FeedForward(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.w1 = nn.Linear(c["hidden"], c["ff"], bias=False)
        self.w3 = nn.Linear(c["hidden"], c["ff"], bias=False)
        self.w2 = nn.Linear(c["ff"], c["hidden"], bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Layer(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.attention_norm = RMSNorm(c["hidden"], c["eps"])
        self.attention = Attention(c)
        self.ffn_norm = RMSNorm(c["hidden"], c["eps"])
        self.feed_forward = FeedForward(c)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cos, sin, mask)
        return x + self.feed_forward(self.ffn_norm(x))


class LanguageBody(nn.Module):
    def __init__(self, c: dict, vocab: int):
        super().__init__()
        self.tok_embeddings = nn.Embedding(vocab, c["hidden"])
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["layers"]))
        self.norm = RMSNorm(c["hidden"], c["eps"])


class LanguageModel(nn.Module):
    def __init__(self, c: dict, vocab: int):
        super().__init__()
        self.c = c
        self.model = LanguageBody(c, vocab)
        self.output = nn.Linear(c["hidden"], vocab, bias=False)

    def forward(self, x: Tensor, positions: Tensor, mask: Tensor, watch: int = 1) -> tuple[Tensor, Tensor]:
        """Hidden states after the final norm, and those after layer `watch`.

        x [b, n, d], positions [b, n], mask [b, 1, n, n] (true: may look).
        """
        dim = self.c["hidden"] // self.c["heads"]
        inv = 1.0 / self.c["theta"] ** (torch.arange(0, dim, 2, device=x.device).float() / dim)
        angle = positions[:, None, :, None].float() * inv
        angle = torch.cat([angle, angle], -1)
        cos, sin = angle.cos(), angle.sin()
        watched = x
        for i, layer in enumerate(self.model.layers):
            x = layer(x, cos, sin, mask)
            if i == watch:
                watched = x
        return self.model.norm(x), watched


class InternVLChat(nn.Module):
    def __init__(self, vocab: int, config: dict = CONFIG):
        super().__init__()
        v, c = config["vision"], config["llm"]
        self.config = config
        self.grid = v["image"] // v["patch"] // 2
        self.vision_model = VisionModel(v)
        self.mlp1 = nn.Sequential(
            nn.LayerNorm(4 * v["hidden"]), nn.Linear(4 * v["hidden"], c["hidden"]), nn.GELU(), nn.Linear(c["hidden"], c["hidden"])
        )
        self.language_model = LanguageModel(c, vocab)
        for name, p in self.named_parameters():
            if p.dim() >= 2 and "embeddings" not in name and "embedding" not in name:
                nn.init.normal_(p, std=0.02 if "output" in name else (p.shape[1:].numel()) ** -0.5 * 0.7)
            elif name.endswith("bias"):
                nn.init.zeros_(p)
        nn.init.normal_(self.language_model.model.tok_embeddings.weight, std=0.5)
        nn.init.normal_(self.vision_model.embeddings.patch_embedding.weight, std=0.03)

    def tower(self, pixels: Tensor) -> Tensor:
        """Patches [tiles, (s / patch)², v] of normalised pixels [tiles, 3, s, s], in reading order."""
        return self.vision_model(pixels)[:, 1:]

    def project(self, x: Tensor) -> Tensor:
        """Visual tokens [tiles, grid², d] of patches; pixel shuffle v2 keeps the reading order."""
        n, g, d = len(x), self.grid, x.shape[-1]
        x = x.view(n, g, 2, g, 2, d).permute(0, 1, 3, 2, 4, 5).reshape(n, g * g, 4 * d)
        return self.mlp1(x)

    def see(self, pixels: Tensor) -> Tensor:
        """Visual tokens [tiles, grid², d] of normalised pixels [tiles, 3, s, s]."""
        return self.project(self.tower(pixels))

    def embed(self, ids: Tensor, context: int, visual: Tensor | None) -> Tensor:
        """Token embeddings with the visual tokens at every IMG_CONTEXT id, in order."""
        x = self.language_model.model.tok_embeddings(ids)
        if visual is not None:
            x = x.masked_scatter((ids == context)[..., None], visual.reshape(-1, visual.shape[-1]))
        return x


def write_config(folder: str, vocab: int, system: str, config: dict = CONFIG, max_tiles: int = 6) -> None:
    """config.json and generation_config.json in the Hugging Face layout."""
    v, c = config["vision"], config["llm"]
    value = {
        "architectures": ["InternVLChatModel"],
        "model_type": "internvl_chat",
        "template": "internlm2-chat",
        "system_message": system,
        "downsample_ratio": 0.5,
        "dynamic_image_size": True,
        "force_image_size": v["image"],
        "use_thumbnail": True,
        "min_dynamic_patch": 1,
        "max_dynamic_patch": max_tiles,
        "pad2square": False,
        "ps_version": "v2",
        "select_layer": -1,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "use_backbone_lora": 0,
        "use_llm_lora": 0,
        "llm_config": {
            "architectures": ["InternLM2ForCausalLM"],
            "model_type": "internlm2",
            "attn_implementation": "eager",
            "bias": False,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 2,
            "hidden_act": "silu",
            "hidden_size": c["hidden"],
            "initializer_range": 0.02,
            "intermediate_size": c["ff"],
            "max_position_embeddings": c["max_pos"],
            "num_attention_heads": c["heads"],
            "num_hidden_layers": c["layers"],
            "num_key_value_heads": c["kv"],
            "rms_norm_eps": c["eps"],
            "rope_scaling": {"factor": 2.0, "type": "dynamic"},
            "rope_theta": 1000000,
            "tie_word_embeddings": False,
            "torch_dtype": "float16",
            "use_cache": True,
            "vocab_size": vocab,
        },
        "vision_config": {
            "architectures": ["InternVisionModel"],
            "model_type": "intern_vit_6b",
            "attention_dropout": 0.0,
            "drop_path_rate": 0.0,
            "dropout": 0.0,
            "hidden_act": "gelu",
            "hidden_size": v["hidden"],
            "image_size": v["image"],
            "initializer_factor": 1.0,
            "initializer_range": 0.02,
            "intermediate_size": v["ff"],
            "layer_norm_eps": v["eps"],
            "norm_type": "layer_norm",
            "num_attention_heads": v["heads"],
            "num_channels": 3,
            "num_hidden_layers": v["layers"],
            "patch_size": v["patch"],
            "qk_normalization": False,
            "qkv_bias": True,
            "torch_dtype": "float16",
            "use_flash_attn": False,
        },
    }
    for name, content in (
        ("config.json", value),
        ("generation_config.json", {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}),
    ):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            json.dump(content, f, indent=2, ensure_ascii=False)
            f.write("\n")
