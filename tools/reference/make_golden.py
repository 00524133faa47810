"""Regenerates `tests/golden/{tokenizer,prompt,model}`.

python3 tools/reference/make_golden.py            # all three
python3 tools/reference/make_golden.py model      # one of them
"""

from __future__ import annotations

import sys
from pathlib import Path

import golden_model
import golden_prompt
import golden_tokenizer

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"
PARTS = ("tokenizer", "prompt", "model")


def main(arguments: list[str]) -> None:
    """Writes the parts named, or all."""
    for unknown in set(arguments) - set(PARTS):
        raise SystemExit(f"unknown part {unknown!r}; there are {', '.join(PARTS)}")
    for part in arguments or PARTS:
        if part == "tokenizer":
            golden_tokenizer.write(GOLDEN / part)
        elif part == "prompt":
            golden_prompt.write(GOLDEN / part, GOLDEN / "tokenizer")
        else:
            golden_model.write(GOLDEN / part)
        size = sum(file.stat().st_size for file in (GOLDEN / part).rglob("*") if file.is_file())
        print(f"{part}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
