"""Answers from the text, learnt from the benchmark's other scenes: what its questions reveal.

A model is fitted on the questions of four fifths of the scenes and answers the others, five times.
Choices: logistic regression of whether an option is correct, from the option's words, position and
rank among numbers, and from pairs of these with the task and with words of the question. Numbers:
ridge regression of the logarithm from the words. Other answers: logistic regression over all
answers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from string import ascii_uppercase

import numpy as np
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline

from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.parsing import as_float
from spatialsv.io.letters import letter_options, options_in

FOLDS = 5
WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)?")
STRENGTH = 1.0  # of the penalties, scikit-learn's default
ITERATIONS = 300  # of the solver; the loss is nearly minimal long before
LEAST = 1e-3  # smallest number whose logarithm is fitted
Features = Mapping[str, float]


def answer_from_text(items: Sequence[Item]) -> dict[str, str]:
    """Answer each item from a model of the items of other scenes.

    Args:
        items: all of a benchmark.

    Returns:
        id -> answer; none of an item whose options are unknown, or with fewer than two scenes.
    """
    answers: dict[str, str] = {}
    kinds = {"choice": _answer_choices, "number": _answer_numbers, "text": _answer_texts}
    for kind, answer in kinds.items():
        chosen = [
            one for one in items if one.kind == kind and (kind != "choice" or options_of(one))
        ]
        scenes = [item.scene for item in chosen]
        folds = min(FOLDS, len(set(scenes)))
        if folds < 2:
            continue
        for train, test in GroupKFold(folds).split(chosen, groups=scenes):
            fitted = [chosen[number] for number in train]
            held_out = [chosen[number] for number in test]
            found = answer(fitted, held_out)
            answers |= {item.id: text for item, text in zip(held_out, found, strict=True)}
    return answers


def options_of(item: Item) -> dict[str, str]:
    """Return letter -> text of a choice's options, listed or within the question."""
    if not item.options:
        return options_in(str(item.more.get("prompt", item.question)))
    try:
        return letter_options(item.options)
    except ValueError:  # lettered in another order
        return dict(zip(ascii_uppercase, item.options, strict=False))


def _answer_choices(train: Sequence[Item], test: Sequence[Item]) -> list[str]:
    rows = [row for item in train for row in _option_features(item)]
    correct = [_is_correct(item, name) for item in train for name in options_of(item)]
    if len(set(correct)) < 2:
        return [_in_form_of(item, "A") for item in test]
    regression = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS)
    model = make_pipeline(DictVectorizer(), regression).fit(rows, correct)
    answers = []
    for item in test:
        scores = model.decision_function(_option_features(item))
        answers.append(_in_form_of(item, [*options_of(item)][int(np.argmax(scores))]))
    return answers


def _answer_numbers(train: Sequence[Item], test: Sequence[Item]) -> list[str]:
    truths = [max(as_float(item.answer) or 0.0, LEAST) for item in train]
    model = make_pipeline(DictVectorizer(), Ridge(alpha=STRENGTH))
    model.fit([_question_features(item) for item in train], np.log(truths))
    predicted = model.predict([_question_features(item) for item in test])
    return [f"{np.exp(value):.4g}" for value in predicted]


def _answer_texts(train: Sequence[Item], test: Sequence[Item]) -> list[str]:
    if len(answers := {item.answer for item in train}) < 2:
        return [*answers] * len(test)
    regression = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS)
    model = make_pipeline(DictVectorizer(), regression)
    model.fit([_question_features(item) for item in train], [item.answer for item in train])
    return [str(text) for text in model.predict([_question_features(item) for item in test])]


def _is_correct(item: Item, letter: str) -> bool:
    return item.answer in (letter, options_of(item)[letter])


def _in_form_of(item: Item, letter: str) -> str:
    """Return the option in the form of the item's answer: its letter, or its text."""
    options = options_of(item)
    return letter if item.answer in options else options[letter]


def _question_features(item: Item) -> Features:
    words = WORD.findall(item.question.lower())
    counts = Counter(f"word {word}" for word in words)
    counts.update(f"task {item.task}, word {word}" for word in words)
    counts[f"task {item.task}"] = 1
    return {name: float(count) for name, count in counts.items()}


def _option_features(item: Item) -> list[Features]:
    """Return the features of each option, also paired with the task and words of the question."""
    options = options_of(item)
    stem = item.question.lower()
    for text in options.values():
        stem = stem.replace(text.lower(), " ")
    words = dict.fromkeys(WORD.findall(stem))
    ranks = _ranks([*options.values()])
    rows: list[Features] = []
    for number, (letter, text) in enumerate(options.items()):
        plain = " ".join(WORD.findall(text.lower()))
        own = [f"option {plain}", f"letter {letter}", *(f"part {word}" for word in plain.split())]
        own += [f"rank {ranks[number]} of {len(options)}"] if ranks else []
        paired = [f"task {item.task}, {one}" for one in own]
        paired += [f"word {word}, option {plain}" for word in words]
        rows.append(dict.fromkeys([*own, *paired], 1.0))
    return rows


def _ranks(texts: Sequence[str]) -> list[int]:
    """Return the rank of each option among all if they are numbers, else nothing."""
    numbers = [as_float(found[0]) if (found := WORD.findall(text)) else None for text in texts]
    values = [number for number in numbers if number is not None]
    if len(values) < len(texts):
        return []
    return np.argsort(np.argsort(values, kind="stable"), kind="stable").tolist()
