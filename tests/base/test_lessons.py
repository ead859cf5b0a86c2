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
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.questions.curriculum import LEVELS
from spatialsv.rooms.views import render_views

ROOMS, SCENES = render_views(range(12), RoomsConfig(samples=1))
TEXTS = [room_text(room, seen) for room, seen in zip(ROOMS, SCENES.instance, strict=True)]


def _is_drill(asked) -> bool:
    return "Which letter" in asked.question


def _kinds(text: RoomText, asked: list) -> set[str]:
    """Rungs and tasks of the questions, drills apart."""
    known = {question: rung for rung, question, _ in text.steps}
    known |= {stem: task for task, stem, _, _ in text.easy}
    known |= {list_question(view): "list" for view in range(len(text.captions))}
    return {known[one.question.splitlines()[0]] for one in asked if not _is_drill(one)}


def test_early_lessons_stay_within_views_and_later_ones_climb() -> None:
    config = LessonConfig(questions=40)
    rng = np.random.default_rng(0)
    early, late = set(), set()
    for text in TEXTS:
        early |= _kinds(text, lesson(text, 0.0, config, rng))
        late |= _kinds(text, lesson(text, config.within_until, config, rng))
    assert early == {"list", *WITHIN, *RECOGNITION}
    assert late == {"list", *LEVELS, *EASY}


def test_what_is_left_to_fine_tuning_is_never_asked() -> None:
    left = ("rotation", "left_right", "nearer", "places")
    config, asked = LessonConfig(questions=40, without=left), set()
    for text in TEXTS:
        for done in (0.0, 1.0):
            asked |= _kinds(text, lesson(text, done, config, np.random.default_rng(0)))
    assert asked == {"list", *LEVELS, *EASY} - set(left)
    with pytest.raises(ValueError, match=r"lessons\.without: no lesson 'besides'; known: recogn"):
        LessonConfig(without=("besides",))


@pytest.mark.parametrize("done", [0.0, 1.0])
def test_answers_are_the_rooms_own(done: float) -> None:
    for text in TEXTS:
        asked = lesson(text, done, LessonConfig(drills=0), np.random.default_rng(1))
        assert len(asked) == LessonConfig().questions
        known = {(question, answer) for _, question, answer in text.steps}
        known |= {(stem, answer) for _, stem, answer, _ in text.easy}
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
    forms = set()
    for one in asked:
        lines = one.question.splitlines()
        place = next(i for i, line in enumerate(lines) if line.startswith("Which letter"))
        sentence = lines[place] != "Which letter?"
        told = lines[place][len("Which letter is ") : -1] if sentence else lines[place + 1]
        assert f"{one.answer}. {told}" in lines
        forms.add((sentence, place == 0))
        assert place in (0, len(lines) - 1 - (not sentence))
    assert len(forms) == 4
    assert {one.answer for one in asked} == set("ABCD")


def test_drills_stand_beside_every_lesson() -> None:
    config = LessonConfig(drills=3)
    asked = lesson(TEXTS[0], 0.0, config, np.random.default_rng(0))
    assert sum(map(_is_drill, asked)) == 3 and len(asked) == config.questions + 3


def test_letters_are_asked_for_once_the_skills_behind_them_are_there() -> None:
    config = LessonConfig(lettered_from=(0.3, 0.6), within_until=0.0, drills=0)
    lettered = {}
    for task in ("recognise_what", "rotation"):
        choice = (task, "What?", "lamp", ("lamp", "bed", "box"))
        text = RoomText(captions=(), steps=(), easy=(choice,))
        for done in (0.0, 0.3, 0.6):
            asked = [lesson(text, done, config, np.random.default_rng(i))[0] for i in range(40)]
            lettered[task, done] = {"\n" in one.question for one in asked}
            assert all((one.meant == "lamp") == ("\n" in one.question) for one in asked)
            assert all(
                one.answer == "lamp" or f"{one.answer}. lamp" in one.question for one in asked
            )
    assert lettered["recognise_what", 0.0] == lettered["rotation", 0.3] == {False}
    assert lettered["recognise_what", 0.3] == lettered["rotation", 0.6] == {False, True}


def test_texts_survive_the_disk(tmp_path) -> None:
    write_texts(tmp_path / "t.jsonl", TEXTS)
    assert read_texts(tmp_path / "t.jsonl") == TEXTS
