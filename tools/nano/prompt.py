"""The tokenizer (SentencePiece BPE with byte fallback) and the `internlm2-chat` rendering."""

from __future__ import annotations

import io
import json
import os
import re

import sentencepiece as spm

SYSTEM = "You are InternVL nano."
# The order and place of InternLM2: six at the end of the SentencePiece model, nine added after it.
CHAT_TOKENS = ["<|plugin|>", "<|interpreter|>", "<|action_end|>", "<|action_start|>", "<|im_end|>", "<|im_start|>"]
ADDED_TOKENS = ["<img>", "</img>", "<IMG_CONTEXT>", "<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>"]
IM_END, IM_START = CHAT_TOKENS[4], CHAT_TOKENS[5]


def train_tokenizer(lines: list[str], path: str, pieces: int) -> None:
    """Writes a tokenizer.model of `pieces` pieces in all, InternLM2's chat tokens last."""
    out = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=out,
        model_type="bpe",
        vocab_size=pieces - len(CHAT_TOKENS),
        byte_fallback=True,
        character_coverage=1.0,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        split_digits=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    data = out.getvalue()
    # ModelProto is a protobuf message; `pieces` is its repeated field 1, so pieces may be appended to the bytes:
    # SentencePiece { string piece = 1; float score = 2; Type type = 3 } with Type USER_DEFINED = 4.
    for token in CHAT_TOKENS:
        raw = token.encode()
        body = bytes([0x0A, len(raw)]) + raw + bytes([0x15, 0, 0, 0, 0]) + bytes([0x18, 4])
        data += bytes([0x0A, len(body)]) + body
    # Parsed and written again, so that the fields lie in their usual order.
    from sentencepiece import sentencepiece_model_pb2 as pb

    model = pb.ModelProto()
    model.ParseFromString(data)
    model.trainer_spec.vocab_size = len(model.pieces)
    with open(path, "wb") as f:
        f.write(model.SerializeToString())


class Tokenizer:
    """Encodes text as the slow InternLM2 tokenizer does: cut at special tokens, each piece by itself."""

    def __init__(self, path: str):
        self.sp = spm.SentencePieceProcessor(model_file=path)
        base = self.sp.vocab_size()
        self.special = {"<unk>": 0, "<s>": 1, "</s>": 2}
        for i, t in enumerate(CHAT_TOKENS):
            self.special[t] = base - len(CHAT_TOKENS) + i
        for i, t in enumerate(ADDED_TOKENS):
            self.special[t] = base + i
        self.size = base + len(ADDED_TOKENS)
        self.names = {i: t for t, i in self.special.items()}
        self._cut = re.compile("(" + "|".join(re.escape(t) for t in self.special) + ")")
        self.im_end, self.im_start = self.special[IM_END], self.special[IM_START]
        self.context = self.special["<IMG_CONTEXT>"]
        self._memo: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        ids = self._memo.get(text)
        if ids is None:
            ids = []
            for part in self._cut.split(text):
                if part in self.special:
                    ids.append(self.special[part])
                elif part:
                    ids.extend(self.sp.encode(part))
            if len(self._memo) < 200_000:
                self._memo[text] = ids
        return ids

    def spell(self, answer: str) -> list[int]:
        """Ids of an answer, with what stands in quotes character by character."""
        parts = answer.split('"')
        if len(parts) != 3:
            return self.encode(answer)
        return self.encode(parts[0] + '"') + [i for c in parts[1] for i in self.encode(c)] + self.encode('"' + parts[2])

    def decode(self, ids: list[int]) -> str:
        """Without special tokens."""
        return self.sp.decode([i for i in ids if i not in self.names])


def image_block(tiles: int, tokens_per_tile: int) -> str:
    return "<img>" + "<IMG_CONTEXT>" * (tiles * tokens_per_tile) + "</img>"


def opening(head: str, system: str = SYSTEM) -> str:
    """From `<s>` to where the first question's words begin; `head` is the images' text, with newlines."""
    return f"<s>{IM_START}system\n{system}{IM_END}{IM_START}user\n{head}"


def answer_head() -> str:
    return f"{IM_END}{IM_START}assistant\n"


def next_user() -> str:
    return f"{IM_END}{IM_START}user\n"


def write_tokenizer_files(folder: str, tokenizer: Tokenizer) -> None:
    """tokenizer_config.json, special_tokens_map.json, added_tokens.json beside tokenizer.model."""
    additional = [IM_START, IM_END, "<|action_start|>", "<|action_end|>", "<|interpreter|>", "<|plugin|>"] + ADDED_TOKENS
    decoder = {
        str(i): {"content": t, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
        for t, i in sorted(tokenizer.special.items(), key=lambda kv: kv[1])
    }
    common = {"additional_special_tokens": additional, "bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    config = {
        "added_tokens_decoder": decoder,
        **common,
        "chat_template": "{{ bos_token }}{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 4096,
        "tokenizer_class": "InternLM2Tokenizer",
    }
    dump = lambda name, value: _dump(os.path.join(folder, name), value)  # noqa: E731
    dump("tokenizer_config.json", config)
    dump("special_tokens_map.json", common)
    dump("added_tokens.json", {t: tokenizer.special[t] for t in ADDED_TOKENS})


def _dump(path: str, value: object) -> None:
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=2, ensure_ascii=False)
        f.write("\n")
