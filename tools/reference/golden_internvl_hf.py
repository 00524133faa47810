"""Writes `tests/golden/model/hf-*`: random checkpoints in the layout of `transformers`' own InternVL classes (the
"-HF" repacks), what those classes compute with them in float64, and what their processor makes of conversations.

python3 tools/reference/golden_internvl_hf.py    # transformers 4.57.3 and torchvision, in an environment of its own
"""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save
from transformers import (
    GotOcr2ImageProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
    Qwen2TokenizerFast,
)

from golden_model import LEAST_MARGIN, NEW_TOKENS
from pictures import write_pictures
from pixels import MEAN, STD, Bytes, cut_tiles, normalise

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
TILE, PATCH, MOST_TILES, VOCABULARY = 56, 14, 6, 832
MEDIA = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
SPECIAL = ["<|im_start|>", "<|im_end|>", *MEDIA.values(), "<video>", "<quad>", "</quad>", "<ref>", "</ref>", "<box>"]
TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}"
    "{% elif part['type'] == 'video' %}{{ '<video>\n' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{'<|im_end|>\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{'<|im_start|>assistant\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Case:
    """One question."""

    name: str
    question: str
    images: tuple[str, ...] = ()
    video: bool = False
    follows: str | None = None


@dataclass(frozen=True)
class Shape:
    """A checkpoint."""

    name: str
    seed: int
    dtype: torch.dtype
    vision: Mapping[str, Any]
    text: Mapping[str, Any]
    cases: tuple[Case, ...]
    jinja_file: bool = True
    """Where the chat template is: a file of its own, or `tokenizer_config.json`."""
    shard_size: str = "5GB"
    top: Mapping[str, Any] = field(default_factory=dict)


_VISION = {
    "hidden_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "patch_size": [PATCH, PATCH],
}
_TEXT = {
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 96,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 4096,
    "rope_theta": 1000000.0,
    "use_sliding_window": False,
}
FRAMES = ("frame0", "frame1", "frame2")
SHAPES = (
    Shape(
        "hf-qwen2-bf16",
        21,
        torch.bfloat16,
        {**_VISION, "image_size": [TILE, TILE], "norm_type": "layer_norm", "attention_bias": True},
        {**_TEXT, "model_type": "qwen2", "tie_word_embeddings": True},
        (
            Case("text", "Name the colours of the flag."),
            Case("one image", "Describe the picture.", ("wide",)),
            Case("second round", "What else? 还有什么？", ("wide",), follows="one image"),
            Case("two images", "Compare them.", ("square", "tall")),
        ),
    ),
    # The position table is larger than a tile, and the epsilon of a layer's norms is not that of q and k.
    Shape(
        "hf-qwen3-f16",
        22,
        torch.float16,
        {
            **_VISION,
            "image_size": [2 * TILE, 2 * TILE],
            "norm_type": "rms_norm",
            "use_qk_norm": True,
            "layer_norm_eps": 1e-3,
        },
        {**_TEXT, "model_type": "qwen3", "head_dim": 32, "tie_word_embeddings": False},
        (
            Case("text", "用中文介绍这条街道。"),
            Case("one image", "What can you see here?", ("tall",)),
            Case("video", "What happens in the video?", FRAMES, video=True),
            Case("video, second round", "And then?", FRAMES, video=True, follows="video"),
        ),
        jinja_file=False,
        shard_size="250KB",
    ),
)


def _tokenizer() -> Qwen2TokenizerFast:
    trained = GOLDEN / "tokenizer" / "byte_level"
    return Qwen2TokenizerFast(
        str(trained / "vocab.json"),
        str(trained / "merges.txt"),
        unk_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=SPECIAL,
        extra_special_tokens={**MEDIA, "video_token": "<video>"},
    )


