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
    stems = [one.question.splitlines()[0] for one in asked if "letter" not in one.question]
    return {known[stem] for stem in stems}


def _form(asked) -> str:
    if "Which letter is" in asked.question:
        return "drill"
    return "lettered" if "\n" in asked.question else "open"


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
        asked = lesson(text, done, LessonConfig(forms=(0.5, 0.0)), np.random.default_rng(1))
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
    asked = drills(TEXTS[0], 60, np.random.default_rng(0))
    assert len(asked) == 60
    places = set()
    for one in asked:
        lines = one.question.splitlines()
        (place,) = (i for i, line in enumerate(lines) if line.startswith("Which letter is "))
        told = lines[place].removeprefix("Which letter is ").removesuffix("?")
        assert f"{one.answer}. {told}" in lines
        places.add("first" if place == 0 else "last" if place == len(lines) - 1 else "between")
    assert places == {"first", "last"}
    assert {one.answer for one in asked} == set("ABCD")


def test_letters_are_asked_for_once_the_skills_behind_them_are_there() -> None:
    config = LessonConfig(lettered_from=(0.3, 0.6), within_until=0.0)
    asked = {}
    for task in ("recognise_what", "rotation"):
        choice = (task, "What?", "lamp", ("lamp", "bed", "box"))
        text = RoomText(captions=(), steps=(), choices=(choice,))
        for done in (0.0, 0.3, 0.6):
            found = [lesson(text, done, config, np.random.default_rng(i))[0] for i in range(60)]
            asked[task, done] = {_form(one) for one in found}
            assert all(
                one.answer == "lamp" or f"{one.answer}. lamp" in one.question for one in found
            )
    every = {"open", "drill", "lettered"}
    assert asked["recognise_what", 0.0] == asked["rotation", 0.3] == every - {"lettered"}
    assert asked["recognise_what", 0.3] == asked["rotation", 0.6] == every


def test_texts_survive_the_disk(tmp_path) -> None:
    write_texts(tmp_path / "t.jsonl", TEXTS)
    assert read_texts(tmp_path / "t.jsonl") == TEXTS
