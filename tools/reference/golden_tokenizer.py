"""Writes `tests/golden/tokenizer/`."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from corpus import trial_ids, trial_strings
from spm_models import RECIPES, VOCABULARY, train, write_tokenizer
from tokenizer import Tokenizer

STRINGS = 5000
SEQUENCES = 500


def write_gzip_json(path: Path, value: Any) -> None:
    """JSON, gzip-compressed, the same bytes on every run."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode("ascii"), compresslevel=9, mtime=0))


def _texts(tokenizer: Tokenizer, rows: list[list[int]], skip: bool) -> list[str]:
    return [tokenizer.decode(row, skip_special_tokens=skip) for row in rows]


def write(folder: Path) -> None:
    """One folder a model, the strings once, the expected values of each model."""
    folder.mkdir(parents=True, exist_ok=True)
    strings = trial_strings(STRINGS)
    sequences = trial_ids(SEQUENCES, VOCABULARY)
    write_gzip_json(folder / "strings.json.gz", {"strings": strings, "sequences": sequences})
    for recipe in RECIPES:
        write_tokenizer(folder / recipe.name, train(recipe))
        tokenizer = Tokenizer(folder / recipe.name)
        ids = [tokenizer.encode(text, add_bos=False) for text in strings]
        kept, skipped = _texts(tokenizer, ids, False), _texts(tokenizer, ids, True)
        expected = {
            "ids": ids,
            # null: the same as the string (kept), or the same as kept (skipped)
            "decoded": [None if out == text else out for out, text in zip(kept, strings)],
            "decodedSkippingSpecial": [None if a == b else a for a, b in zip(skipped, kept)],
            "sequencesDecoded": _texts(tokenizer, sequences, False),
            "sequencesDecodedSkippingSpecial": _texts(tokenizer, sequences, True),
        }
        write_gzip_json(folder / f"{recipe.name}.json.gz", expected)
