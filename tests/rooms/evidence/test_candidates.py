"""Questions across views: hidden objects are hidden, answers are those of the world frame."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spatialsv.rooms.evidence import balance_twins, measure_pairs, single_view_candidates
from spatialsv.rooms.evidence.candidates import METRES_APART, PER_ROOM, mean_pose
from spatialsv.rooms.evidence.pairs import find_boxes, move_to_view
from spatialsv.rooms.evidence.wording import to_questions
from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.questions.solve import solve
from spatialsv.rooms.questions.visibility import measure_visibility
from spatialsv.rooms.render import render_room
from spatialsv.scenes.question import (
    CROSS_VIEW,
    SINGLE_VIEW,
    read_questions,
    write_questions,
)


@pytest.fixture(scope="module")
def twins(pairs):
    return single_view_candidates(pairs, 0)


def world(pairs, row, name) -> np.ndarray:
    return pairs.measured[row.room].room.objects[getattr(row, name)].centre[:2]


def true_answer(pairs, row) -> bool:
    """The answer in the world frame, from poses and centres alone."""
    pose = pairs.measured[row.room].room.cam_to_world[row.view]
    eye, ahead = pose[:2, 3], pose[:2, 2]
    a = world(pairs, row, "a")
    form = row.task.split("_")[1]
    if form == "side":
        return ahead[0] * (a - eye)[1] - ahead[1] * (a - eye)[0] < 0  # clockwise: right
    b = world(pairs, row, "b")
    if form == "nearer":
        return np.linalg.norm(a - eye) < np.linalg.norm(b - eye)
    if form == "apart":
        return np.linalg.norm(a - b) > METRES_APART
    facing, towards = b - a, world(pairs, row, "c") - a
    return facing[0] * towards[1] - facing[1] * towards[0] < 0


def test_answers_are_those_of_the_world_frame(pairs, candidates, twins) -> None:
    for row in pd.concat([candidates, twins]).sample(2000, random_state=0).itertuples():
        assert row.answer == true_answer(pairs, row)


def test_cross_view_questions_need_both_views(pairs, candidates) -> None:
    assert set(candidates["task"]) == set(CROSS_VIEW)
    assert candidates.groupby(["task", "room"]).size().max() <= PER_ROOM
    for row in candidates.itertuples():
        measured = pairs.measured[row.room]
        items = [item for item in (row.a, row.b, row.c) if item >= 0]
        assert len(set(items)) == len(items)
        assert measured.visible[:, items].any(axis=0).all()
        if row.task == "cross_side":
            assert measured.invisible[row.view, row.a]
        elif row.task == "cross_nearer":
            assert measured.invisible[row.view, (row.a, row.b)[row.slot]]
        else:  # no view shows all
            assert measured.invisible[:, items].any(axis=1).all()


def test_one_view_shows_all_objects_of_a_twin(pairs, twins) -> None:
    assert set(twins["task"]) == set(SINGLE_VIEW)
    for row in twins.itertuples():
        items = [item for item in (row.a, row.b, row.c) if item >= 0]
        assert pairs.measured[row.room].visible[row.view, items].all()
    chosen = balance_twins(twins, 0)
    shares = chosen.groupby(["task", "view"])["answer"].mean()
    assert (shares == 0.5).all() and len(shares) == 8
    assert chosen.groupby(["task", "room"]).size().max() <= 4


def test_rules_solve_the_words_of_every_form(pairs, candidates, twins, tmp_path) -> None:
    rows = pd.concat([candidates, twins]).groupby("task").head(200)
    questions = to_questions(rows, pairs, 0)
    assert len({question.id for question in questions}) == len(rows)
    for question, room in zip(questions, rows["room"], strict=True):
        assert question.scene == pairs.measured[room].room.id and question.views == (0, 1)
        assert solve(question, pairs.measured[room]) == question.answer
    letters = pd.Series([question.answer for question in questions]).groupby(rows["task"].tolist())
    assert (letters.value_counts() == 100).all()
    write_questions(tmp_path / "questions.jsonl", questions)
    assert read_questions(tmp_path / "questions.jsonl") == questions


def test_the_true_pose_moves_objects_to_their_true_positions(pairs) -> None:
    moved = move_to_view(pairs, pairs.turn, pairs.shift)
    np.testing.assert_allclose(moved, pairs.position, atol=1e-9)


def test_the_mean_pose_depends_on_the_side_of_the_turn_only(pairs) -> None:
    turn, shift = mean_pose(pairs)
    left = pairs.turn > 0
    assert len(np.unique(turn)) == 2 and len(np.unique(shift, axis=0)) == 2
    assert turn[left][0] == pytest.approx(pairs.turn[left].mean())


def test_boxes_hold_an_objects_pixels() -> None:
    instance = np.zeros((2, 4, 8), dtype=np.int16)
    instance[1, 1:3, 2:6] = 2
    boxes = find_boxes(instance, 3)
    assert boxes[1, 1].tolist() == [0.25, 0.25, 0.75, 0.75]
    assert boxes.sum() == boxes[1, 1].sum()


def test_rooms_without_two_views_are_refused() -> None:
    config = RoomsConfig(image_size=32, samples=1)
    room = make_room(0, config)
    mask = render_room(room, 32, 1).instance
    with pytest.raises(ValueError, match=r"Room rooms-00000000 has 4 views.*rooms.views to 2"):
        measure_pairs([measure_visibility(room, mask)], [mask])
