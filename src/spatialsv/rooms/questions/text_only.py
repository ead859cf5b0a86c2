"""A text-only classifier: accuracy above chance means that question texts reveal answers.

For each task it fits a conditional logit to training questions. The score of an option is the sum
of the weights of its words, its position, and all pairs of a stem word and an option word. Numbers
become a choice among bins of the training answers, as equally filled as possible.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spatialsv.scenes.question import Question

BINS = 4  # of numeric answers
STEPS, RATE = 150, 0.5  # of gradient ascent
PRIOR = (3.0, 10.0)  # ridge on single features and on pairs, in questions


@dataclass(frozen=True, kw_only=True)
class TextOnlyScore:
    """Text-only accuracy on one task."""

    correct: int
    total: int
    chance: float  # choice: mean of 1 / options; number: share of the most frequent training bin

    @property
    def accuracy(self) -> float:
        """Return the share of correct answers."""
        return self.correct / self.total

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """Return the Wilson interval of the accuracy at `z` standard deviations."""
        n, p = self.total, self.accuracy
        middle, spread = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        low, high = ((middle + side * spread) / (1 + z * z / n) for side in (-1, 1))
        return float(low), float(high)


def text_only_accuracy(
    train: Sequence[Question], test: Sequence[Question]
) -> dict[str, TextOnlyScore]:
    """Fit on `train` and score on `test`, for each task that both contain."""
    by_task = [_group(train), _group(test)]
    return {
        task: _fit_and_score(by_task[0][task], by_task[1][task])
        for task in sorted(by_task[0].keys() & by_task[1].keys())
    }


def _group(questions: Sequence[Question]) -> dict[str, list[Question]]:
    groups = defaultdict(list)
    for question in questions:
        groups[question.task].append(question)
    return groups


def _fit_and_score(train: list[Question], test: list[Question]) -> TextOnlyScore:
    edges = None
    if not train[0].options:
        edges = _edges(np.array([float(q.answer) for q in train]))
    vocabulary: dict[str, int] = {}
    weights = _fit(
        *_encode(train, edges, vocabulary, grow=True),
        prior=np.array([PRIOR[" x " in word] for word in vocabulary]),
    )
    rows, features, question, answer = _encode(test, edges, vocabulary, grow=False)
    ties = 1e-9 * np.random.default_rng(0).random(len(question))  # broken at random
    score = np.bincount(rows, weights[features], minlength=len(question)) + ties
    best = np.full(len(test), -np.inf)
    np.maximum.at(best, question, score)
    correct = int((score[answer] == best).sum())
    if edges is None:
        chance = float(np.mean([1 / len(q.options) for q in test]))
    else:
        held = np.bincount(np.searchsorted(edges, [float(q.answer) for q in train], side="right"))
        chance = float(held.max() / held.sum())
    return TextOnlyScore(correct=correct, total=len(test), chance=chance)


def _edges(numbers: np.ndarray) -> np.ndarray:
    """Return inner edges of equally filled bins, or of one bin per value if there are few."""
    values = np.unique(numbers)
    if len(values) <= BINS:
        return values[1:]
    return np.unique(np.quantile(numbers, np.arange(1, BINS) / BINS))


def _encode(
    questions: Sequence[Question],
    edges: np.ndarray | None,
    vocabulary: dict[str, int],
    *,
    grow: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return flat features: option row and feature index; question of each row; correct rows."""
    rows: list[int] = []
    features: list[int] = []
    question: list[int] = []
    answer: list[int] = []
    for number, one in enumerate(questions):
        options = one.options
        if edges is not None:
            options = tuple(f"bin{i}" for i in range(len(edges) + 1))
            right = int(np.searchsorted(edges, float(one.answer), side="right"))
        else:
            right = "ABCDEF".index(one.answer)
        stem = sorted(set(_words(one.text.split("\n")[0])))
        answer.append(len(question) + right)
        for place, option in enumerate(options):
            for feature in _features(option, place, stem):
                if grow:
                    vocabulary.setdefault(feature, len(vocabulary))
                if feature in vocabulary:
                    rows.append(len(question))
                    features.append(vocabulary[feature])
            question.append(number)
    return np.array(rows), np.array(features), np.array(question), np.array(answer)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9-]+", text.lower())


def _features(option: str, place: int, stem: list[str]) -> list[str]:
    parts = option.split(", ")
    own = [f"{i} {word}" for i, part in enumerate(parts) for word in _words(part)]
    own += [f"place {place}", f"length {len(own)}"]
    return own + [f"{word} x {cue}" for word in own for cue in stem]


def _fit(rows, features, question, answer, prior) -> np.ndarray:
    """Fit a ridge-penalised softmax over the options of each question, by Adagrad."""
    weights, squares = np.zeros(len(prior)), np.full(len(prior), 1e-6)
    truth = np.zeros(len(question))
    truth[answer] = 1
    for _ in range(STEPS):
        odds = np.exp(np.bincount(rows, weights[features], minlength=len(question)))
        share = odds / np.bincount(question, odds)[question]
        gradient = np.bincount(features, (truth - share)[rows], minlength=len(prior))
        gradient -= prior * weights
        squares += gradient**2
        weights += RATE * gradient / np.sqrt(squares)
    return weights
