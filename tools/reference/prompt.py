"""Prompt templates and the rendering rules of `chat()` and `batch_chat()`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

IMAGE = "<image>"
IMG_START = "<img>"
IMG_END = "</img>"
IMG_CONTEXT = "<IMG_CONTEXT>"

Turn = tuple[str, str]


class Refused(ValueError):
    """Where the reference stops with an assertion or a shape error."""


@dataclass(frozen=True)
class Template:
    """An MPT-style template: system block, then role + text + separator."""

    name: str
    system_prefix: str
    user: str
    assistant: str
    sep: str
    default_system: str


_RELEASE_2024_07 = (
    "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, 是一个有用无害的人工智能助手。"
)

TEMPLATES: dict[str, Template] = {
    template.name: template
    for template in (
        Template(
            "internlm2-chat",
            "<|im_start|>system\n",
            "<|im_start|>user\n",
            "<|im_start|>assistant\n",
            "<|im_end|>",
            "You are an AI assistant whose name is InternLM (书生·浦语).",
        ),
        Template(
            "internvl2_5",
            "<|im_start|>system\n",
            "<|im_start|>user\n",
            "<|im_start|>assistant\n",
            "<|im_end|>\n",
            "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。",
        ),
        Template(
            "Hermes-2",
            "<|im_start|>system\n",
            "<|im_start|>user\n",
            "<|im_start|>assistant\n",
            "<|im_end|>",
            _RELEASE_2024_07,
        ),
        Template("phi3-chat", "<|system|>\n", "<|user|>\n", "<|assistant|>\n", "<|end|>", _RELEASE_2024_07),
    )
}


def render(template: Template, system: str, messages: Sequence[tuple[str, str | None]]) -> str:
    """The whole conversation as text; a message without text is its role only."""
    text = template.system_prefix + system + template.sep
    for role, message in messages:
        text += role + message + template.sep if message else role
    return text


@dataclass(frozen=True)
class Rendered:
    """A rendered prompt before tokenization."""

    text: str
    question: str
    """The question as it goes into the history."""
    num_patches_list: list[int]


def render_chat(
    template: Template,
    system: str,
    question: str,
    history: Sequence[Turn] | None,
    tiles: int | None,
    num_patches_list: Sequence[int] | None,
    tokens_per_tile: int,
) -> Rendered:
    """Rules 1 to 4 of `chat()`. `tiles` is None without pixels."""
    if history is None and tiles is not None and IMAGE not in question:
        question = IMAGE + "\n" + question
    if num_patches_list is None:
        num_patches_list = [] if tiles is None else [tiles]
    if tiles is not None and sum(num_patches_list) != tiles:
        raise Refused(f"num_patches_list adds up to {sum(num_patches_list)}, there are {tiles} tiles")
    messages: list[tuple[str, str | None]] = []
    for asked, answered in history or ():
        messages.append((template.user, asked))
        messages.append((template.assistant, answered))
    messages.append((template.user, question))
    messages.append((template.assistant, None))
    text = render(template, system, messages)
    for count in num_patches_list:
        text = text.replace(IMAGE, image_tokens(count, tokens_per_tile), 1)
    return Rendered(text, question, list(num_patches_list))


def image_tokens(tiles: int, tokens_per_tile: int) -> str:
    """What stands for one picture of so many tiles."""
    return IMG_START + IMG_CONTEXT * (tokens_per_tile * tiles) + IMG_END


def render_batch(
    template: Template,
    system: str,
    questions: Sequence[str],
    tiles: int | None,
    num_patches_list: Sequence[int],
    tokens_per_tile: int,
) -> list[Rendered]:
    """`batch_chat()`: one placeholder a question, one replacement a question."""
    rendered = []
    for index, count in enumerate(num_patches_list):
        question = questions[index]
        if tiles is not None and IMAGE not in question:
            question = IMAGE + "\n" + question
        text = render(template, system, [(template.user, question), (template.assistant, None)])
        text = text.replace(IMAGE, image_tokens(count, tokens_per_tile), 1)
        rendered.append(Rendered(text, question, [count]))
    return rendered


def video_prefix(frames: int) -> str:
    """`Frame1: <image>\\nFrame2: <image>\\n…`"""
    return "".join(f"Frame{k}: {IMAGE}\n" for k in range(1, frames + 1))


def cut_answer(text: str, template: Template) -> str:
    """Rule 6: the text before the first separator, trimmed."""
    return text.split(template.sep.strip())[0].strip()
