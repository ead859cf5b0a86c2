"""What can be had without looking: random answers, and the answers most frequent in training.

Scores are exact expectations, not draws, so they have no noise of their own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float

from spatialsv.evaluate.score import extract, score
from spatialsv.scenes.question import Question
from spatialsv.stats.accuracy import TOLERANCES, best_constant, mean_relative_accuracy

ANY_OPTION = "any option"


class Baseline(Protocol):
    """A way to answer without images."""

    name: str

    def answer(self, question: Question) -> tuple[str, float]:
        """A reply in words, and its expected score."""


@dataclass(frozen=True)
class RandomBaseline:
    """Any option with equal chance; for a number, any training answer of the task."""

    answers: dict[str, Float[np.ndarray, " A"]]  # per numeric task
    name: str = "random"

    @classmethod
    def fit(cls, train: Iterable[Question]) -> RandomBaseline:
        """Collect the training answers of each numeric task."""
        return cls(_numbers(train))

    def answer(self, question: Question) -> tuple[str, float]:
        if question.kind == "choice":
            return ANY_OPTION, 1 / len(question.options)
        drawn = _of_task(self.answers, question)
        truth = np.full_like(drawn, float(question.answer))
        return "any training answer", float(mean_relative_accuracy(drawn, truth).mean())


@dataclass(frozen=True)
class FrequencyBaseline:
    """Per task the letter most frequent in training, or the number that scores best there.

    Of a choice that training never asks it knows no letter, and takes any option.
    """

    answers: dict[str, str]
    name: str = "frequency"

    @classmethod
    def fit(cls, train: Iterable[Question]) -> FrequencyBaseline:
        """Count letters; find each numeric task's best constant."""
        train = list(train)
        letters: dict[str, Counter[str]] = defaultdict(Counter)
        for question in train:
            if question.kind == "choice":
                letters[question.task][question.answer] += 1
        # Ties go to the first letter, whatever the order of the questions.
        answers = {
            task: min(counts, key=lambda letter: (-counts[letter], letter))
            for task, counts in letters.items()
        }
        numbers = _numbers(train)
        return cls(
            answers
            | {task: f"{best_constant(n, TOLERANCES / 100):.6g}" for task, n in numbers.items()}
        )

    def answer(self, question: Question) -> tuple[str, float]:
        if question.kind == "choice" and question.task not in self.answers:
            return ANY_OPTION, 1 / len(question.options)
        reply = _of_task(self.answers, question)
        return reply, score(extract(reply, question), question)


def _numbers(questions: Iterable[Question]) -> dict[str, Float[np.ndarray, " A"]]:
    found: dict[str, list[float]] = defaultdict(list)
    for question in questions:
        if question.kind == "number":
            found[question.task].append(float(question.answer))
    return {task: np.array(values) for task, values in found.items()}


def _of_task(answers: dict, question: Question):
    if question.task not in answers:
        raise ValueError(
            f"{question.id}: no training question of task {question.task!r} to answer from; "
            "give training scenes that ask it"
        )
    return answers[question.task]
