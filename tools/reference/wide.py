"""One layer at the full width of InternVL-Chat-V1-5: a random checkpoint and its expected values.

    python3 tools/reference/wide.py FOLDER [bfloat16 | float32]

Writes FOLDER/checkpoint (1.3 GB in bfloat16, twice that in float32), FOLDER/cases.json and
FOLDER/expected.safetensors.gz, laid out as the folders of `tests/golden/model`. Needs about 10 GB of memory.
"""

from __future__ import annotations

import sys
from pathlib import Path

from golden_model import Case, write_one
from pictures import draw_pictures
from random_checkpoints import Shape, dynamic
from spm_models import RECIPES, train

NEW_TOKENS = 16

CASES = (
    Case("text", "Name the colours of the flag."),
    Case("one image", "What can you see here?", ("large",)),
)


def wide_shape(dtype: str) -> Shape:
    """Every width of V1-5, one layer each, a small vocabulary."""
    return Shape(
        name="wide",
        seed=15,
        dtype=dtype,
        shards=3,
        tile_size=448,
        vision_image_size=448,
        vision_hidden=3200,
        vision_heads=25,
        vision_layers=1,
        vision_ff=12800,
        norm_type="rms_norm",
        qk_normalization=True,
        qkv_bias=False,
        ps_version="v2",
        hidden=6144,
        heads=48,
        kv_heads=8,
        layers=1,
        ff=16384,
        tied=False,
        rope_scaling=dynamic(3.0),
        max_dynamic_patch=1,
    )


def main(arguments: list[str]) -> None:
    """Folder and dtype from the command line."""
    if not 1 <= len(arguments) <= 2 or arguments[1:] not in ([], ["bfloat16"], ["float32"]):
        raise SystemExit("usage: wide.py FOLDER [bfloat16 | float32]")
    dtype = arguments[1] if len(arguments) == 2 else "bfloat16"
    write_one(Path(arguments[0]), wide_shape(dtype), CASES, NEW_TOKENS, draw_pictures(), train(RECIPES[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
