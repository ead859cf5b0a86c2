"""Lessons: the ladder climbs, blinkers stay with questions about one view, letters fit options."""

from __future__ import annotations

import re

import numpy as np
import pytest

from spatialsv.base.lessons import (
    EASY,
    RECOGNITION,
    WITHIN,
    LessonConfig,
    RoomText,
    drills,
    lesson,
    list_question,
    read_texts,
    room_text,
    write_texts,
)
from spatialsv.scenes.rooms.layout import RoomsConfig
from spatialsv.scenes.rooms.photograph import photograph

ROOMS, SCENES = photograph(range(12), RoomsConfig(samples=1))
TEXTS = [room_text(room, seen) for room, seen in zip(ROOMS, SCENES.instance, strict=True)]


def _kinds(text: RoomText, asked: list) -> set[str]:
    """Rungs and tasks of the questions, drills apart."""
    known = {question: rung for rung, question, _ in text.steps}
    known |= {stem: task for task, stem, _, _ in text.choices}
    known |= {list_question(view): "list" for view in range(len(text.captions))}
    stems = [one.question.splitlines()[0] for one in asked]
    return {known[stem] for stem in stems if not stem.startswith("Which letter is")}


def test_early_lessons_stay_within_views_and_later_ones_climb() -> None:
    config = LessonConfig(questions=40)
    rng = np.random.default_rng(0)
    early, late = set(), set()
    for text in TEXTS:
        early |= _kinds(text, lesson(text, 0.0, config, rng))
        late |= _kinds(text, lesson(text, config.within_until, config, rng))
    assert early == {"list", *WITHIN, *RECOGNITION}
    assert late == {"list", *WITHIN, "same", "motion", *EASY}


@pytest.mark.parametrize("done", [0.0, 1.0])
def test_answers_are_the_rooms_own(done: float) -> None:
    for text in TEXTS:
        asked = lesson(text, done, LessonConfig(drill=0.0), np.random.default_rng(1))
        assert len(asked) == LessonConfig().questions
        known = {(question, answer) for _, question, answer in text.steps}
        known |= {(stem, answer) for _, stem, answer, _ in text.choices}
        known |= {(list_question(view), list_) for view, list_ in enumerate(text.captions)}
        for one in asked:
            stem, *options = one.question.splitlines()
            told = dict(line.split(". ", 1) for line in options)
            assert (stem, told[one.answer] if options else one.answer) in known


def test_blinkers_show_the_one_view_that_a_question_names() -> None:
    config = LessonConfig(blinkers=(1.0, 1.0), questions=40)
    rng = np.random.default_rng(0)
    asked = [one for text in TEXTS for one in lesson(text, 1.0, config, rng)]
    blinkered = [one for one in asked if one.view is not None]
    for one in blinkered:
        assert set(re.findall(r"image (\d)", one.question.lower())) == {str(one.view + 1)}
    assert all(one.view is not None for one in asked if one.question.startswith("What does"))
    assert all(one.view is None for one in asked if "iewpoint" in one.question)
    without = LessonConfig(blinkers=(0.0, 0.0))
    assert all(one.view is None for one in lesson(TEXTS[0], 0.0, without, rng))


def test_drills_tell_the_option_whose_letter_they_ask() -> None:
    asked = drills(TEXTS[0], 50, np.random.default_rng(0))
    assert len(asked) == 50
    for one in asked:
        first, *options = one.question.splitlines()
        told = first.removeprefix("Which letter is ").removesuffix("?")
        assert f"{one.answer}. {told}" in options
    assert {one.answer for one in asked} == set("ABCD")


def test_an_easy_question_comes_open_lettered_and_as_a_drill() -> None:
    choice = ("rotation", "What?", "lamp", ("lamp", "bed", "box"))
    text = RoomText(captions=(), steps=(), choices=(choice,))
    config = LessonConfig(drill=0.3, open=(0.3, 0.3))
    forms = set()
    for seed in range(60):
        (one,) = lesson(text, 1.0, config, np.random.default_rng(seed))
        stem, *options = one.question.splitlines()
        forms.add((stem, len(options)))
        assert f"{one.answer}. lamp" in options if options else one.answer == "lamp"
    assert forms == {("What?", 0), ("What?", 3), ("Which letter is lamp?", 3)}


def test_texts_survive_the_disk(tmp_path) -> None:
    write_texts(tmp_path / "t.jsonl", TEXTS)
    assert read_texts(tmp_path / "t.jsonl") == TEXTS
