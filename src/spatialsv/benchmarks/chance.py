"""Chance: expected scores of random answers, and of one constant answer to all items of a task.

Scores follow the protocol's own rules, item by item, and its own `aggregate` averages them, so that
items that must be correct together are as unlikely as they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from string import ascii_uppercase

import numpy as np

from spatialsv.benchmarks.benchmark import Item, Protocol, Scores
from spatialsv.benchmarks.parsing import as_float
from spatialsv.stats.accuracy import TOLERANCES, best_constant

UNKNOWN = float("nan")


def random_scores(items: Sequence[Item], protocol: Protocol) -> Scores:
    """Return the scores of random options; NaN of tasks that ask for numbers or words."""
    return protocol.aggregate([(item, random_score(item, protocol)) for item in items])


def frequency_scores(items: Sequence[Item], protocol: Protocol) -> Scores:
    """Return the scores of the one answer to each task that scores best on these very items.

    It is the most frequent answer, as in VSI-Bench's "chance level (frequency)", or the constant
    number that fits best where that scores more. Like theirs it is determined on the items that it
    is scored on: an upper bound for answering without images, which a model need not reach.
    Determining it on other scenes would not be fairer: where answers are balanced, those of a
    scene that is held out are the rarer ones in the rest, which puts chance below random answers.
    """
    answers = constant_answers(items, protocol)
    return protocol.aggregate([(item, score(item, answers[item.task], protocol)) for item in items])


def score(item: Item, response: str, protocol: Protocol) -> float | None:
    """Return the score of a response to an item."""
    return protocol.score(item, protocol.parse_response(item, response))


def random_score(item: Item, protocol: Protocol, answers: Iterable[str] = ()) -> float | None:
    """Return the expected score of a random answer: any option, or any of `answers`.

    Args:
        item: a choice, a number or an open question.
        protocol: scores the answers.
        answers: answers to draw from where the item has no options.

    Returns:
        The mean score; None where the protocol skips the item, NaN where nothing can be drawn.
    """
    if item.kind != "choice" and (drawn := list(answers)):
        values = {answer: score(item, answer, protocol) for answer in dict.fromkeys(drawn)}
        return float(np.array([values[answer] for answer in drawn], dtype=float).mean())
    count = count_options(item)
    if item.kind != "choice" or count is None:
        return UNKNOWN
    letters = tuple(ascii_uppercase[:count])
    options = letters if item.answer in letters else item.options
    scores = [score(item, option, protocol) for option in options]
    counted = [value for value in scores if value is not None]
    return sum(counted) / len(counted) if counted else None


def count_options(item: Item) -> int | None:
    """Return the number of options of a choice, listed or lettered from A in the question."""
    if item.options:
        return len(item.options)
    for count, letter in enumerate(ascii_uppercase):
        if not re.search(rf"\b{letter}[.:)]", item.question):
            return count or None
    return None


def constant_answers(items: Iterable[Item], protocol: Protocol) -> dict[str, str]:
    """Find the one answer of each task that scores best on all of its items.

    Candidates are the most frequent answer and, of numbers, the constant of the greatest MRA, which
    wins ties. Among equally frequent answers the first in sorted order is taken.

    Args:
        items: of any tasks.
        protocol: scores the answers.

    Returns:
        task -> answer.
    """
    members: dict[str, list[Item]] = {}
    for item in items:
        members.setdefault(item.task, []).append(item)
    return {task: _constant_answer(task_items, protocol) for task, task_items in members.items()}


def _constant_answer(items: Sequence[Item], protocol: Protocol) -> str:
    counts = Counter(item.answer for item in items)
    candidates = [min(counts, key=lambda answer: (-counts[answer], answer))]
    numbers = [as_float(item.answer) for item in items]
    truths = [number for number in numbers if number is not None]
    if items[0].kind == "number" and len(truths) == len(items):
        candidates.insert(0, f"{best_constant(np.array(truths), TOLERANCES):.6g}")
    totals = [sum(score(item, answer, protocol) or 0 for item in items) for answer in candidates]
    return candidates[int(np.argmax(totals))]
