"""Pretraining tasks: levels come in order, view masks fit their question, letters fit options."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from spatialsv.base.tasks import (
    EASY,
    RECOGNITION,
    SINGLE_VIEW,
    PretrainingConfig,
    RoomQuestions,
    TaskSampler,
    caption_question,
    read_room_questions,
    room_questions,
    write_room_questions,
)
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.questions.curriculum import LEVELS
from spatialsv.rooms.views import render_views

ROOMS, SCENES = render_views(range(12), RoomsConfig(samples=1))
PAIRS = zip(ROOMS, SCENES.instance, strict=True)
TEXTS = [room_questions(room, instance) for room, instance in PAIRS]


def sample(text, done, config, rng):
    return TaskSampler(config).sample(text, done, rng)


def _is_letter_question(asked) -> bool:
    return "Which letter" in asked.question


def _kinds(text: RoomQuestions, asked: list) -> set[str]:
    """Levels and tasks of the questions, without those for letters."""
    known = {question: level for level, question, _ in text.curriculum}
    known |= {stem: task for task, stem, _, _ in text.easy}
    known |= {caption_question(view): "list" for view in range(len(text.captions))}
    return {known[one.question.splitlines()[0]] for one in asked if not _is_letter_question(one)}


def test_early_samples_stay_within_views_and_later_ones_do_not() -> None:
    config = PretrainingConfig(questions=40)
    rng = np.random.default_rng(0)
    early, late = set(), set()
    for text in TEXTS:
        early |= _kinds(text, sample(text, 0.0, config, rng))
        late |= _kinds(text, sample(text, config.single_view_until, config, rng))
    assert early == {"list", *SINGLE_VIEW, *RECOGNITION}
    assert late == {"list", *LEVELS, *EASY}


def test_what_is_left_to_fine_tuning_is_never_asked() -> None:
    left = ("rotation", "left_right", "nearer", "places")
    config, asked = PretrainingConfig(questions=40, exclude=left), set()
    for text in TEXTS:
        for done in (0.0, 1.0):
            asked |= _kinds(text, sample(text, done, config, np.random.default_rng(0)))
    assert asked == {"list", *LEVELS, *EASY} - set(left)
    with pytest.raises(ValueError, match=r"unknown task 'besides'\. Known tasks: recog"):
        PretrainingConfig(exclude=("besides",))


@pytest.mark.parametrize("done", [0.0, 1.0])
def test_answers_are_the_rooms_own(done: float) -> None:
    for text in TEXTS:
        asked = sample(text, done, PretrainingConfig(letters=0), np.random.default_rng(1))
        assert len(asked) == PretrainingConfig().questions
        known = {(question, answer) for _, question, answer in text.curriculum}
        known |= {(stem, answer) for _, stem, answer, _ in text.easy}
        known |= {(caption_question(view), list_) for view, list_ in enumerate(text.captions)}
        for one in asked:
            stem, *options = one.question.splitlines()
            told = dict(line.split(". ", 1) for line in options)
            assert (stem, told[one.answer] if options else one.answer) in known


def test_view_masks_show_the_one_view_that_a_question_names() -> None:
    config = PretrainingConfig(view_mask=(1.0, 1.0), questions=40)
    rng = np.random.default_rng(0)
    asked = [one for text in TEXTS for one in sample(text, 1.0, config, rng)]
    masked = [one for one in asked if one.view is not None]
    for one in masked:
        assert set(re.findall(r"image (\d)", one.question.lower())) == {str(one.view + 1)}
    assert all(one.view is not None for one in asked if one.question.startswith("What does"))
    assert all(one.view is None for one in asked if "iewpoint" in one.question)
    without = PretrainingConfig(view_mask=(0.0, 0.0))
    assert all(one.view is None for one in sample(TEXTS[0], 0.0, without, rng))


def test_letter_questions_state_the_option_whose_letter_they_want() -> None:
    asked = TaskSampler.sample_letters(TEXTS[0], 60, np.random.default_rng(0))
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


def test_rooms_without_options_still_give_letter_questions() -> None:
    bare = replace(TEXTS[0], easy=tuple((*e[:3], ()) for e in TEXTS[0].easy))
    asked = TaskSampler.sample_letters(bare, 4, np.random.default_rng(0))
    assert len(asked) == 4
    for entry in asked:
        assert f"{entry.answer}. " in entry.question and "left" in entry.question
    rng = np.random.default_rng(0)
    assert any(map(_is_letter_question, sample(bare, 0.9, PretrainingConfig(), rng)))


def test_letter_questions_are_added_to_every_sample() -> None:
    config = PretrainingConfig(letters=3)
    asked = sample(TEXTS[0], 0.0, config, np.random.default_rng(0))
    assert sum(map(_is_letter_question, asked)) == 3 and len(asked) == config.questions + 3


def test_letters_are_asked_for_once_the_skills_behind_them_are_there() -> None:
    config = PretrainingConfig(options_from=(0.3, 0.6), single_view_until=0.0, letters=0)
    lettered = {}
    for task in ("recognise_what", "rotation"):
        choice = (task, "What?", "lamp", ("lamp", "bed", "box"))
        text = RoomQuestions(captions=(), curriculum=(), easy=(choice,))
        for done in (0.0, 0.3, 0.6):
            asked = [sample(text, done, config, np.random.default_rng(i))[0] for i in range(40)]
            lettered[task, done] = {"\n" in one.question for one in asked}
            assert all((one.option == "lamp") == ("\n" in one.question) for one in asked)
            assert all(
                one.answer == "lamp" or f"{one.answer}. lamp" in one.question for one in asked
            )
    assert lettered["recognise_what", 0.0] == lettered["rotation", 0.3] == {False}
    assert lettered["recognise_what", 0.3] == lettered["rotation", 0.6] == {False, True}


def test_texts_survive_the_disk(tmp_path) -> None:
    write_room_questions(tmp_path / "t.jsonl", TEXTS)
    assert read_room_questions(tmp_path / "t.jsonl") == TEXTS