def _processor(tokenizer: Qwen2TokenizerFast) -> InternVLProcessor:
    pictures = {
        "size": {"height": TILE, "width": TILE},
        "image_mean": [round(float(x), 3) for x in MEAN],
        "image_std": [round(float(x), 3) for x in STD],
    }
    return InternVLProcessor(
        # False, as published: the processor cuts all the same.
        GotOcr2ImageProcessor(**pictures, crop_to_patches=False, max_patches=MOST_TILES),
        tokenizer,
        InternVLVideoProcessor(**pictures),
        image_seq_length=(TILE // PATCH // 2) ** 2,
        chat_template=TEMPLATE,
    )


def _model(shape: Shape, tokenizer: Qwen2TokenizerFast) -> InternVLForConditionalGeneration:
    config = InternVLConfig(
        vision_config=dict(shape.vision),
        text_config=dict(shape.text),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=(TILE // PATCH // 2) ** 2,
        attn_implementation="eager",
        **shape.top,
    )
    model = InternVLForConditionalGeneration(config).eval()
    draw = np.random.default_rng(shape.seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            mean, scale = _spread(name, weight)
            values = draw.standard_normal(tuple(weight.shape), dtype=np.float32) * np.float32(scale) + np.float32(mean)
            weight.copy_(torch.from_numpy(values))
    model.tie_weights()
    return model.to(shape.dtype)


def _spread(name: str, weight: torch.Tensor) -> tuple[float, float]:
    """Mean and deviation: attention is neither flat nor a single spike, and logits differ clearly."""
    if "lambda_" in name:
        return 0.6, 0.2
    if "norm" in name and name.endswith(".weight"):
        return 1.0, 0.2
    if name.endswith(".bias"):
        return 0.0, 0.5 if "self_attn" in name else 0.1
    if name.endswith(("cls_token", "position_embeddings")):
        return 0.0, 0.8
    if name.endswith("embed_tokens.weight"):
        return 0.0, weight.shape[1] ** -0.25
    gain = 3.0 if name == "lm_head.weight" else 1.4
    return 0.0, gain * float(np.prod(weight.shape[1:])) ** -0.5


def _save(folder: Path, shape: Shape, model: InternVLForConditionalGeneration, processor: InternVLProcessor) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    model.save_pretrained(folder, max_shard_size=shape.shard_size)
    processor.save_pretrained(folder)
    # tokenizer.json says all of it.
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)
    for name in ("vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json", "generation_config.json"):
        (folder / name).unlink(missing_ok=True)
    if not shape.jinja_file:
        (folder / "chat_template.jinja").unlink()
        path = folder / "tokenizer_config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        config["chat_template"] = TEMPLATE
        path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


class _Chat:
    """A model with its processor, in float64."""

    def __init__(self, model: InternVLForConditionalGeneration, processor: InternVLProcessor) -> None:
        self.model, self.processor = model, processor
        self.end = processor.tokenizer.convert_tokens_to_ids("<|im_end|>")

    def prompt(
        self, messages: list[dict[str, Any]], images: Sequence[Image.Image], video: Sequence[Image.Image]
    ) -> tuple[str, list[int]]:
        """The text with its pictures' tokens, and the ids."""
        tokenizer = self.processor.tokenizer
        text = self.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        media: dict[str, Any] = {}
        if images:
            media["images"] = list(images)
        if video:
            media["videos"] = [np.stack([np.asarray(frame.convert("RGB")) for frame in video])]
        ids = self.processor(text=[text], **media)["input_ids"][0]
        whole = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        if tokenizer(whole)["input_ids"] != list(ids) or (not media and whole != text):
            raise ValueError(f"{text!r} does not come back from its ids")
        return whole, list(ids)

    @torch.no_grad()
    def see(self, pixels: np.ndarray[Any, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [n, 1 + g², Dv] and visual tokens [n, T, Dl]."""
        inputs = torch.from_numpy(pixels).double()
        features = self.model.model.vision_tower(pixel_values=inputs).last_hidden_state
        return features, self.model.get_image_features(pixel_values=inputs)

    @torch.no_grad()
    def greedy(self, ids: list[int], pixels: np.ndarray[Any, Any] | None) -> tuple[list[int], torch.Tensor, float]:
        """Ids up to the end token, the first logits, the least margin."""
        inputs: dict[str, Any] = {"input_ids": torch.tensor([ids]), "use_cache": True}
        if pixels is not None:
            inputs["pixel_values"] = torch.from_numpy(pixels).double()
        out: list[int] = []
        first: torch.Tensor | None = None
        margin = float("inf")
        while len(out) < NEW_TOKENS and (not out or out[-1] != self.end):
            result = self.model(**inputs)
            logits = result.logits[0, -1]
            first = logits if first is None else first
            best = torch.topk(logits, 2)
            margin = min(margin, float(best.values[0] - best.values[1]))
            out.append(int(best.indices[0]))
            inputs = {
                "input_ids": torch.tensor([[out[-1]]]),
                "past_key_values": result.past_key_values,
                "use_cache": True,
            }
        assert first is not None
        return out, first, margin


def _tiles(processor: InternVLProcessor, images: Sequence[Image.Image], video: bool) -> tuple[Bytes, list[int]]:
    """Tiles of the pictures, whose count and pixels must be the processor's, one level of rounding aside."""
    cut = [cut_tiles(image, 1, 1 if video else MOST_TILES, TILE, True)[0] for image in images]
    tiles, counts = np.concatenate(cut), [len(part) for part in cut]
    if not video:
        own = processor.image_processor(images=list(images), crop_to_patches=True, return_tensors="np")
        if list(own["num_patches"]) != counts:
            raise ValueError(f"the processor cuts {own['num_patches']} tiles, not {counts}")
        print("  pixels differ by", float(np.abs(own["pixel_values"] - normalise(tiles)).max()))
    return tiles, counts


def _single(tensor: torch.Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.ascontiguousarray(tensor.to(torch.float32).numpy())


def _write_cases(place: Path, shape: Shape, chat: _Chat, drawn: Mapping[str, Image.Image]) -> None:
    tensors: dict[str, Any] = {}
    answers: list[dict[str, Any]] = []
    earlier: dict[str, tuple[list[dict[str, Any]], list[list[str]]]] = {}
    for case in shape.cases:
        images = [drawn[name] for name in case.images]
        pixels, counts, key = None, [], None
        if images:
            key = "+".join(case.images) + ("@video" if case.video else "")
            tiles, counts = _tiles(chat.processor, images, case.video)
            pixels = normalise(tiles)
            features, tokens = chat.see(pixels)
            tensors[f"tiles/{key}"] = tiles
            tensors[f"features/{key}"] = _single(features)
            tensors[f"visual/{key}"] = _single(tokens)
        messages, history = earlier.get(case.follows or "", ([], []))
        new = [] if case.follows else [{"type": "video"}] if case.video else [{"type": "image"} for _ in images]
        messages = [*messages, {"role": "user", "content": [*new, {"type": "text", "text": case.question}]}]
        text, ids = chat.prompt(messages, [] if case.video else images, images if case.video else [])
        made, first, margin = chat.greedy(ids, pixels)
        if margin < LEAST_MARGIN:
            raise ValueError(f"{shape.name}: {case.name}: margin {margin:.2e}; take another seed or question")
        said = chat.processor.tokenizer.decode(made, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        response = said.strip()
        places = (
            "".join(f"Frame{i + 1}: <image>\n" for i in range(len(images)))
            if case.video
            else "<image>\n" * len(images)
        )
        stored = ("" if case.follows else places) + case.question
        asked = stored if case.video or len(images) > 1 else case.question
        history = [*history, [stored, response]]
        earlier[case.name] = (
            [*messages, {"role": "assistant", "content": [{"type": "text", "text": response}]}],
            history,
        )
        tensors[f"first_logits/{case.name}"] = _single(first)
        answers.append(
            {
                "name": case.name,
                "question": asked,
                "images": list(case.images),
                "video": case.video,
                "pictureSet": key,
                "tilesPerImage": counts,
                "history": history[:-1] or None,
                "numPatchesList": counts if case.video or len(images) > 1 else None,
                "text": text,
                "inputIds": ids,
                "greedyIds": made,
                "leastMargin": round(margin, 6),
                "storedQuestion": stored,
                "response": response,
                "historyAfter": history,
            }
        )
    (place / "expected.safetensors.gz").write_bytes(gzip.compress(save(tensors), compresslevel=9, mtime=0))
    lines = ",\n".join(json.dumps(answer, ensure_ascii=False) for answer in answers)
    (place / "cases.json").write_text(
        f'{{"maxNewTokens": {NEW_TOKENS},\n"cases": [\n{lines}\n],\n"batch": null}}\n', encoding="utf-8"
    )


CONVERSATIONS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("user", "Hello"),),
    (("user", " two  spaces \n"), ("assistant", "yes."), ("user", "<b>{{ 1 }}</b> &amp;")),
    (("system", "Be brief. 简短。"), ("user", "Hello")),
    (("system", ""), ("user", "Hello"), ("assistant", ""), ("user", "Once more?")),
    (("user", "*What is it?"), ("assistant", "A square."), ("user", "Sure?")),
    (("system", "Be brief."), ("user", "**Which one is larger?"), ("assistant", "The first."), ("user", "*And this?")),
)
"""A star is a picture in front of the text."""


def _write_prompts(place: Path, chat: _Chat, drawn: Mapping[str, Image.Image]) -> None:
    names = ("square", "wide", "tall")
    prompts = []
    for conversation in CONVERSATIONS:
        messages = []
        images: list[Image.Image] = []
        for role, text in conversation:
            words = text.lstrip("*")
            count = len(text) - len(words)
            images += [drawn[names[len(images) + i]] for i in range(count)]
            parts = [*({"type": "image"} for _ in range(count)), {"type": "text", "text": words}]
            messages.append({"role": role, "content": parts})
        whole, ids = chat.prompt(messages, images, [])
        tiles = _tiles(chat.processor, images, False)[1] if images else []
        prompts.append({"conversation": conversation, "tiles": tiles, "text": whole, "ids": ids})
    lines = ",\n".join(json.dumps(prompt, ensure_ascii=False) for prompt in prompts)
    (place / "prompts.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def main() -> None:
    """All of them."""
    drawn = write_pictures(GOLDEN / "model" / "images")
    for shape in SHAPES:
        print(shape.name)
        place = GOLDEN / "model" / shape.name
        tokenizer = _tokenizer()
        processor = _processor(tokenizer)
        model = _model(shape, tokenizer)
        _save(place / "checkpoint", shape, model, processor)
        # Read again as anybody would: a conversion in memory would round the frequencies of the rotary angles, too.
        loaded = InternVLForConditionalGeneration.from_pretrained(
            place / "checkpoint", dtype=torch.float64, attn_implementation="eager"
        )
        chat = _Chat(loaded.eval(), processor)
        _write_cases(place, shape, chat, drawn)
        _write_prompts(place, chat, drawn)


if __name__ == "__main__":
    main()
