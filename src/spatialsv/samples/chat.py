"""Tokenize questions about a scene by the MLLM's own chat template.

The scene's views come first in the first user turn, followed by the question. Further questions
about the same views are further turns, or packed after the views so that none sees another. Only
the tokens of answers, and the token that ends each answer, are scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from spatialsv.samples.views import PreparedViews, ViewProcessor
from spatialsv.scenes.question import Question

Message = dict[str, Any]  # role, and a list of content items
IGNORED = -100  # label of tokens without a loss, as in transformers
DIALOGUE: list[Message] = [  # a chat that shows what the template writes around texts
    {"role": "user", "content": [{"type": "text", "text": "<question>"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "<answer>"}]},
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tokens:
    """One chat of T tokens, or one head and the tails of several packed chats."""

    input_ids: Int[Tensor, " T"]
    labels: Int[Tensor, " T"]  # the token where it is scored, else IGNORED
    tails: tuple[int, ...] = ()  # of packed chats: tokens of each after the last visual token

    def __len__(self) -> int:
        return len(self.input_ids)


class Chat:
    """Tokenizes questions. Samples of one question are cached.

    Args:
        processor: has a fast Hugging Face tokenizer whose chat template writes one placeholder
            for each image, or one for the video.

    Raises:
        ValueError: the tokenizer has no chat template.
    """

    def __init__(self, processor: ViewProcessor) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        if not self.tokenizer.chat_template:
            raise ValueError(
                f"{self.tokenizer.name_or_path}: no chat template. Save chat_template.jinja in the"
                " tokenizer's folder."
            )
        self._prefix = self._find_prefix()
        suffix = self._find_answer_suffix()
        has_end = self.tokenizer.eos_token in suffix
        self._end = "" if has_end else self.tokenizer.eos_token  # Vicuna's template writes none
        self._suffix = suffix if has_end else ""
        self._visual = torch.tensor(sorted(processor.visual_tokens))
        self._control = self._find_control_tokens()
        self._cache: dict[tuple[str | int, ...], Tokens] = {}

    def check(self, questions: Iterable[Question]) -> None:
        """Check that no text would act as a part of the chat template.

        Args:
            questions: questions with their answers.

        Raises:
            ValueError: a text or an answer contains a control token; see `check_texts`.
        """
        for question in questions:
            self.check_texts(
                f"Question {question.id!r}", *(t for turn in question.turns for t in turn)
            )

    def check_texts(self, where: str, *texts: str) -> None:
        """Check that no text would act as a part of the chat template.

        Args:
            where: names the record in the error.
            texts: of the record.

        Raises:
            ValueError: a text contains a control token: a special token of the tokenizer such as
                <|im_end|>, the placeholder of an image or video such as <image>, or what the
                template writes before an answer such as "ASSISTANT:".
        """
        for text in texts:
            if found := next((token for token in self._control if token in text), None):
                raise ValueError(
                    f"{where} contains {found!r}, a control token of the chat template of"
                    f" {self.tokenizer.name_or_path}. Remove the record from the data."
                )

    def with_answers(self, questions: Sequence[Question], views: PreparedViews) -> Tokens:
        """Tokenize questions with their answers, for training.

        Args:
            questions: about these views, in the order of their turns.
            views: the prepared views.

        Returns:
            The tokens of one chat.
        """
        if len(questions) > 1:  # the next epoch combines other questions
            return self._with_answers(questions, views)
        key = (questions[0].id, *_lengths(views))
        if key not in self._cache:
            self._cache[key] = self._with_answers(questions, views)
        return self._cache[key]

    def packed(self, questions: Sequence[Question], views: PreparedViews) -> Tokens:
        """Tokenize each question with its answer as a separate chat; the chats share the views."""
        chats = [self.with_answers([question], views) for question in questions]
        head = self.head(chats[0])
        return Tokens(
            input_ids=torch.cat([chats[0].input_ids[:head], *(c.input_ids[head:] for c in chats)]),
            labels=torch.cat([chats[0].labels[:head], *(c.labels[head:] for c in chats)]),
            tails=tuple(len(chat) - head for chat in chats),
        )

    def head(self, tokens: Tokens) -> int:
        """Return the number of tokens up to and including the last visual one."""
        return int(torch.isin(tokens.input_ids, self._visual).nonzero()[-1]) + 1

    def prompt(self, question: str, views: PreparedViews) -> Tokens:
        """Tokenize `question` after its views, up to where the answer begins, for generation."""
        return self.from_messages(self._messages([question], views), views)

    def from_messages(self, messages: list[Message], views: PreparedViews) -> Tokens:
        """Tokenize messages up to where the next answer begins, for generation.

        Args:
            messages: in the template's form, with text and views in any order; the number of items
                of the views' kind must be that of the views' placeholders.
            views: the prepared views.

        Returns:
            The tokens.
        """
        text = self._render([self._add_end(message) for message in messages], answer_next=True)
        return self._expand(self._tokenize(text), views)

    def images_only(self, views: PreparedViews) -> Tokens:
        """Tokenize the views without a question, which does not change a causal model's states.

        Args:
            views: the prepared views.

        Returns:
            The tokens. Those that the template writes after the views count as a tail, so that the
            sample can be batched with packed chats.
        """
        key = ("", *_lengths(views))
        if key not in self._cache:
            tokens = self._expand(self._tokenize(self._render(self._messages([], views))), views)
            self._cache[key] = replace(tokens, tails=(len(tokens) - self.head(tokens),))
        return self._cache[key]

    def _with_answers(self, questions: Sequence[Question], views: PreparedViews) -> Tokens:
        turns = [turn for question in questions for turn in question.turns]
        answers = [answer for _, answer in turns]
        text, spans = self._render_turns(
            self._messages([text for text, _ in turns], views, answers)
        )
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids = torch.tensor(encoded["input_ids"])
        starts = torch.tensor([start for start, _ in encoded["offset_mapping"]])
        labels = torch.full_like(ids, IGNORED)
        for begin, end in spans:
            inside = (starts >= begin) & (starts < end)
            ends = inside & (ids == self.tokenizer.eos_token_id)
            # the model does not generate what the template writes after the end token (a newline)
            inside &= ends.cumsum(0) - ends.long() == 0
            labels[inside] = ids[inside]
        return self._expand(self._add_prefix(ids, labels, text), views)

    def _render_turns(self, messages: list[Message]) -> tuple[str, list[tuple[int, int]]]:
        """Render a chat in which each answer follows the same text as in generation.

        Some templates write another line before a given answer than before one to generate, so the
        chat is rendered turn by turn.

        Returns:
            The text, and the span of each answer.

        Raises:
            ValueError: the template changes the text of earlier turns.
        """
        text, done = "", ""
        spans: list[tuple[int, int]] = []
        for turn in range(2, len(messages) + 1, 2):
            prompt = self._render(messages[: turn - 1], answer_next=True)
            if not prompt.startswith(done):
                raise ValueError(
                    f"{self.tokenizer.name_or_path}: its chat template rewrites earlier turns, so"
                    " answers cannot be located. Set questions_per_sample to 1."
                )
            text += prompt.removeprefix(done)
            done = self._render(messages[:turn])
            answer = messages[turn - 1]["content"][0]["text"] + self._suffix
            answer = done.removeprefix(prompt) if done.startswith(prompt) else answer
            spans.append((len(text), len(text) + len(answer)))
            text += answer
        return text, spans

    def _render(self, messages: list[Message], answer_next: bool = False) -> str:
        return self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=answer_next
        )

    def _tokenize(self, text: str) -> Tokens:
        ids = torch.tensor(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return self._add_prefix(ids, torch.full_like(ids, IGNORED), text)

    def _add_prefix(self, ids: Tensor, labels: Tensor, text: str) -> Tokens:
        """Prepend the tokenizer's prefix, unless the template has written it."""
        written = self.tokenizer.bos_token and text.startswith(self.tokenizer.bos_token)
        prefix = self._prefix[:0] if written else self._prefix
        ignored = torch.full_like(prefix, IGNORED)
        return Tokens(input_ids=torch.cat([prefix, ids]), labels=torch.cat([ignored, labels]))

    def _find_prefix(self) -> Int[Tensor, " _"]:
        """Return the tokens that the tokenizer prepends to every text, such as LLaMA's <s>."""
        text = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        full = self.tokenizer("a")["input_ids"]
        at = next((i for i in range(len(full)) if full[i : i + len(text)] == text), 0)
        return torch.tensor(full[:at], dtype=torch.long)

    def _find_control_tokens(self) -> list[str]:
        """Return the texts that `check_texts` refuses."""
        added = self.tokenizer.added_tokens_decoder.values()
        placeholders = map(self.tokenizer.decode, self.processor.template_ids.values())
        between = self._render(DIALOGUE).partition(DIALOGUE[0]["content"][0]["text"])[2]
        answer = between.partition(DIALOGUE[1]["content"][0]["text"])[0]
        found = [*(token.content for token in added if token.special), *placeholders, answer]
        return [text for text in dict.fromkeys(map(str.strip, found)) if text]

    def _find_answer_suffix(self) -> str:
        """Return the text that the template writes after an answer."""
        return self._render(DIALOGUE).rpartition(DIALOGUE[1]["content"][0]["text"])[2]

    def _add_end(self, message: Message) -> Message:
        """Return an answer with the end token, if the template does not write it."""
        if message["role"] != "assistant":
            return message
        *parts, last = message["content"]
        return message | {"content": [*parts, last | {"text": last["text"] + self._end}]}

    def _messages(
        self, texts: list[str], views: PreparedViews, answers: Sequence[str] = ()
    ) -> list[Message]:
        """Return chat messages; without texts, one user turn that has only the views."""
        content: list[dict[str, str]] = [{"type": views.kind} for _ in views.placeholders]
        messages: list[Message] = [] if texts else [{"role": "user", "content": content}]
        for turn, text in enumerate(texts):
            messages.append({"role": "user", "content": [*content, {"type": "text", "text": text}]})
            content = []
            if turn < len(answers):
                answer = [{"type": "text", "text": answers[turn] + self._end}]
                messages.append({"role": "assistant", "content": answer})
        return messages

    def _expand(self, tokens: Tokens, views: PreparedViews) -> Tokens:
        """Replace the placeholder of each item by the tokens that stand for it.

        Returns:
            The expanded tokens.

        Raises:
            ValueError: the chat has another number of placeholders than the views.
        """
        template = torch.tensor(self.processor.template_ids[views.kind])
        windows = tokens.input_ids.unfold(0, len(template), 1)
        starts = (windows == template).all(dim=1).nonzero()[:, 0]
        if len(starts) != len(views.placeholders):
            raise ValueError(
                f"Expected {len(views.placeholders)} {views.kind} placeholders in the chat, found"
                f" {len(starts)}. A question must not contain the placeholder."
            )
        ids: list[Tensor] = []
        labels: list[Tensor] = []
        done = 0
        for start, stand in zip(starts.tolist(), views.placeholders, strict=True):
            ids += [tokens.input_ids[done:start], stand]
            labels += [tokens.labels[done:start], torch.full_like(stand, IGNORED)]
            done = start + len(template)
        return Tokens(
            input_ids=torch.cat([*ids, tokens.input_ids[done:]]),
            labels=torch.cat([*labels, tokens.labels[done:]]),
        )


def _lengths(views: PreparedViews) -> tuple[str | int, ...]:
    """Return the properties of `views` that the tokens depend on."""
    return (views.kind, *map(len, views.placeholders))
