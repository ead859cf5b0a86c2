"""MindCube's settings against coordinates in the asking camera."""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.room import room_seed

room_of = cache(lambda scene: make_room(room_seed(scene), RoomsConfig()))


def cases(chosen_per_task, task):
    for scene in chosen_per_task:
        for one in scene:
            if one.task == task:
                yield one, room_of(one.scene)


def image(text: str) -> int:
    return int(re.search(r"image (\d)", text)[1]) - 1


def in_camera(pose, point) -> tuple[float, float]:
    """(right, forward) of a world point over the floor, metres."""
    forward = pose[:2, 2] / np.linalg.norm(pose[:2, 2])
    away = point[:2] - pose[:2, 3]
    return float(away @ pose[:2, 0]), float(away @ forward)


def off(right: float, ahead: float, where: str) -> float:
    """Degrees between a direction and the one that words name."""
    wanted = {"left": (-1, 0), "right": (1, 0), "behind me": (0, -1), "behind": (0, 1)}
    key = next(k for k in wanted if k in where)
    cosine = np.dot(wanted[key], (right, ahead)) / np.hypot(right, ahead)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def test_rotation_answers_lie_where_asked_and_others_do_not(chosen_per_task, by_name):
    for one, room in cases(chosen_per_task, "rotation"):
        pose = room.cam_to_world[image(one.stem.split("as in")[1])]
        for option in one.options:
            angle = off(*in_camera(pose, by_name(one.scene, option).centre), one.cues[0])
            assert angle < 30 if option == one.answer else angle > 60


def test_rotation_turns_right_a_quarter_each_time(chosen_per_task):
    for _, room in cases(chosen_per_task, "rotation"):
        for pose, following in zip(room.cam_to_world, room.cam_to_world[1:], strict=False):
            assert off(*in_camera(pose, pose[:3, 3] + following[:3, 2]), "right") < 10


def test_among_answers_lie_where_asked_from_the_centre(chosen_per_task, by_name):
    count = 0
    for one, room in cases(chosen_per_task, "among"):
        pose = room.cam_to_world[image(one.stem)]
        where, name = one.cues
        centre = by_name(one.scene, name)
        assert centre.name == room.objects[0].name
        for option in one.options:
            x, z = in_camera(pose, by_name(one.scene, option).centre)
            x0, z0 = in_camera(pose, centre.centre)
            angle = off(x - x0, z - z0, where)
            assert angle < 30 if option == one.answer else angle > 60
        count += 1
    assert count > 100


def test_around_answers(chosen_per_task, by_name):
    kinds = set()
    for one, room in cases(chosen_per_task, "around"):
        kind = one.cues[0]
        kinds.add(kind)
        poses = room.cam_to_world
        if kind == "walked":
            numbers = [int(n) - 1 for n in re.findall(r"image (\d)", one.stem)]
            first, second = numbers if "From" in one.stem else numbers[::-1]
            middle = room.extent[:2] / 2
            a, b = poses[first, :2, 3] - middle, poses[second, :2, 3] - middle
            clockwise = a[0] * b[1] - a[1] * b[0] < 0  # seen from above
            # Facing the middle, one's left hand points clockwise.
            assert one.answer == ("left" if clockwise else "right")
            continue
        pose = poses[image(one.stem)]
        if kind == "left_right":
            (xa, za), (xb, zb) = (
                in_camera(pose, by_name(one.scene, n).centre) for n in one.cues[1:]
            )
            assert one.answer == ("left" if np.arctan2(xa, za) < np.arctan2(xb, zb) else "right")
        else:
            distance = {
                n: np.hypot(*in_camera(pose, by_name(one.scene, n).centre)) for n in one.options
            }
            near, far = sorted(distance, key=distance.get)
            assert one.answer == near and distance[far] > 1.2 * distance[near]
    assert kinds == {"walked", "left_right", "nearer"}


def test_around_prefers_what_the_view_itself_does_not_show(surveys):
    from spatialsv.rooms.questions.mindcube import _left_right, _prefer_hidden

    for measured in surveys:
        chosen = _prefer_hidden(measured, np.random.default_rng(0), _left_right(measured))
        hidden = [not measured.visible[v, [a, b]].all() for v, a, b in chosen]
        assert hidden == sorted(hidden, reverse=True)
