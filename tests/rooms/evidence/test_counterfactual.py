"""Counterfactuals: the same words, another geometry, the other answer."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.view_pairs import CONFIG
from spatialsv.rooms.evidence.candidates import measure
from spatialsv.rooms.evidence.counterfactual import (
    counterfactual_poses,
    exchange_names,
    flipped_by_rearrangement,
    pose_change,
    rearrange,
)
from spatialsv.rooms.evidence.pairs import move_to_view
from spatialsv.rooms.evidence.wording import to_questions
from spatialsv.rooms.room import camera_pose


def true_answer(room, row, index) -> bool:
    """The answer in the world frame, from poses and centres alone."""
    pose = room.cam_to_world[row.view]
    eye, ahead = pose[:2, 3], pose[:2, 2]
    a, b, c = (room.objects[index[i]].centre[:2] if i >= 0 else None for i in row[["a", "b", "c"]])
    form = row.task.split("_")[1]
    if form == "side":
        return ahead[0] * (a - eye)[1] - ahead[1] * (a - eye)[0] < 0
    if form == "nearer":
        return np.linalg.norm(a - eye) < np.linalg.norm(b - eye)
    if form == "apart":
        return np.linalg.norm(a - b) > 3.5
    facing, towards = b - a, c - a
    return facing[0] * towards[1] - facing[1] * towards[0] < 0


def test_objects_exchange_names_and_keep_places(pairs):
    room = pairs.measured[0].room
    order = np.roll(np.arange(len(room.objects)), 1)
    changed = exchange_names(room, order)
    for source, target in enumerate(order):
        assert changed.objects[target].name == room.objects[source].name
        for field in ("centre", "size", "yaw"):
            np.testing.assert_array_equal(
                getattr(changed.objects[target], field), getattr(room.objects[target], field)
            )


def test_questions_of_rearranged_rooms_have_the_other_answer(pairs, candidates):
    rooms = [measured.room for measured in pairs.measured]
    changed = rearrange(rooms, CONFIG, 0)
    rows = flipped_by_rearrangement(candidates, changed)
    assert set(rows["task"]) == set(candidates["task"]) and len(rows) > 200
    seen = changed.pairs
    for _, row in rows.iterrows():
        order = changed.order[row.room]
        assert row.answer == true_answer(rooms[row.room], row, range(len(order)))
        assert row.answer != true_answer(seen.measured[row.room].room, row, order)
        named = [order[i] for i in row[["a", "b", "c"]] if i >= 0]
        assert all(seen.visible[row.room, :, i].any() for i in named)
        if row.task in ("cross_side", "cross_apart"):
            assert all(seen.exclusive[row.room, :, i].any() for i in named)
    first = rows.iloc[[0]]
    (question,) = to_questions(first, pairs, 0)
    order = changed.order[first["room"].iloc[0]]
    moved = first.assign(**{n: [order[i] if i >= 0 else -1 for i in first[n]] for n in "abc"})
    (other,) = to_questions(moved.assign(answer=~moved["answer"]), seen, 0)
    assert question.text.splitlines()[0] == other.text.splitlines()[0]


@pytest.mark.parametrize("flips", [True, False])
def test_a_counterfactual_pose_gives_the_answer_that_is_asked_for(pairs, candidates, flips):
    rows = candidates.groupby("task").head(50).reset_index(drop=True)
    donor = counterfactual_poses(rows, pairs, 0, flips)
    assert (donor >= 0).mean() > 0.8
    assert (donor != rows["room"]).all()
    for number, row in rows.iterrows():
        if donor[number] < 0:
            continue
        turn, shift = pairs.turn.copy(), pairs.shift.copy()
        turn[row.room], shift[row.room] = turn[donor[number]], shift[donor[number]]
        position = move_to_view(pairs, turn, shift)
        value, clear = measure(row.task.split("_")[1], position, rows.iloc[[number]])
        assert clear[0] and (value[0] > 0) == (row.answer ^ flips)


def test_a_pose_change_moves_the_second_view_to_the_other_pose(pairs):
    """Objects that only the second view shows land where the rules of questions place them."""
    for room, donor in [(0, 5), (3, 1), (8, 40)]:
        rotation, translation = pose_change(pairs, room, donor)
        pose = pairs.measured[room].room.cam_to_world
        turn, shift = pairs.turn.copy(), pairs.shift.copy()
        turn[room], shift[room] = turn[donor], shift[donor]
        expected = move_to_view(pairs, turn, shift)[room, 0]
        heading = pairs.measured[room].heading[0]
        level = camera_pose(pose[0, :2, 3], heading, 0.0, 0.0)  # the frame of `position`
        for index, thing in enumerate(pairs.measured[room].room.objects):
            if not pairs.exclusive[room, 1, index]:
                continue
            in_first = np.linalg.inv(pose[0]) @ [*thing.centre, 1]
            moved = pose[0] @ [*(rotation @ in_first[:3] + translation), 1]
            right, _, forward = (np.linalg.inv(level) @ moved)[:3]
            np.testing.assert_allclose([right, forward], expected[index], atol=1e-9)
            assert moved[2] == pytest.approx(thing.centre[2])  # heights stay


def test_the_pose_of_the_room_itself_changes_nothing(pairs):
    rotation, translation = pose_change(pairs, 2, 2)
    np.testing.assert_allclose(rotation, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(translation, 0, atol=1e-9)
