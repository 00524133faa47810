"""Writes what `transformers`' own tokenizer classes make of the strings of `tests/golden/tokenizer/`, for two
layouts that InternLM2 does not have: `vocab.json` with `merges.txt` (Qwen2), and SentencePiece with a space in
front of the whole text instead of each piece (Llama and Phi-3 with `legacy: false`).

python3 tools/reference/golden_transformers.py    # transformers 4.57.3: version 5 has no classes in Python
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from tokenizers import ByteLevelBPETokenizer
from transformers import LlamaTokenizer, PreTrainedTokenizer, Qwen2Tokenizer

from corpus import sentences
from golden_tokenizer import write_gzip_json
from spm_models import ADDED_SPECIALS, PIECE_SPECIALS, RECIPES, train

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "golden" / "tokenizer"
STRINGS = 2000


def _token(text: str, rstrip: bool = False) -> dict[str, Any]:
    return {"content": text, "lstrip": False, "normalized": False, "rstrip": rstrip, "single_word": False, "special": True}


def _write(folder: Path, config: dict[str, Any], kind: type[PreTrainedTokenizer]) -> None:
    """The configuration, then the expected ids and texts."""
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tokenizer = kind.from_pretrained(str(folder))
    strings = json.loads(gzip.decompress((FOLDER / "strings.json.gz").read_bytes()))["strings"][:STRINGS]
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in strings]
    expected = {
        "ids": ids,
        "decodedSkippingSpecial": [tokenizer.decode(row, skip_special_tokens=True) for row in ids],
    }
    write_gzip_json(folder.with_name(f"{folder.name}.json.gz"), expected)


def byte_level() -> None:
    """Qwen2's older layout."""
    folder = FOLDER / "byte_level"
    folder.mkdir(parents=True, exist_ok=True)
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(sentences(), vocab_size=800, min_frequency=2, show_progress=False)
    bpe.save_model(str(folder))
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<box>", "</box>"]
    size = bpe.get_vocab_size()
    config = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": {str(size + i): _token(text) for i, text in enumerate(special)},
        "additional_special_tokens": special[1:],
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 8192,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    _write(folder, config, Qwen2Tokenizer)


def prefix_once() -> None:
    """Phi-3's settings, with tokens that take the white space behind them."""
    folder = FOLDER / "prefix_once"
    folder.mkdir(parents=True, exist_ok=True)
    recipe = next(recipe for recipe in RECIPES if recipe.name == "prefix")
    (folder / "tokenizer.model").write_bytes(train(recipe))
    first = 785
    special = [*PIECE_SPECIALS, *ADDED_SPECIALS]
    config = {
        "add_bos_token": False,
        "add_eos_token": False,
        "added_tokens_decoder": {
            "0": _token("<unk>"),
            "1": _token("<s>"),
            "2": _token("</s>", rstrip=True),
            **{str(first + i): _token(text, rstrip=i < 6) for i, text in enumerate(special)},
        },
        "additional_special_tokens": list(ADDED_SPECIALS),
        "bos_token": "<s>",
        "clean_up_tokenization_spaces": False,
        "eos_token": "</s>",
        "legacy": False,
        "pad_token": "</s>",
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": "<unk>",
        "use_default_system_prompt": False,
    }
    _write(folder, config, LlamaTokenizer)


if __name__ == "__main__":
    byte_level()
    prefix_once()
