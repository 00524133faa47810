"""Writes `tests/golden/sentencepiece/`: small BPE models with the features that the InternLM2-like ones
of `tests/golden/tokenizer/` do not have, and what SentencePiece itself makes of strings and ids.

    python tools/tokenizer/golden.py

Needs the packages of tools/reference/requirements.txt.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sentencepiece

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "reference"))
from corpus import sentences, trial_strings  # noqa: E402

FOLDER = ROOT / "tests" / "golden" / "sentencepiece"
STRINGS = 700
SEQUENCES = 200
NORMAL, UNUSED = 1, 5

# Source characters, a tab, what they become: a slice of NFKC and case folding, a rule of three
# characters, one that deletes and one that makes a space.
RULES = (
    [(chr(0xFF01 + i), chr(0x21 + i)) for i in range(94)]
    + [(chr(c), chr(c + 32)) for c in range(ord("A"), ord("Z") + 1)]
    + [
        ("ﬁ", "fi"),
        ("½", "1⁄2"),
        ("①", "1"),
        ("e\u0301", "é"),
        ("a\u0301b", "áβ"),
        ("\u200b", ""),
        ("\u3000", " "),
        ("\xa0", " "),
        ("\t", " "),
        ("\n", " "),
        ("…", "..."),
        ("㍿", "株式会社"),
        ("😀", ":)"),
    ]
)

Piece = tuple[str, float, int]


def write_rules(path: Path) -> None:
    """The rules as SentencePiece reads them: code points in hexadecimal."""

    def points(text: str) -> str:
        return " ".join(f"{ord(c):X}" for c in text)

    path.write_text("".join(f"{points(a)}\t{points(b)}\n" for a, b in RULES))


def train(**options: Any) -> bytes:
    """A serialized ModelProto."""
    model = io.BytesIO()
    settings: dict[str, Any] = {
        "model_type": "bpe",
        "vocab_size": 620,
        "character_coverage": 0.98,
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "num_threads": 1,
        "minloglevel": 2,
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences()), model_writer=model, **{**settings, **options}
    )
    return model.getvalue()


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def fields(message: bytes) -> list[tuple[int, bytes, bytes]]:
    """The fields of a message: number, value, and the field as it stands."""
    out, at = [], 0

    def read() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        start = at
        key = read()
        wire = key & 7
        if wire == 0:
            value = varint(read())
        else:
            length = read() if wire == 2 else 4 if wire == 5 else 8
            value = message[at : at + length]
            at += length
        out.append((key >> 3, value, message[start:at]))
    return out


def edit(model: bytes, change: Callable[[Piece], Piece], normalizer: bytes = b"") -> bytes:
    """Changes every piece; `normalizer` is appended to the NormalizerSpec, so that it overrides."""
    out = b""
    for number, value, whole in fields(model):
        if number == 1:
            text, score, kind = "", 0.0, NORMAL
            for inner, content, _ in fields(value):
                if inner == 1:
                    text = content.decode()
                elif inner == 2:
                    score = struct.unpack("<f", content)[0]
                elif inner == 3:
                    kind = content[0]
            text, score, kind = change((text, score, kind))
            raw = text.encode()
            body = b"\x0a" + varint(len(raw)) + raw + b"\x15" + struct.pack("<f", score) + b"\x18" + varint(kind)
            out += b"\x0a" + varint(len(body)) + body
        elif number == 3:
            out += b"\x1a" + varint(len(value) + len(normalizer)) + value + normalizer
        else:
            out += whole
    return out


def models(rules: str) -> dict[str, bytes]:
    """The models by name; `rules` is the file of rewriting rules."""
    rng = random.Random(5)
    plain = train(allow_whitespace_only_pieces=True)
    no_bytes = train(byte_fallback=False, remove_extra_whitespaces=True, vocab_size=700)

    def tie(piece: Piece) -> Piece:
        return piece[0], float(int(piece[1]) // 40), piece[2]

    def shuffle(piece: Piece) -> Piece:
        return piece[0], rng.uniform(-9, 9), piece[2]

    def unuse(piece: Piece) -> Piece:
        return piece if piece[2] != NORMAL or rng.random() > 0.25 else (piece[0], piece[1], UNUSED)

    def unescape(piece: Piece) -> Piece:
        return piece if piece[0] == "▁" else (piece[0].replace("▁", " "), piece[1], piece[2])

    symbols = ["<sep>", "▁▁", "ab", "abc", "the ", "a  b", "😀", "0"]
    return {
        "rules": train(normalization_rule_tsv=rules, user_defined_symbols=symbols[:6]),
        "rules_squeezed": train(
            normalization_rule_tsv=rules,
            remove_extra_whitespaces=True,
            byte_fallback=False,
            vocab_size=700,
            user_defined_symbols=symbols,
        ),
        "user_defined": train(user_defined_symbols=symbols),
        "suffix": train(treat_whitespace_as_suffix=True, remove_extra_whitespaces=True),
        "across_words": train(
            split_by_whitespace=False, split_by_unicode_script=False, max_sentencepiece_length=24
        ),
        "tied": edit(plain, tie),
        "shuffled": edit(plain, shuffle),
        "unused_tied": edit(edit(plain, tie), unuse),
        "unused_no_bytes": edit(no_bytes, unuse),
        "unescaped": edit(plain, unescape, normalizer=b"\x28\x00"),
    }


def strings() -> list[str]:
    """Trial strings, and some that meet the rules and symbols above."""
    rng = random.Random(11)
    parts = [a for a, _ in RULES] + ["<sep>", "▁▁", "▁", " ", "  ", "ab", "abc", "the ", "a  b", "😀", "0", "a", "aa", "b"]
    mixed = ["".join(rng.choice(parts) for _ in range(rng.randint(1, 24))) for _ in range(STRINGS // 2)]
    return trial_strings(STRINGS) + mixed


def write_gzip(path: Path, data: bytes) -> None:
    path.write_bytes(gzip.compress(data, compresslevel=9, mtime=0))


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    texts = strings()
    write_gzip(FOLDER / "strings.json.gz", json.dumps(texts).encode())
    with tempfile.TemporaryDirectory() as scratch:
        rules = Path(scratch) / "rules.tsv"
        write_rules(rules)
        made = models(str(rules))
    for name, model in made.items():
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        rng = random.Random(13)
        size = processor.get_piece_size()
        sequences = [
            # The first 260 ids are bytes in most of the models: broken UTF-8 in plenty.
            [rng.randrange(size if rng.random() < 0.5 else min(size, 260)) for _ in range(rng.randint(0, 20))]
            for _ in range(SEQUENCES)
        ]
        ids = [processor.encode(text) for text in texts]
        expected = {
            "ids": ids,
            "decoded": [processor.decode(row) for row in ids],
            "sequences": sequences,
            "sequencesDecoded": [processor.decode(row) for row in sequences],
        }
        (FOLDER / f"{name}.model").write_bytes(model)
        write_gzip(FOLDER / f"{name}.json.gz", json.dumps(expected, separators=(",", ":")).encode())


if __name__ == "__main__":
    main()
