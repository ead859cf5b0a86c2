"""What can be had without looking: random answers, and one answer to all questions of a task.

Values are expected scores, question by question, by the scorer's own rules; its own `aggregate`
makes scores of them, so that what must be right at once is as unlikely as it is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from string import ascii_uppercase

import numpy as np

from spatialsv.benchmarks.benchmark import Scorer, Scores
from spatialsv.benchmarks.item import Item
from spatialsv.benchmarks.rules import THRESHOLDS, as_float
from spatialsv.stats.accuracy import best_constant

UNKNOWN = float("nan")


def random(items: Sequence[Item], rules: Scorer) -> Scores:
    """Any option with equal chance. NaN of tasks that ask for numbers or words, which have none."""
    return rules.aggregate([(item, _any_option(item, rules)) for item in items])


def frequency(items: Sequence[Item], rules: Scorer) -> Scores:
    """Of each task the one answer that scores best on all its questions.

    It is the most frequent one, as in VSI-Bench's "chance level (frequency)", or of numbers the
    constant that fits best where that scores more. Like theirs it is found on the questions that it
    is scored on: a bar for answers without looking, which no model is sure to reach that has not
    seen the answers. To find it on other scenes would be no fairer: where answers are balanced, to
    leave a scene out makes its own answers the rarer ones, and puts chance below that of random
    answers.
    """
    members: dict[str, list[Item]] = {}
    for item in items:
        members.setdefault(item.task, []).append(item)
    best = {task: _best_answer(found, rules) for task, found in members.items()}
    return rules.aggregate([(item, _scored(item, best[item.task], rules)) for item in items])


def _scored(item: Item, answer: str, rules: Scorer) -> float | None:
    return rules.score(item, rules.read(item, answer))


def _any_option(item: Item, rules: Scorer) -> float | None:
    count = options_of(item)
    if item.kind != "choice" or count is None:
        return UNKNOWN
    letters = ascii_uppercase[:count]
    answers = letters if item.answer in letters else item.options
    values = [_scored(item, answer, rules) for answer in answers]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def options_of(item: Item) -> int | None:
    """How many options a choice has; where they stand in the question, as letters from A on."""
    if item.options:
        return len(item.options)
    for count, letter in enumerate(ascii_uppercase):
        if not re.search(rf"\b{letter}[.:)]", item.question):
            return count or None
    return None


def _best_answer(items: Sequence[Item], rules: Scorer) -> str:
    """Ties go to the first by name, whatever the order of the questions."""
    counts = Counter(item.answer for item in items)
    answers = [min(counts, key=lambda answer: (-counts[answer], answer))]
    numbers = [as_float(item.answer) for item in items]
    if items[0].kind == "number" and None not in numbers:
        answers.append(f"{best_constant(np.array(numbers), 1 - THRESHOLDS):.6g}")
    totals = [sum(_scored(item, answer, rules) or 0 for item in items) for answer in answers]
    return answers[int(np.argmax(totals))]
