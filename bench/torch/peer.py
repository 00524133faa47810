"""PyTorch on the same cores, for bench/torch: reads one command a line, writes one answer a line, as JSON.

Arguments: the checkpoint's folder, threads. Commands:

- {"vision": "float32" | "bfloat16"}: milliseconds of one tile in the vision tower, written as one would
  for speed: fused attention, linear layers with their bias
- {"chat": tiles, "text": n, "tokens": m}: milliseconds of the reference of tools/reference in float32:
  tiles, projector, a prompt of the tiles' tokens and n others, m tokens of an answer
"""

import json
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

# The reference computes in the type that it calls float64.
torch.float64 = torch.float32
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "reference"))

import language  # noqa: E402
import vision  # noqa: E402
from config import read_config  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

folder = Path(sys.argv[1])
torch.set_num_threads(int(sys.argv[2]))
config = read_config(folder)
stored = load_file(str(folder / "model.safetensors"))
converted = {}


def weights(dtype):
    """All weights in a type; one type at a time is kept."""
    if dtype not in converted:
        converted.clear()
        converted[dtype] = {name: tensor.to(dtype) for name, tensor in stored.items()}
    return converted[dtype]


def encode(x, w):
    """The vision tower."""
    tower = config.vision
    width, heads = tower.hidden_size, tower.num_attention_heads
    for layer in range(tower.num_hidden_layers):
        p = f"vision_model.encoder.layers.{layer}"

        def linear(y, name):
            return F.linear(y, w[f"{p}.{name}.weight"], w[f"{p}.{name}.bias"])

        def norm(y, name):
            return F.layer_norm(y, (width,), w[f"{p}.{name}.weight"], w[f"{p}.{name}.bias"], tower.layer_norm_eps)

        qkv = linear(norm(x, "norm1"), "attn.qkv")
        q, k, v = qkv.unflatten(-1, (3, heads, width // heads)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + w[f"{p}.ls1"] * linear(mixed, "attn.proj")
        x = x + w[f"{p}.ls2"] * linear(F.gelu(linear(norm(x, "norm2"), "mlp.fc1")), "mlp.fc2")
    return x


def one_tile(dtype):
    w = weights(dtype)
    edge = config.tile_size
    pixels = torch.linspace(-1, 1, 3 * edge * edge).reshape(1, 3, edge, edge).to(dtype)
    start = time.perf_counter()
    encode(vision.embed_patches(pixels, w, config.vision), w)
    return (time.perf_counter() - start) * 1000


def chat(tiles, text, tokens):
    w = weights(torch.float32)
    edge = config.tile_size
    pixels = torch.linspace(-1, 1, tiles * 3 * edge * edge).reshape(tiles, 3, edge, edge)
    start = time.perf_counter()
    visual = vision.project(vision.encode(pixels, w, config), w, config).flatten(0, 1)
    words = language.embed(torch.arange(3, 3 + text), w, config.language)
    prompt = torch.cat([visual, words])[None]
    mask = torch.ones(prompt.shape[:2], dtype=torch.int64)
    language.generate(prompt, mask, tokens, -1, w, config.language)
    return (time.perf_counter() - start) * 1000


def answer(command):
    if "vision" in command:
        return one_tile(getattr(torch, command["vision"]))
    return chat(command["chat"], command["text"], command["tokens"])


print(json.dumps({"ready": f"torch {torch.__version__}"}), flush=True)
with torch.inference_mode():
    for line in sys.stdin:
        try:
            print(json.dumps({"ms": answer(json.loads(line))}), flush=True)
        except Exception as error:  # reported to the other side
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
