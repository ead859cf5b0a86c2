"""Questions about a scene as a chat, in the tokens and by the template of the MLLM itself.

The scene's views open the first user turn, then comes the question; further questions about the
same views are further turns, or packed behind the views, each as if it came first. Only the
answers' own tokens, and the token that ends each, are scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from spatialsv.samples.views import PreparedViews, ViewProcessor
from spatialsv.scenes.question import Question

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
        processor: with a fast Hugging Face tokenizer, whose chat template writes one placeholder
            an image, or one for the video.

    Raises:
        ValueError: a tokenizer without a chat template.
    """

    def __init__(self, processor: ViewProcessor) -> None:
        self.processor = processor
        self.tokenizer = processor.tokenizer
        if not self.tokenizer.chat_template:
            raise ValueError(
                f"{self.tokenizer.name_or_path}: no chat template; save chat_template.jinja beside"
                " it"
            )
        self._opening = self._before_any_text()
        closing = self._behind_answers()
        ended = self.tokenizer.eos_token in closing
        self._end = "" if ended else self.tokenizer.eos_token  # Vicuna's template writes none
        self._closing = closing if ended else ""
        self._visual = torch.tensor(sorted(processor.visual_tokens))
        self._kept: dict[tuple, Tokens] = {}

    def check(self, questions: Iterable[Question]) -> None:
        """Refuse words that the tokenizer would read as its own signs.

        Raises:
            ValueError: a text or an answer with a special token in it, such as <|im_end|>.
        """
        added = self.tokenizer.added_tokens_decoder.values()
        special = [token.content for token in added if token.special]
        for question in questions:
            words = "\n".join(part for turn in question.turns for part in turn)
            if found := next((token for token in special if token in words), None):
                raise ValueError(
                    f"question {question.id!r} contains {found!r}, a special token of"
                    f" {self.tokenizer.name_or_path}: take its record out of the data"
                )

    def answered(self, questions: Sequence[Question], views: PreparedViews) -> Tokens:
        """`questions` with their answers, a turn each, or several turns in their order.

        Args:
            questions: about these views, in the order they are asked.
            views: what is shown.
        """
        if len(questions) > 1:  # other questions stand together in the next epoch
            return self._answered(questions, views)
        key = (questions[0].id, *_lengths(views))
        if key not in self._kept:
            self._kept[key] = self._answered(questions, views)
        return self._kept[key]

    def packed(self, questions: Sequence[Question], views: PreparedViews) -> Tokens:
        """As `answered`, but each question in a chat of its own; the chats share their views."""
        chats = [self.answered([question], views) for question in questions]
        head = self.head(chats[0])
        return Tokens(
            input_ids=torch.cat([chats[0].input_ids[:head], *(c.input_ids[head:] for c in chats)]),
            labels=torch.cat([chats[0].labels[:head], *(c.labels[head:] for c in chats)]),
            tails=tuple(len(chat) - head for chat in chats),
        )

    def head(self, tokens: Tokens) -> int:
        """How many tokens there are up to the last visual one."""
        return int(torch.isin(tokens.input_ids, self._visual).nonzero()[-1]) + 1

    def prompt(self, question: str, views: PreparedViews) -> Tokens:
        """`question` after its views, up to where the answer begins: for generation."""
        return self.conversation(self._messages([question], views), views)

    def conversation(self, messages: list[dict], views: PreparedViews) -> Tokens:
        """`messages`, up to where the next answer begins: for generation.

        Args:
            messages: as the template takes them, words and views in any order; as many items of
                the views' kind as these have placeholders.
            views: what is shown.

        Raises:
            ValueError: another number of such items.
        """
        text = self._render([self._ended(message) for message in messages], answer_next=True)
        return self._expand(self._tokenize(text), views)

    def images_only(self, views: PreparedViews) -> Tokens:
        """The views and no question: a causal model's visual states are the same either way.

        What the template writes behind them counts as a tail, so that it can stand among packed
        chats.
        """
        key = ("", *_lengths(views))
        if key not in self._kept:
            tokens = self._expand(self._tokenize(self._render(self._messages([], views))), views)
            self._kept[key] = replace(tokens, tails=(len(tokens) - self.head(tokens),))
        return self._kept[key]

    def _answered(self, questions: Sequence[Question], views: PreparedViews) -> Tokens:
        turns = [turn for question in questions for turn in question.turns]
        messages = self._messages([text for text, _ in turns], views, [said for _, said in turns])
        text, spans = self._said(messages)
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids = torch.tensor(encoded["input_ids"])
        starts = torch.tensor([start for start, _ in encoded["offset_mapping"]])
        labels = torch.full_like(ids, IGNORED)
        for begin, end in spans:
            inside = (starts >= begin) & (starts < end)
            ends = inside & (ids == self.tokenizer.eos_token_id)
            # what the template writes after the end token (a newline) is not the model's to say
            inside &= ends.cumsum(0) - ends.long() == 0
            labels[inside] = ids[inside]
        return self._expand(self._opened(ids, labels, text), views)

    def _said(self, messages: list[dict]) -> tuple[str, list[tuple[int, int]]]:
        """The chat, each answer behind just what comes before it in generation, and its place.

        Some templates write another line before an answer that is told than before one that is to
        come, so the chat is put together turn by turn.
        """
        text, spans, done = "", [], ""
        for turn in range(2, len(messages) + 1, 2):
            asked = self._render(messages[: turn - 1], answer_next=True)
            if not asked.startswith(done):
                raise ValueError(
                    f"{self.tokenizer.name_or_path}: its chat template rewrites earlier turns, so"
                    " the answers' tokens cannot be told apart; set questions_per_sample to 1"
                )
            text += asked.removeprefix(done)
            done = self._render(messages[:turn])
            answer = messages[turn - 1]["content"][0]["text"] + self._closing
            reply = done.removeprefix(asked) if done.startswith(asked) else answer
            spans.append((len(text), len(text) + len(reply)))
            text += reply
        return text, spans

    def _render(self, messages: list[dict], answer_next: bool = False) -> str:
        return self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=answer_next
        )

    def _tokenize(self, text: str) -> Tokens:
        ids = torch.tensor(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return self._opened(ids, torch.full_like(ids, IGNORED), text)

    def _opened(self, ids: Tensor, labels: Tensor, text: str) -> Tokens:
        """With the token that opens every text, where the template has not written it."""
        written = self.tokenizer.bos_token and text.startswith(self.tokenizer.bos_token)
        opening = self._opening[:0] if written else self._opening
        silent = torch.full_like(opening, IGNORED)
        return Tokens(input_ids=torch.cat([opening, ids]), labels=torch.cat([silent, labels]))

    def _before_any_text(self) -> Int[Tensor, " _"]:
        """What the tokenizer puts before every text by itself, such as LLaMA's <s>."""
        bare = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        full = self.tokenizer("a")["input_ids"]
        at = next((i for i in range(len(full)) if full[i : i + len(bare)] == bare), 0)
        return torch.tensor(full[:at], dtype=torch.long)

    def _behind_answers(self) -> str:
        """What the template writes behind an answer."""
        said = [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
        said.append({"role": "assistant", "content": [{"type": "text", "text": "b"}]})
        return self._render(said).rpartition("b")[2]

    def _ended(self, message: dict) -> dict:
        """An answer with the token that ends it, where the template writes none."""
        if message["role"] != "assistant":
            return message
        *parts, last = message["content"]
        return message | {"content": [*parts, last | {"text": last["text"] + self._end}]}

    def _messages(
        self, texts: list[str], views: PreparedViews, answers: Sequence[str] = ()
    ) -> list[dict]:
        """Chat messages; without texts, one user turn of views alone."""
        content: list[dict] = [{"type": views.kind} for _ in views.placeholders]
        messages = [] if texts else [{"role": "user", "content": content}]
        for turn, text in enumerate(texts):
            messages.append({"role": "user", "content": [*content, {"type": "text", "text": text}]})
            content = []
            if turn < len(answers):
                answer = [{"type": "text", "text": answers[turn] + self._end}]
                messages.append({"role": "assistant", "content": answer})
        return messages

    def _expand(self, tokens: Tokens, views: PreparedViews) -> Tokens:
        """Put the tokens that stand for each item in the place of its placeholder."""
        written = torch.tensor(self.processor.template_ids[views.kind])
        windows = tokens.input_ids.unfold(0, len(written), 1)
        places = (windows == written).all(dim=1).nonzero()[:, 0]
        if len(places) != len(views.placeholders):
            raise ValueError(
                f"the chat has {len(places)} {views.kind} placeholders for"
                f" {len(views.placeholders)}; a question must not contain the placeholder itself"
            )
        ids, labels, done = [], [], 0
        for place, stand in zip(places.tolist(), views.placeholders, strict=True):
            ids += [tokens.input_ids[done:place], stand]
            labels += [tokens.labels[done:place], torch.full_like(stand, IGNORED)]
            done = place + len(written)
        return Tokens(
            input_ids=torch.cat([*ids, tokens.input_ids[done:]]),
            labels=torch.cat([*labels, tokens.labels[done:]]),
        )


def _lengths(views: PreparedViews) -> tuple[str | int, ...]:
    """What of `views` the tokens depend on."""
    return (views.kind, *map(len, views.placeholders))
