"""A cheater that answers from texts alone: if it beats chance, questions give answers away.

For each task it fits a conditional logit to training questions: an option's score is the sum of
weights of its words, its place, and all pairs of a word of the stem and a word of the option;
the option with the best score is its answer. Numbers become a choice among bins of the training
answers, equally full as far as possible.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spatialsv.scenes.question import Question

BINS = 4  # for numbers
STEPS, RATE = 150, 0.5  # of gradient ascent
PRIOR = (3.0, 10.0)  # ridge on single features and on pairs, in questions


@dataclass(frozen=True, kw_only=True)
class TextOnlyScore:
    """How well one task's answers can be told from texts."""

    right: int
    total: int
    chance: float  # choice: mean of 1 / options; number: share of the commonest training bin

    @property
    def accuracy(self) -> float:
        return self.right / self.total

    def interval(self, z: float = 1.96) -> tuple[float, float]:
        """Wilson's interval of the accuracy at `z` standard deviations."""
        n, p = self.total, self.accuracy
        middle, spread = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        low, high = ((middle + side * spread) / (1 + z * z / n) for side in (-1, 1))
        return float(low), float(high)


def text_only_accuracy(
    train: Sequence[Question], test: Sequence[Question]
) -> dict[str, TextOnlyScore]:
    """Fit the cheater on `train`, score it on `test`: task -> score, for tasks that both hold."""
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
    fitted = _encode(train, edges, vocabulary, grow=True)
    weights = _fit(*fitted, np.array([PRIOR[" x " in word] for word in vocabulary]))
    rows, features, question, answer = _encode(test, edges, vocabulary, grow=False)
    score = np.bincount(rows, weights[features], minlength=len(question))
    score += 1e-9 * np.random.default_rng(0).random(len(score))  # ties fall at random
    best = np.full(len(test), -np.inf)
    np.maximum.at(best, question, score)
    right = int((score[answer] == best).sum())
    if edges is None:
        chance = float(np.mean([1 / len(q.options) for q in test]))
    else:
        held = np.bincount(np.searchsorted(edges, [float(q.answer) for q in train], side="right"))
        chance = float(held.max() / held.sum())
    return TextOnlyScore(right=right, total=len(test), chance=chance)


def _edges(numbers: np.ndarray) -> np.ndarray:
    """Inner borders of about equally full bins; one bin a value where values are few."""
    values = np.unique(numbers)
    if len(values) <= BINS:
        return values[1:]
    return np.unique(np.quantile(numbers, np.arange(1, BINS) / BINS))


def _encode(questions, edges, vocabulary: dict[str, int], *, grow: bool):
    """Flat features: option row and feature number of each; each row's question; right rows."""
    rows, features, question, answer = [], [], [], []
    for number, one in enumerate(questions):
        options, right = one.options, None
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
    """Ridge-penalised maximum likelihood of a softmax over each question's options, by Adagrad."""
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
