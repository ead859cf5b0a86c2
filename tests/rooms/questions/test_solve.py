"""Answers from a measured room are those of the questions asked of it, in every wording."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from helpers.rooms import sketch
from spatialsv.rooms.from_points import visibility_from_points
from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.questions import generate_questions
from spatialsv.rooms.questions.solve import SOLVERS, solve
from spatialsv.rooms.questions.visibility import measure_visibility
from spatialsv.scenes.question import Question


@pytest.fixture(scope="module")
def rooms():
    """Rooms by id, with their masks."""
    made = [make_room(seed, RoomsConfig()) for seed in range(60)]
    return {room.id: (room, sketch(room)) for room in made}


@pytest.fixture(scope="module")
def questions(rooms) -> list[Question]:
    """All that can be asked of them, options in random order."""
    rng = np.random.default_rng(0)
    chosen_per_task = [
        candidate
        for room, instance in rooms.values()
        for candidate in generate_questions(room, instance)
    ]
    return [
        candidate.question(str(i), rng.permutation(len(candidate.options)).tolist())
        for i, candidate in enumerate(chosen_per_task)
    ]


def test_the_room_itself_answers_every_question(rooms, questions):
    measured = {name: measure_visibility(*known) for name, known in rooms.items()}
    tasks = Counter()
    for question in questions:
        said = solve(question, measured[question.scene])
        if question.task not in SOLVERS:
            assert said is None
            continue
        tasks[question.task] += 1
        if question.kind == "choice":
            assert said == question.answer, question.text
        else:  # the answer is rounded
            assert said == pytest.approx(float(question.answer), abs=0.51), question.text
    # Tasks across two free views: tests/rooms/evidence/test_candidates.py.
    own = {task for task in SOLVERS if not task.startswith(("cross_", "single_"))}
    assert set(tasks) == own and min(tasks.values()) >= 20


def test_a_mirrored_room_swaps_left_and_right(rooms, questions):
    """The answers follow what is measured, not the text."""
    swapped = 0
    for question in questions:
        if question.task != "rel_direction_easy":
            continue
        room, instance = rooms[question.scene]
        measured = measure_visibility(room, instance)
        assert solve(question, replace(measured, bearing=-measured.bearing)) != question.answer
        swapped += 1
    assert swapped > 20


def test_without_a_place_there_is_no_answer(rooms, questions):
    room, instance = rooms[questions[0].scene]
    nowhere = np.zeros((*instance.shape, 3))
    measured = visibility_from_points(room, nowhere, np.zeros_like(instance), room.cam_to_world)
    for question in questions:
        if question.scene == room.id and question.task in SOLVERS:
            walked = "camera move" in question.text or "Which way" in question.text
            known = walked or question.task == "room_size"
            assert (solve(question, measured) is not None) == known, question.text
