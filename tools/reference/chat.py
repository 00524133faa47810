"""`chat()` and `batch_chat()` of InternVL-Chat, greedy, on the reference modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import language
import vision
from checkpoint import read_weights
from config import ChatConfig, read_config
from pixels import Floats
from prompt import IMG_CONTEXT, TEMPLATES, Refused, Rendered, Turn, cut_answer, render_batch, render_chat
from tokenizer import Tokenizer, clean_up

Tensor = torch.Tensor


@dataclass(frozen=True)
class Answer:
    """One answer and everything on the way to it."""

    rendered: Rendered
    input_ids: list[int]
    greedy: language.Greedy
    response: str
    """Decoded without special tokens, cut at the separator, trimmed."""
    response_cleaned: str
    """The same after the clean-up that InternLM2's own tokenizer file applies when it decodes."""


@dataclass(frozen=True)
class Seen:
    """What the vision side made of some tiles."""

    pixels: Floats
    features: Tensor
    tokens: Tensor


class Model:
    """A checkpoint folder, loaded."""

    def __init__(self, folder: Path) -> None:
        self.config: ChatConfig = read_config(folder)
        self.weights = read_weights(folder)
        self.tokenizer = Tokenizer(folder)
        self.template = TEMPLATES[self.config.template]
        self.system = self.template.default_system if self.config.system_message is None else self.config.system_message
        self.eos = self.tokenizer.id_of(self.template.sep.strip())
        self.context_id = self.tokenizer.id_of(IMG_CONTEXT)

    def see(self, pixels: Floats) -> Seen:
        """float32 [n, 3, S, S] to features and visual tokens."""
        features = vision.encode(torch.from_numpy(pixels).double(), self.weights, self.config)
        return Seen(pixels, features, vision.project(features, self.weights, self.config))

    def _generate(self, rows: Sequence[list[int]], seen: Seen | None, limit: int) -> list[language.Greedy]:
        longest = max(len(row) for row in rows)
        pad = self.tokenizer.pad
        ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        embeddings = language.embed(ids, self.weights, self.config.language).clone()
        if seen is not None:
            places = ids == self.context_id
            visual = seen.tokens.reshape(-1, seen.tokens.shape[-1])
            count = int(places.sum())
            if count == 0 or count != visual.shape[0]:
                raise Refused(f"{count} context tokens, {visual.shape[0]} visual tokens")
            embeddings[places] = visual
        return language.generate(embeddings, mask, limit, self.eos, self.weights, self.config.language)

    def _answer(self, rendered: Rendered, ids: list[int], greedy: language.Greedy) -> Answer:
        text = self.tokenizer.decode(greedy.ids, skip_special_tokens=True)
        return Answer(rendered, ids, greedy, cut_answer(text, self.template), cut_answer(clean_up(text), self.template))

    def chat(
        self,
        seen: Seen | None,
        question: str,
        history: Sequence[Turn] | None = None,
        num_patches_list: Sequence[int] | None = None,
        limit: int = 64,
    ) -> Answer:
        """One round. The new history is the old one and (rendered.question, response)."""
        tiles = None if seen is None else seen.pixels.shape[0]
        rendered = render_chat(
            self.template, self.system, question, history, tiles, num_patches_list, self.config.tokens_per_tile
        )
        ids = self.tokenizer.encode(rendered.text)
        return self._answer(rendered, ids, self._generate([ids], seen, limit)[0])

    def batch_chat(
        self, seen: Seen | None, questions: Sequence[str], num_patches_list: Sequence[int], limit: int = 64
    ) -> list[Answer]:
        """Several questions at once, left-padded; `seen` holds the tiles of all, in order."""
        tiles = None if seen is None else seen.pixels.shape[0]
        rendered = render_batch(
            self.template, self.system, questions, tiles, num_patches_list, self.config.tokens_per_tile
        )
        rows = [self.tokenizer.encode(each.text) for each in rendered]
        generated = self._generate(rows, seen, limit)
        return [self._answer(*each) for each in zip(rendered, rows, generated)]
