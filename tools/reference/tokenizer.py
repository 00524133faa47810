"""InternLM2's slow tokenizer: added tokens are cut out first, SentencePiece does the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import sentencepiece

# What Hugging Face's `clean_up_tokenization` replaces, in this order. InternLM2's own tokenizer file
# applies it to every decoded text whatever `clean_up_tokenization_spaces` says.
_CLEAN_UP = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


def clean_up(text: str) -> str:
    """Removes the spaces in front of English punctuation and contractions."""
    for old, new in _CLEAN_UP:
        text = text.replace(old, new)
    return text


class Tokenizer:
    """Reads `tokenizer.model` and the added tokens of `tokenizer_config.json` from a folder."""

    def __init__(self, folder: Path) -> None:
        self.sp = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        added: dict[str, int] = {
            entry["content"]: int(index) for index, entry in config["added_tokens_decoder"].items()
        }
        self.added = added
        self.content = {index: text for text, index in added.items()}
        special = {config["bos_token"], config["eos_token"], config["unk_token"], config["pad_token"]}
        special.update(config["additional_special_tokens"])
        self.special_ids = frozenset(added[text] for text in special)
        self.bos = added[config["bos_token"]]
        self.pad = added[config["pad_token"]]
        longest_first = sorted(added, key=len, reverse=True)
        self._cut = re.compile("(" + "|".join(re.escape(text) for text in longest_first) + ")")

    def id_of(self, token: str) -> int:
        """Id of an added token or a piece."""
        found = self.added.get(token)
        return self.sp.piece_to_id(token) if found is None else found

    def encode(self, text: str, add_bos: bool = True) -> list[int]:
        """Ids of a text. Added tokens in it are recognised wherever they stand."""
        ids = [self.bos] if add_bos else []
        for part in self._cut.split(text):
            if part in self.added:
                ids.append(self.added[part])
            elif part:
                ids.extend(self.sp.piece_to_id(piece) for piece in self.sp.encode(part, out_type=str))
        return ids

    def decode(self, ids: Sequence[int], skip_special_tokens: bool) -> str:
        """Text of ids. Runs between special tokens go through SentencePiece each by itself; when
        special tokens are skipped, they are dropped first, so what they parted is one run."""
        text, run = "", []
        for index in ids:
            if index not in self.content:
                run.append(index)
            elif skip_special_tokens and index in self.special_ids:
                continue
            else:
                text += self._decode_run(run) + self.content[index]
                run = []
        return text + self._decode_run(run)

    def _decode_run(self, ids: list[int]) -> str:
        return self.sp.decode(ids) if ids else ""
