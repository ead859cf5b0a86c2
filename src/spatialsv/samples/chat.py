"""Questions about a scene as a chat, in the tokens and by the template of the MLLM itself.

The scene's images open the first user turn, then comes the question; further questions about the
same images are further turns, or packed behind the images, each as if it came first. Only the
answers' own tokens, and the token that ends each, are scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from spatialsv.scenes.rooms.question import Question

IGNORED = -100  # a label that no loss reads, as everywhere in transformers


@dataclass(frozen=True, kw_only=True, eq=False)
class Tokens:
    """One chat of T tokens, or the one head and the tails of several packed ones."""

    input_ids: Int[Tensor, " T"]
    labels: Int[Tensor, " T"]  # the token itself where it is scored, else IGNORED
    tails: tuple[int, ...] = ()  # of packed chats: the tokens of each behind the last visual one

    def __len__(self) -> int:
        return len(self.input_ids)


class Chat:
    """Turns questions into tokens. A question asked by itself is tokenized once.

    Args:
        tokenizer: a fast Hugging Face tokenizer with a chat template that writes one `image_token`
            an image.
        image_token: the placeholder that is repeated for each visual token.

    Raises:
        ValueError: a tokenizer without a chat template, or without `image_token`.
    """

    def __init__(self, tokenizer: Any, image_token: str = "<|image_pad|>") -> None:
        if not tokenizer.chat_template:
            raise ValueError(
                f"{tokenizer.name_or_path}: no chat template; save chat_template.jinja beside it"
            )
        if image_token not in tokenizer.get_vocab():
            raise ValueError(
                f"{tokenizer.name_or_path}: no token {image_token!r} in its vocabulary"
            )
        self.tokenizer = tokenizer
        self.image_token_id: int = tokenizer.convert_tokens_to_ids(image_token)
        self._kept: dict[tuple[str, tuple[int, ...]], Tokens] = {}

    def answered(self, questions: Sequence[Question], visual_tokens: Sequence[int]) -> Tokens:
        """`questions` with their answers, one turn each, after as many images as `visual_tokens`.

        Args:
            questions: about the same views, in the order they are asked.
            visual_tokens: how many visual tokens each image takes.
        """
        if len(questions) > 1:  # other questions stand together in the next epoch
            return self._answered(questions, visual_tokens)
        key = (questions[0].id, tuple(visual_tokens))
        if key not in self._kept:
            self._kept[key] = self._answered(questions, visual_tokens)
        return self._kept[key]

    def packed(self, questions: Sequence[Question], visual_tokens: Sequence[int]) -> Tokens:
        """As `answered`, but each question in a chat of its own; the chats share their images."""
        chats = [self.answered([question], visual_tokens) for question in questions]
        head = self.head(chats[0])
        return Tokens(
            input_ids=torch.cat([chats[0].input_ids[:head], *(c.input_ids[head:] for c in chats)]),
            labels=torch.cat([chats[0].labels[:head], *(c.labels[head:] for c in chats)]),
            tails=tuple(len(chat) - head for chat in chats),
        )

    def head(self, tokens: Tokens) -> int:
        """How many tokens there are up to the last visual one."""
        return int((tokens.input_ids == self.image_token_id).nonzero()[-1]) + 1

    def prompt(self, question: str, visual_tokens: Sequence[int]) -> Tokens:
        """`question` after its images, up to where the answer begins: for generation."""
        text = self._render(_messages([question], len(visual_tokens)), answer_next=True)
        return self._expand(self._tokenize(text), visual_tokens)

    def images_only(self, visual_tokens: Sequence[int]) -> Tokens:
        """The images and no question: a causal model's visual states are the same either way.

        What the template writes behind them counts as a tail, so that it can stand among packed
        chats.
        """
        key = ("", tuple(visual_tokens))
        if key not in self._kept:
            text = self._render(_messages([], len(visual_tokens)))
            tokens = self._expand(self._tokenize(text), visual_tokens)
            self._kept[key] = replace(tokens, tails=(len(tokens) - self.head(tokens),))
        return self._kept[key]

    def _answered(self, questions: Sequence[Question], visual_tokens: Sequence[int]) -> Tokens:
        answers = [question.answer for question in questions]
        messages = _messages([q.text for q in questions], len(visual_tokens), answers)
        text = self._render(messages)
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids = torch.tensor(encoded["input_ids"])
        starts = torch.tensor([start for start, _ in encoded["offset_mapping"]])
        labels = torch.full_like(ids, IGNORED)
        for turn in range(len(questions)):
            begin, end = self._span(messages[: 2 * turn + 2], text)
            inside = (starts >= begin) & (starts < end)
            ends = inside & (ids == self.tokenizer.eos_token_id)
            # what the template writes after the end token (a newline) is not the model's to say
            inside &= ends.cumsum(0) - ends.long() == 0
            labels[inside] = ids[inside]
        return self._expand(Tokens(input_ids=ids, labels=labels), visual_tokens)

    def _span(self, messages: list[dict], text: str) -> tuple[int, int]:
        """Where in `text` the last answer of `messages` stands, as characters."""
        before = self._render(messages[:-1], answer_next=True)
        after = self._render(messages)
        if not (text.startswith(after) and after.startswith(before)):
            raise ValueError(
                f"{self.tokenizer.name_or_path}: its chat template rewrites earlier turns, so the"
                " answers' tokens cannot be told apart; set questions_per_sample to 1"
            )
        return len(before), len(after)

    def _render(self, messages: list[dict], answer_next: bool = False) -> str:
        return self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=answer_next
        )

    def _tokenize(self, text: str) -> Tokens:
        ids = torch.tensor(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return Tokens(input_ids=ids, labels=torch.full_like(ids, IGNORED))

    def _expand(self, tokens: Tokens, visual_tokens: Sequence[int]) -> Tokens:
        """Repeat each image's placeholder once for each of its visual tokens."""
        places = tokens.input_ids == self.image_token_id
        if int(places.sum()) != len(visual_tokens):
            raise ValueError(
                f"the chat has {int(places.sum())} image placeholders for {len(visual_tokens)}"
                " images; a question must not contain the placeholder itself"
            )
        repeats = torch.ones_like(tokens.input_ids)
        repeats[places] = torch.tensor(list(visual_tokens))
        return Tokens(
            input_ids=tokens.input_ids.repeat_interleave(repeats),
            labels=tokens.labels.repeat_interleave(repeats),
        )


def _messages(texts: list[str], images: int, answers: Sequence[str] = ()) -> list[dict]:
    """Chat messages; without texts, one user turn of images alone."""
    content: list[dict] = [{"type": "image"} for _ in range(images)]
    messages = [] if texts else [{"role": "user", "content": content}]
    for turn, text in enumerate(texts):
        messages.append({"role": "user", "content": [*content, {"type": "text", "text": text}]})
        content = []
        if turn < len(answers):
            answer = [{"type": "text", "text": answers[turn]}]
            messages.append({"role": "assistant", "content": answer})
    return messages
