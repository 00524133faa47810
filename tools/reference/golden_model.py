"""Writes `tests/golden/model/`: random checkpoints and what the reference computes with them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save

from chat import Answer, Model, Seen
from pictures import write_pictures
from pixels import Bytes, cut_tiles, normalise
from prompt import Turn, video_prefix
from random_checkpoints import SHAPES, Shape, write_checkpoint
from spm_models import RECIPES, train

NEW_TOKENS = 64
LEAST_MARGIN = 2e-3
"""Least distance between the best and the second logit, a hundred times what float32 gets wrong."""


@dataclass(frozen=True)
class Case:
    """One round of a conversation."""

    name: str
    question: str
    images: tuple[str, ...] = ()
    apart: bool = False
    """One count a picture in num_patches_list, instead of the default."""
    video: bool = False
    """The pictures are frames: one tile each, and the question gets the frame prefix."""
    follows: str | None = None
    """Name of the case whose history this one goes on with, on the same pictures."""


_LONG = "Describe every part of the picture, from the left to the right, and then from the top to the bottom. "

CASES: dict[str, tuple[Case, ...]] = {
    "layer-norm-f32": (
        Case("text", "Name the colours of the flag."),
        Case("one image", "Describe the picture.", ("wide",)),
        Case("combined", "<image>\nWhat do both pictures show?", ("large", "square")),
        Case("apart", "Image-1: <image>\nImage-2: <image>\nCompare them.", ("large", "square"), apart=True),
        Case("ends early", "Count to 3."),
    ),
    "rms-norm-bf16": (
        Case("text", "用中文介绍这条街道。"),
        Case("one image", "What can you see here?", ("wide",)),
        Case("second round", "What else? 还有什么？", ("wide",), follows="one image"),
        Case("tall image", "窗户有几个？", ("tall",)),
    ),
    "v1-tied-f16": (
        Case("one image", "How many?", ("tall",)),
        Case("video", "What happens in the video?", ("frame0", "frame1", "frame2", "frame3"), video=True),
        Case("video, second round", "And then?", ("frame0", "frame1", "frame2", "frame3"), video=True, follows="video"),
    ),
    "interpolated-bf16": (
        Case("one image", "Describe <image> in one word.", ("tall",)),
        Case("apart", "<image>\n<image>\n<image>\nWhich is the odd one out?", ("wide", "square", "tall"), apart=True),
        Case("text", "def count(image: int) -> str:"),
    ),
    "long-f16": (
        Case("crosses the limit while decoding", "Describe it.", ("wide",)),
        Case("starts beyond the limit", _LONG * 2, ("large",)),
        Case("just below the limit", "Hello"),
    ),
    "qk-norm-f32": (
        Case("text", "Hello"),
        Case("text, second round", "Why is that?", follows="text"),
        Case("one image", "Look at <image>\nWhat is it?", ("square",)),
    ),
    "llama-gqa-f32": (
        Case("text", "Name the colours of the flag."),
        Case("one image", "Describe the picture.", ("wide",)),
        Case("second round", "What else? 还有什么？", ("wide",), follows="one image"),
    ),
    "qwen2-tied-bf16": (
        Case("text", "用中文介绍这条街道。"),
        Case("one image", "What can you see here?", ("square",)),
        Case("apart", "Image-1: <image>\nImage-2: <image>\nCompare them.", ("square", "tall"), apart=True),
    ),
    "qwen3-f16": (
        Case("text", "Hello"),
        Case("one image", "Describe <image> in one word.", ("tall",)),
        Case("video", "What happens in the video?", ("frame0", "frame1", "frame2", "frame3"), video=True),
    ),
    "phi3-long-bf16": (
        Case("just below the limit", "Hello"),
        Case("crosses the limit while decoding", "Describe it.", ("wide",)),
        Case("fills the limit exactly", _LONG * 2 + "Be brief."),
        Case("starts beyond the limit", _LONG * 2, ("large",)),
    ),
    "qwen2-yarn-f32": (
        Case("text", "def count(image: int) -> str:"),
        Case("one image", "Look at <image>\nWhat is it?", ("large",)),
        Case("text, second round", "Why is that?", follows="text"),
    ),
}

BATCHES: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "layer-norm-f32": (
        ("Describe the picture.", ("wide",)),
        ("<image>\nIs there a table in this small picture?", ("square",)),
        ("颜色？", ("tall",)),
    ),
    "rms-norm-bf16": (
        ("What can be seen in the picture?", ("wide",)),
        ("窗户有几个？", ("tall",)),
        ("Count.", ("square",)),
    ),
    "qwen2-tied-bf16": (
        ("Describe the picture.", ("square",)),
        ("窗户有几个？", ("tall",)),
    ),
}


class _Pictures:
    """Tiles and visual tokens of sets of pictures, each computed once."""

    def __init__(self, model: Model, pictures: dict[str, Image.Image]) -> None:
        self._model, self._pictures = model, pictures
        self._sets: dict[str, tuple[Bytes, list[int], Seen]] = {}

    def get(self, names: Sequence[str], video: bool) -> tuple[str, list[int], Seen]:
        """Key, tiles a picture, and what the model saw."""
        key = "+".join(names) + ("@video" if video else "")
        if key not in self._sets:
            config = self._model.config
            cut = [
                cut_tiles(
                    self._pictures[name],
                    1 if video else config.min_dynamic_patch,
                    1 if video else config.max_dynamic_patch,
                    config.tile_size,
                    config.use_thumbnail,
                )[0]
                for name in names
            ]
            tiles = np.concatenate(cut)
            self._sets[key] = tiles, [len(part) for part in cut], self._model.see(normalise(tiles))
        _, counts, seen = self._sets[key]
        return key, counts, seen

    def tensors(self) -> dict[str, Any]:
        """What the tests compare: tiles as bytes, features and visual tokens as float32."""
        out: dict[str, Any] = {}
        for key, (tiles, _, seen) in self._sets.items():
            out[f"tiles/{key}"] = tiles
            out[f"features/{key}"] = _single(seen.features)
            out[f"visual/{key}"] = _single(seen.tokens)
        return out


def _single(tensor: torch.Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.ascontiguousarray(tensor.to(torch.float32).numpy())


def _answer_json(where: str, answer: Answer) -> dict[str, Any]:
    margin = min(answer.greedy.margins)
    if margin < LEAST_MARGIN:
        raise ValueError(f"{where}: margin {margin:.2e} is under {LEAST_MARGIN}; take another seed or question")
    return {
        "text": answer.rendered.text,
        "inputIds": answer.input_ids,
        "greedyIds": answer.greedy.ids,
        "leastMargin": round(margin, 6),
        "storedQuestion": answer.rendered.question,
        "response": answer.response,
        "responseCleaned": answer.response_cleaned,
    }


def _run_cases(
    model: Model, name: str, cases: Sequence[Case], limit: int, pictures: _Pictures, tensors: dict[str, Any]
) -> list[dict[str, Any]]:
    histories: dict[str, list[Turn]] = {}
    out = []
    for case in cases:
        key, counts, seen = pictures.get(case.images, case.video) if case.images else (None, [], None)
        question = case.question
        if case.video and case.follows is None:
            question = video_prefix(len(case.images)) + question
        patches = counts if case.apart or case.video else None
        history = None if case.follows is None else histories[case.follows]
        answer = model.chat(seen, question, history, patches, limit)
        histories[case.name] = [*(history or []), (answer.rendered.question, answer.response)]
        tensors[f"first_logits/{case.name}"] = _single(answer.greedy.first_logits)
        out.append(
            {
                "name": case.name,
                "question": question,
                "images": list(case.images),
                "video": case.video,
                "pictureSet": key,
                "tilesPerImage": counts,
                "history": history,
                "numPatchesList": patches,
                **_answer_json(f"{name}: {case.name}", answer),
                "historyAfter": histories[case.name],
            }
        )
    return out


def _run_batch(model: Model, name: str, pictures: _Pictures) -> dict[str, Any] | None:
    samples = BATCHES.get(name)
    if samples is None:
        return None
    parts = [pictures.get(images, False) for _, images in samples]
    seen = Seen(
        np.concatenate([part[2].pixels for part in parts]),
        torch.cat([part[2].features for part in parts]),
        torch.cat([part[2].tokens for part in parts]),
    )
    counts = [sum(part[1]) for part in parts]
    answers = model.batch_chat(seen, [question for question, _ in samples], counts, NEW_TOKENS)
    for (question, _), part, answer in zip(samples, parts, answers):
        alone = model.chat(part[2], question, None, None, NEW_TOKENS)
        if alone.greedy.ids != answer.greedy.ids:
            raise ValueError(f"{name}: batch_chat and chat differ on {question!r}")
    return {
        "numPatchesList": counts,
        "samples": [
            {
                "question": question,
                "images": list(images),
                "pictureSet": part[0],
                **_answer_json(f"{name}: batch {question!r}", answer),
            }
            for (question, images), part, answer in zip(samples, parts, answers)
        ],
    }


def write_one(
    place: Path,
    shape: Shape,
    cases: Sequence[Case],
    limit: int,
    drawn: dict[str, Image.Image],
    tokenizer: bytes,
) -> None:
    """`checkpoint/`, `cases.json` and `expected.safetensors.gz` of one checkpoint."""
    write_checkpoint(place / "checkpoint", shape, tokenizer)
    model = Model(place / "checkpoint")
    pictures = _Pictures(model, drawn)
    tensors: dict[str, Any] = {}
    answers = _run_cases(model, shape.name, cases, limit, pictures, tensors)
    batch = _run_batch(model, shape.name, pictures)
    tensors.update(pictures.tensors())
    packed = gzip.compress(save(tensors), compresslevel=9, mtime=0)
    (place / "expected.safetensors.gz").write_bytes(packed)
    lines = ",\n".join(json.dumps(answer, ensure_ascii=False) for answer in answers)
    rest = json.dumps(batch, ensure_ascii=False)
    text = f'{{"maxNewTokens": {limit},\n"cases": [\n{lines}\n],\n"batch": {rest}}}\n'
    (place / "cases.json").write_text(text, encoding="utf-8")


def write(folder: Path) -> None:
    """`images/` and a folder for each checkpoint."""
    drawn = write_pictures(folder / "images")
    tokenizer = train(RECIPES[0])
    for shape in SHAPES:
        write_one(folder / shape.name, shape, CASES[shape.name], NEW_TOKENS, drawn, tokenizer)
