"""What answers items, and the baselines without images: random and most frequent answers.

Scores are exact expectations, not draws, so they have no sampling noise.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from spatialsv.benchmarks.benchmark import Item, Protocol
from spatialsv.benchmarks.chance import constant_answers, random_score, score
from spatialsv.benchmarks.responses import Response
from spatialsv.benchmarks.score import build_response

ANY_OPTION, ANY_ANSWER = "any option", "any training answer"


class ItemModel(ABC):
    """A model that answers the items of a benchmark: an MLLM or a baseline."""

    @property
    @abstractmethod
    def context(self) -> tuple[str, ...]:
        """What responses depend on besides the items."""

    @abstractmethod
    def respond(self, items: Sequence[Item], done: Mapping[str, Response]) -> Iterator[Response]:
        """Yield a scored response to each item that is not in `done`.

        Args:
            items: all of the benchmark's.
            done: earlier responses by the items' ids.

        Yields:
            Responses without a key, in any order.
        """

    def describe(self) -> dict[str, Any]:
        """Return what a run's manifest records of the model."""
        return {}


@dataclass(frozen=True)
class Baseline(ItemModel):
    """Answers the items of a benchmark from training answers, under one protocol."""

    name: ClassVar[str]
    protocol: Protocol
    answers: Mapping[str, Any]  # by task

    @abstractmethod
    def answer(self, item: Item) -> tuple[str, float | None]:
        """Return a response in words and its expected score.

        Raises:
            ValueError: a number of a task without training answers.
        """

    @property
    def context(self) -> tuple[str, ...]:
        """The baseline's name and training answers."""
        return (self.name, json.dumps(self.answers))

    def respond(self, items: Sequence[Item], done: Mapping[str, Response]) -> Iterator[Response]:
        """Yield a response with its expected score to each item that is not in `done`."""
        for item in items:
            if item.id not in done:
                text, value = self.answer(item)
                yield build_response(item, self.protocol, text, None, value)

    def _answer_of_task(self, item: Item) -> Any:
        if item.task not in self.answers:
            raise ValueError(
                f"{item.id}: no training answers of task {item.task!r}. Give --train-scenes that"
                " have such questions."
            )
        return self.answers[item.task]


class RandomBaseline(Baseline):
    """Any option with equal chance; for a number or words, any training answer of the task."""

    name = "random"

    @classmethod
    def fit(cls, train: Iterable[Item], protocol: Protocol) -> RandomBaseline:
        """Collect each task's training answers that are not options."""
        answers: dict[str, list[str]] = {}
        for item in train:
            if item.kind != "choice":
                answers.setdefault(item.task, []).append(item.answer)
        return cls(protocol, answers)

    def answer(self, item: Item) -> tuple[str, float | None]:
        """Return the mean score of all options, or of all training answers."""
        if item.kind != "choice":
            return ANY_ANSWER, random_score(item, self.protocol, self._answer_of_task(item))
        return ANY_OPTION, random_score(item, self.protocol)


class FrequencyBaseline(Baseline):
    """Per task the most frequent training answer, or the number that scores best there.

    A choice of a task without training answers gets any option.
    """

    name = "frequency"

    @classmethod
    def fit(cls, train: Iterable[Item], protocol: Protocol) -> FrequencyBaseline:
        """Find each task's best constant answer."""
        return cls(protocol, constant_answers(train, protocol))

    def answer(self, item: Item) -> tuple[str, float | None]:
        """Return the task's constant answer and its score."""
        if item.kind == "choice" and item.task not in self.answers:
            return ANY_OPTION, random_score(item, self.protocol)
        response = self._answer_of_task(item)
        return response, score(item, response, self.protocol)


BASELINES: dict[str, type[RandomBaseline] | type[FrequencyBaseline]] = {
    "random": RandomBaseline,
    "frequency": FrequencyBaseline,
}
