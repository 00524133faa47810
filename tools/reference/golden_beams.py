"""Writes `tests/golden/beams/`: beam search by Hugging Face's own code (transformers 4.37.2).

`toy.json`: a model that is a table of logits by the last two tokens, under many settings.
`model.json`: the reference's InternLM2 on some golden cases, generating from embeddings as the chat does.

Needs transformers besides the reference's requirements: `pip install transformers==4.37.2`.
"""

from __future__ import annotations

import gzip
import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import load
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

import language
from chat import Model

Tensor = torch.Tensor
GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"

VOCABULARY = 14
END = 1
BOS = 13
"""transformers 4.37 puts it in front when it generates from embeddings; it is cut off here."""

class Scorer(PreTrainedModel):
    """A causal model whose logits are a function of the generated ids."""

    config_class = PretrainedConfig
    main_input_name = "input_ids"

    def __init__(self, logits: Callable[[list[int]], Tensor], vocabulary: int) -> None:
        super().__init__(PretrainedConfig(vocab_size=vocabulary, is_encoder_decoder=False))
        self._logits = logits
        self._anchor = torch.nn.Parameter(torch.zeros(1))

    def can_generate(self) -> bool:
        return True

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, inputs_embeds: Tensor | None = None, attention_mask: Tensor | None = None, **_: Any
    ) -> dict[str, Any]:
        return {"input_ids": input_ids}

    def forward(
        self,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> CausalLMOutput:
        assert input_ids is not None
        rows = [self._logits(ids[1:]) for ids in input_ids.tolist()]
        return CausalLMOutput(logits=torch.stack(rows)[:, None])


def beams(scorer: Scorer, bos: int, end: int, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers of a beam search, the best first; the end token is the last id where it was reached."""
    out = scorer.generate(
        inputs_embeds=torch.zeros(1, 3, 4),
        attention_mask=torch.ones(1, 3),
        bos_token_id=bos,
        eos_token_id=end,
        pad_token_id=-1,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
        **settings,
    )
    answers = []
    for ids, score in zip(out.sequences.tolist(), out.sequences_scores.tolist()):
        answers.append({"ids": [i for i in ids[1:] if i != -1], "score": round(score, 6)})
    return answers


def camel(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings under Tessera's names."""
    names = {
        "num_beams": "numBeams",
        "num_return_sequences": "n",
        "max_new_tokens": "maxNewTokens",
        "min_new_tokens": "minNewTokens",
        "length_penalty": "lengthPenalty",
        "early_stopping": "earlyStopping",
        "repetition_penalty": "repetitionPenalty",
    }
    out = {names[key]: value for key, value in settings.items() if key in names}
    if "sequence_bias" in settings:
        out["logitBias"] = {str(ids[0]): bias for ids, bias in settings["sequence_bias"].items()}
    return out


def toy() -> dict[str, Any]:
    """Many settings over one table."""
    generator = random.Random(4)
    table = [[round(generator.gauss(0, 2.5), 3) for _ in range(VOCABULARY)] for _ in range(VOCABULARY**2)]
    for row in table:
        row[END] = round(row[END] + 0.5, 3)
        row[BOS] = -1000.0
    rows = torch.tensor(table, dtype=torch.float64)

    def logits(ids: list[int]) -> Tensor:
        before, last = ([0, 0] + ids)[-2:]
        return rows[before * VOCABULARY + last]

    scorer = Scorer(logits, VOCABULARY)
    cases = []
    stops: list[bool | str] = [False, True, "never"]
    for count, penalty, early in itertools.product([2, 3, 5], [1.0, 0.0, -1.0, 2.5], stops):
        settings = {
            "num_beams": count,
            "num_return_sequences": 1 + len(cases) % count,
            "max_new_tokens": [4, 9, 16][len(cases) % 3],
            "length_penalty": penalty,
            "early_stopping": early,
        }
        if len(cases) % 4 == 1:
            settings["repetition_penalty"] = 1.4
        if len(cases) % 4 == 2:
            settings["min_new_tokens"] = 3
        if len(cases) % 5 == 3:
            settings["sequence_bias"] = {(5,): 1.5, (END,): -2.0}
        cases.append({"settings": camel(settings), "answers": beams(scorer, BOS, END, settings)})
    return {"vocabulary": VOCABULARY, "end": END, "table": table, "cases": cases}


MODEL_CASES = (
    ("layer-norm-f32", "text", 12, 3, 1.0),
    ("layer-norm-f32", "one image", 8, 4, 2.0),
    ("rms-norm-bf16", "text", 8, 2, 0.5),
    ("qk-norm-f32", "text", 12, 5, 1.0),
)


def reference() -> list[dict[str, Any]]:
    """The reference's language model on golden cases."""
    out = []
    for name, case, limit, count, penalty in MODEL_CASES:
        place = GOLDEN / "model" / name
        model = Model(place / "checkpoint")
        cases = json.loads((place / "cases.json").read_text(encoding="utf-8"))["cases"]
        found = next(item for item in cases if item["name"] == case)
        prompt = torch.tensor([found["inputIds"]])
        embeddings = language.embed(prompt, model.weights, model.config.language).clone()
        if found["pictureSet"] is not None:
            expected = load(gzip.decompress((place / "expected.safetensors.gz").read_bytes()))
            visual = torch.from_numpy(expected[f"visual/{found['pictureSet']}"]).double()
            embeddings[prompt == model.context_id] = visual.reshape(-1, visual.shape[-1])

        def logits(ids: list[int]) -> Tensor:
            after = language.embed(torch.tensor([ids], dtype=torch.long), model.weights, model.config.language)
            x = torch.cat([embeddings, after], dim=1)
            positions = torch.arange(x.shape[1])[None]
            mask = torch.ones(1, x.shape[1], dtype=torch.long)
            return language.forward(x, positions, mask, language.Cache(), model.weights, model.config.language)[0, -1]

        scorer = Scorer(logits, model.config.language.vocab_size)
        settings = {
            "num_beams": count,
            "num_return_sequences": 2,
            "max_new_tokens": limit,
            "length_penalty": penalty,
            "early_stopping": False,
        }
        out.append(
            {"checkpoint": name, "case": case, "settings": camel(settings), "answers": beams(scorer, model.tokenizer.id_of("<s>"), model.eos, settings)}
        )
    return out


def write(folder: Path) -> None:
    """Both files."""
    folder.mkdir(parents=True, exist_ok=True)
    made = toy()
    cases = ",\n".join(json.dumps(case) for case in made.pop("cases"))
    (folder / "toy.json").write_text(f'{json.dumps(made)[:-1]},\n"cases": [\n{cases}\n]}}\n')
    lines = ",\n".join(json.dumps(case) for case in reference())
    (folder / "model.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    write(GOLDEN / "beams")
