"""Small SentencePiece models in the layout of InternLM2's tokenizer folder.

A real one holds 92,544 pieces, the last six of which are `<|plugin|>` … `<|im_start|>`, and nine added
tokens `<img>` … `</box>` behind them. These hold 791 pieces and the same nine behind.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import sentencepiece

from corpus import sentences

PIECE_SPECIALS = (
    "<|plugin|>",
    "<|interpreter|>",
    "<|action_end|>",
    "<|action_start|>",
    "<|im_end|>",
    "<|im_start|>",
)
ADDED_SPECIALS = (
    "<img>",
    "</img>",
    "<IMG_CONTEXT>",
    "<quad>",
    "</quad>",
    "<ref>",
    "</ref>",
    "<box>",
    "</box>",
)
TRAINED = 785
VOCABULARY = TRAINED + len(PIECE_SPECIALS) + len(ADDED_SPECIALS)

# SentencePiece.Type in sentencepiece_model.proto
CONTROL, USER_DEFINED = 3, 4


@dataclass(frozen=True)
class Recipe:
    """One kind of model file."""

    name: str
    add_dummy_prefix: bool
    remove_extra_whitespaces: bool
    byte_fallback: bool
    special_type: int
    unused_names: bool
    """Name the last six pieces `[UNUSED_TOKEN_141]` … and let the added tokens rename them."""


RECIPES: tuple[Recipe, ...] = (
    Recipe("plain", False, False, True, USER_DEFINED, False),
    Recipe("prefix", True, False, True, USER_DEFINED, True),
    Recipe("llama", True, True, True, CONTROL, False),
    Recipe("no_bytes", False, True, False, USER_DEFINED, False),
)


def _length_delimited(number: int, payload: bytes) -> bytes:
    assert len(payload) < 128
    return bytes([number << 3 | 2, len(payload)]) + payload


def _piece(text: str, kind: int) -> bytes:
    """A `pieces` entry of ModelProto (field 1): piece (1), score (2, float 0), type (3)."""
    body = _length_delimited(1, text.encode()) + b"\x15\x00\x00\x00\x00" + bytes([3 << 3, kind])
    return _length_delimited(1, body)


def train(recipe: Recipe) -> bytes:
    """A serialized ModelProto. Protobuf merges by concatenation, so pieces are added by appending."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences()),
        model_writer=model,
        model_type="bpe",
        vocab_size=TRAINED,
        character_coverage=0.985,
        byte_fallback=recipe.byte_fallback,
        normalization_rule_name="identity",
        add_dummy_prefix=recipe.add_dummy_prefix,
        remove_extra_whitespaces=recipe.remove_extra_whitespaces,
        allow_whitespace_only_pieces=not recipe.remove_extra_whitespaces,
        split_digits=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    names = [f"[UNUSED_TOKEN_{141 + i}]" for i in range(6)] if recipe.unused_names else PIECE_SPECIALS
    return model.getvalue() + b"".join(_piece(name, recipe.special_type) for name in names)


def _added_token(text: str) -> dict[str, object]:
    return {
        "content": text,
        "lstrip": False,
        "normalized": False,
        "rstrip": False,
        "single_word": False,
        "special": True,
    }


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tokenizer(folder: Path, model: bytes) -> None:
    """`tokenizer.model` and the three JSON files beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(model)
    behind = {text: TRAINED + len(PIECE_SPECIALS) + i for i, text in enumerate(ADDED_SPECIALS)}
    in_file = {text: TRAINED + i for i, text in enumerate(PIECE_SPECIALS)}
    specials = list(reversed(PIECE_SPECIALS)) + list(ADDED_SPECIALS)
    _json(folder / "added_tokens.json", dict(sorted(behind.items())))
    everything = {"<unk>": 0, "<s>": 1, "</s>": 2, **in_file, **behind}
    _json(
        folder / "tokenizer_config.json",
        {
            "added_tokens_decoder": {str(index): _added_token(text) for text, index in everything.items()},
            "additional_special_tokens": specials,
            "auto_map": {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]},
            "bos_token": "<s>",
            "clean_up_tokenization_spaces": False,
            "eos_token": "</s>",
            "model_max_length": 8192,
            "pad_token": "</s>",
            "tokenizer_class": "InternLM2Tokenizer",
            "unk_token": "<unk>",
        },
    )
    _json(
        folder / "special_tokens_map.json",
        {
            "additional_special_tokens": specials,
            "bos_token": "<s>",
            "eos_token": "</s>",
            "pad_token": "</s>",
            "unk_token": "<unk>",
        },
    )
