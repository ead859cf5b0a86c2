"""Answers from the text alone: found where the text reveals them, and never from the same scene."""

from __future__ import annotations

import numpy as np
import pytest

from spatialsv.benchmarks.benchmark import Item
from spatialsv.evaluate.text_prior import answer_from_text, options_of

COLOURS = ("red", "green", "blue", "grey")


def choice(number: int, correct: str, scene: str = "", **fields) -> Item:
    rng = np.random.default_rng(number)
    options = tuple(rng.permutation(COLOURS).tolist())
    known = {"task": "t", "kind": "choice", "question": "Which colour?", "options": options}
    known |= {"answer": "ABCD"[options.index(correct)], "scene": scene or str(number)}
    return Item(id=str(number), **known | fields)


def accuracy(items: list[Item]) -> float:
    answers = answer_from_text(items)
    return float(np.mean([answers[item.id] == item.answer for item in items]))


def test_an_option_that_is_often_correct_is_found_wherever_it_stands():
    assert accuracy([choice(number, "red") for number in range(40)]) == 1


def test_a_word_of_the_question_that_gives_the_answer_away_is_found():
    items = [
        choice(n, COLOURS[n % 4], question=f"Which colour, as of {'abcd'[n % 4] * 3}?")
        for n in range(80)
    ]
    assert accuracy(items) == 1


def test_random_answers_are_not_found():
    rng = np.random.default_rng(1)
    items = [choice(n, COLOURS[rng.integers(4)]) for n in range(400)]
    assert 0.15 < accuracy(items) < 0.35


def test_nothing_is_learnt_from_the_same_scene():
    """Each scene has an answer of its own, told by a word that no other scene has."""
    rng = np.random.default_rng(2)
    scenes = [(f"scene{n}", COLOURS[rng.integers(4)]) for n in range(60)]
    items = [
        choice(10 * n + k, colour, scene, question=f"Which colour in {'xyzw'[n % 4]}{scene}?")
        for n, (scene, colour) in enumerate(scenes)
        for k in range(5)
    ]
    assert accuracy(items) < 0.5


def test_numbers_are_predicted_by_task():
    sizes = {"chair": 90, "room": 20}
    items = [
        Item(
            id=str(n),
            task=(task := ("chair", "room")[n % 2]),
            kind="number",
            question=f"How large is the {task}?",
            answer=str(sizes[task]),
            scene=str(n),
        )
        for n in range(20)
    ]
    for item in items:
        found = float(answer_from_text(items)[item.id])
        assert found == pytest.approx(float(item.answer), rel=0.2)


def test_answers_in_words_and_in_options():
    items = [
        Item(id=str(n), task="t", kind="text", question="Is it?", answer="yes", scene=str(n))
        for n in range(10)
    ]
    assert set(answer_from_text(items).values()) == {"yes"}
    said = [choice(n, "red", answer="red") for n in range(20)]  # as OST-Bench's
    assert set(answer_from_text(said).values()) == {"red"}


def test_one_scene_or_unknown_options_give_no_answer():
    assert answer_from_text([choice(n, "red", "s") for n in range(9)]) == {}
    unknown = [choice(n, "red", options=()) for n in range(9)]
    assert answer_from_text(unknown) == {}
    asked = choice(0, "red", options=(), question="Which?\nA. red\nB. green")
    assert options_of(asked) == {"A": "red", "B": "green"}
