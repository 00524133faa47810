"""Writes `tests/golden/prompt/`: rendered prompts, their ids, and what the reference refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prompt import IMG_CONTEXT, TEMPLATES, Refused, Turn, render_batch, render_chat, video_prefix
from tokenizer import Tokenizer

_CUSTOM = "Answer briefly. 简短回答。 {system_message} % {0}"


def _chat(
    name: str,
    question: str,
    *,
    history: Sequence[Turn] | None = None,
    tiles: int | None = None,
    patches: Sequence[int] | None = None,
    template: str = "internlm2-chat",
    system: str | None = None,
    tokens_per_tile: int = 4,
) -> dict[str, Any]:
    return {
        "name": name,
        "template": template,
        "systemMessage": system,
        "tokensPerTile": tokens_per_tile,
        "question": question,
        "history": None if history is None else [list(turn) for turn in history],
        "tiles": tiles,
        "numPatchesList": None if patches is None else list(patches),
    }


def _cases() -> list[dict[str, Any]]:
    seen = [("<image>\nWhat is this?", "A cat. 一只猫。")]
    talked: list[Turn] = [("Hello", "Hi, how can I help?"), ("谢谢", "不客气。")]
    cases = [
        # rule 1
        _chat("text only", "Who are you?"),
        _chat("text only, Chinese", "你是谁？"),
        _chat("one image, placeholder put in front", "Describe it.", tiles=3),
        _chat("one image, 256 tokens a tile", "Describe it.", tiles=2, tokens_per_tile=256),
        _chat("placeholder in front already", "<image>\nDescribe it.", tiles=1),
        _chat("placeholder without newline", "<image>Describe it.", tiles=1),
        _chat("placeholder in the middle", "Look at <image> and describe it.", tiles=2),
        _chat("placeholder at the end", "Describe <image>", tiles=2),
        _chat("empty history still counts as history", "Describe <image>.", history=[], tiles=1),
        _chat("history given, no placeholder put in front", "And now?", history=seen, tiles=2),
        # rule 2
        _chat("two images combined in one placeholder", "<image>\nCompare.", tiles=5),
        _chat("two images apart", "Image-1: <image>\nImage-2: <image>\nCompare.", tiles=5, patches=[2, 3]),
        _chat("three images apart, adjacent", "<image><image><image>", tiles=6, patches=[1, 2, 3]),
        _chat("zero tiles in the list", "<image> <image>", tiles=2, patches=[0, 2]),
        _chat("empty list with text", "Hello", patches=[]),
        _chat("list does not add up", "<image>\nCompare.", tiles=5, patches=[2, 2]),
        # rule 3
        _chat("text history", "And you?", history=talked),
        _chat("image history, image again in this round", "<image>\nAnd this?", history=seen, tiles=3, patches=[2, 1]),
        _chat("two rounds after an image", "Why?", history=[*seen, ("Sure?", "Yes.")], tiles=2, patches=[2]),
        _chat("history with special tokens in it", "Go on", history=[("a<|im_end|>b", "</s><s> <img>")]),
        _chat("spaces and newlines kept", "  a\n\n b\t\u3000 ", history=[("\n x ", " y\r\n")]),
        # rule 4
        _chat(
            "placeholder in an earlier answer is replaced first",
            "<image> here",
            history=[("q", "say <image>")],
            tiles=3,
            patches=[1, 2],
        ),
        _chat(
            "placeholder in the system message is replaced first",
            "<image>\nQ",
            tiles=3,
            patches=[1, 2],
            system="See <image>.",
        ),
        _chat("surplus placeholder stays as text", "<image>\n<image>\nQ", tiles=2, patches=[2]),
        _chat("surplus count does nothing", "<image>\nQ", tiles=3, patches=[2, 1]),
        _chat("history with a placeholder, text only now", "And now?", history=seen),
        _chat("placeholder typed without an image", "What does <image> mean?"),
        _chat("literal context token", f"What is {IMG_CONTEXT}?", tiles=1),
        _chat("literal context token without an image", f"What is {IMG_CONTEXT}?"),
        _chat("dollar signs are no replacement patterns", "<image>\n$& $1 $$ $` \\1 %s {0}", tiles=1),
        # messages
        _chat("empty question", ""),
        _chat("empty question with an image", "", tiles=1),
        _chat("empty answer in the history is its role only", "Again", history=[("q", "")]),
        # system message
        _chat("system message from the config", "Hello", system=_CUSTOM),
        _chat("empty system message", "Hello", system=""),
        # video
        _chat("video of four frames", video_prefix(4) + "What happens?", tiles=4, patches=[1, 1, 1, 1]),
        _chat(
            "second round on a video",
            "And then?",
            history=[(video_prefix(2) + "What happens?", "It moves.")],
            tiles=2,
            patches=[1, 1],
        ),
    ]
    for template in ("internvl2_5", "Hermes-2", "phi3-chat"):
        cases.append(
            _chat(f"{template}: image and history", "And?", history=seen, tiles=1, template=template, system=_CUSTOM)
        )
        cases.append(_chat(f"{template}: text", "Hello", template=template))
    return cases


def _batch(
    name: str,
    questions: Sequence[str],
    patches: Sequence[int],
    *,
    pixels: bool,
    system: str | None = None,
    tokens_per_tile: int = 4,
) -> dict[str, Any]:
    return {
        "name": name,
        "template": "internlm2-chat",
        "systemMessage": system,
        "tokensPerTile": tokens_per_tile,
        "questions": list(questions),
        "tiles": sum(patches) if pixels else None,
        "numPatchesList": list(patches),
    }


def _batches() -> list[dict[str, Any]]:
    return [
        _batch("three images", ["Describe it.", "<image>\nHow many?", "看图说话 <image>"], [1, 3, 2], pixels=True),
        _batch("a sample without tiles", ["Describe it.", "Hello"], [2, 0], pixels=True),
        _batch("one replacement a question", ["<image> and <image>", "x"], [1, 1], pixels=True),
        _batch("text only", ["Hello", "你好", "A longer question, is it not?"], [0, 0, 0], pixels=False),
        _batch("text only with a placeholder", ["<image> ?"], [0], pixels=False),
        _batch("custom system message", ["a", "b c"], [1, 1], pixels=True, system=_CUSTOM, tokens_per_tile=16),
    ]


def _system(case: dict[str, Any]) -> str:
    given = case["systemMessage"]
    return TEMPLATES[case["template"]].default_system if given is None else str(given)


def _flags(case: dict[str, Any], text: str, patches: Sequence[int]) -> dict[str, Any]:
    """What a strict implementation may refuse although the reference renders it."""
    wanted = sum(patches) * case["tokensPerTile"]
    return {
        "surplusPlaceholders": text.count("<image>"),
        "contextTokens": text.count(IMG_CONTEXT),
        "contextTokensExpected": wanted,
        "fails": case["tiles"] is not None and text.count(IMG_CONTEXT) != wanted,
    }


def write(folder: Path, tokenizers: Path) -> None:
    """`chat.json` and `batch.json`; ids by the tokenizers `plain` and `prefix`."""
    folder.mkdir(parents=True, exist_ok=True)
    by_name = {name: Tokenizer(tokenizers / name) for name in ("plain", "prefix")}
    chats = []
    for case in _cases():
        template = TEMPLATES[case["template"]]
        try:
            rendered = render_chat(
                template,
                _system(case),
                case["question"],
                case["history"],
                case["tiles"],
                case["numPatchesList"],
                case["tokensPerTile"],
            )
        except Refused as refused:
            chats.append({**case, "refused": str(refused)})
            continue
        ids = {name: tokenizer.encode(rendered.text) for name, tokenizer in by_name.items()}
        chats.append(
            {
                **case,
                "text": rendered.text,
                "storedQuestion": rendered.question,
                **_flags(case, rendered.text, rendered.num_patches_list),
                "ids": ids if case["template"] == "internlm2-chat" else None,
            }
        )
    batches = []
    for case in _batches():
        rows = render_batch(
            TEMPLATES[case["template"]],
            _system(case),
            case["questions"],
            case["tiles"],
            case["numPatchesList"],
            case["tokensPerTile"],
        )
        samples = [
            {
                "text": row.text,
                "storedQuestion": row.question,
                **_flags(case, row.text, row.num_patches_list),
                "ids": {name: tokenizer.encode(row.text) for name, tokenizer in by_name.items()},
            }
            for row in rows
        ]
        batches.append({**case, "samples": samples})
    _dump(folder / "chat.json", chats)
    _dump(folder / "batch.json", batches)


def _dump(path: Path, cases: list[dict[str, Any]]) -> None:
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
