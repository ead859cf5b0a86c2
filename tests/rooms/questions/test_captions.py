"""Listings and the ladder of easy questions."""

from __future__ import annotations

import re

import numpy as np

from helpers.rooms import sketch
from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.questions.captions import list_view, list_views
from spatialsv.rooms.questions.curriculum import LEVELS, camera_motion, curriculum_questions
from spatialsv.rooms.questions.visibility import measure_visibility

CONFIG = RoomsConfig()


def steps(seed: int):
    room = make_room(seed, CONFIG)
    instance = sketch(room)
    return room, instance, curriculum_questions(room, instance, np.random.default_rng(seed))


def test_views_are_listed_from_left_to_right():
    room = make_room(3, CONFIG)
    instance = np.zeros((4, 64, 64), dtype=np.int16)
    instance[1, 10:20, 40:50] = 1
    instance[1, 30:40, 5:15] = 3
    instance[1, 0, 30:40] = 2  # too little to tell what it is
    assert list_view(room, instance, 1) == f"{room.objects[2].name}, {room.objects[0].name}"
    assert list_views(room, instance)[0] == "nothing"


def test_every_rung_is_asked_with_short_answers():
    rungs = {rung for seed in range(5) for rung, *_ in steps(seed)[2]}
    assert rungs == set(LEVELS)
    for seed in range(20):
        for _, question, answer in steps(seed)[2]:
            assert 0 < len(answer.split()) <= 16 and len(question.split()) <= 18


def test_ladder_repeats_with_its_seed():
    assert steps(7)[2] == steps(7)[2]


def test_depth_answers_follow_the_floor_distance_to_the_camera():
    chosen_per_task = 0
    for seed in range(30):
        room, _, found = steps(seed)
        for rung, question, answer in found:
            if rung != "nearer":
                continue
            view = int(re.search(r"image (\d)", question)[1]) - 1
            eye = room.cam_to_world[view, :2, 3]
            distance = {
                t.name: np.linalg.norm(t.centre[:2] - eye) for t in room.objects
            }  # fmt: skip
            pair = re.search(r"the (.*) or the (.*)\?", question)
            assert answer == min(pair.groups(), key=distance.get)
            chosen_per_task += 1
    assert chosen_per_task > 50


def test_what_is_beside_is_left_where_its_pixels_are():
    answers = set()
    for seed in range(20):
        room, instance, found = steps(seed)
        names = [item.name for item in room.objects]
        for rung, question, answer in found:
            if rung != "left_right":
                continue
            view = int(re.search(r"image (\d)", question)[1]) - 1
            pair = re.search(r"the ((?!image)[^,]*) (?:left or right of|or) the (.*)\?", question)
            pixels = [instance[view] == names.index(name) + 1 for name in pair.groups()]
            left = int(np.argmin([mask.nonzero()[1].mean() for mask in pixels]))
            sided = question.startswith("In image")
            assert answer == (("left", "right")[left] if sided else pair.groups()[left])
            answers.add((sided, left))
    assert len(answers) == 4


def test_the_image_that_looks_to_a_side_is_turned_there():
    chosen_per_task = 0
    for seed in range(20):
        room, _, found = steps(seed)
        forward = room.cam_to_world[:, :2, 2]
        for rung, question, answer in found:
            if rung == "facing":
                view, side = re.search(r"image (\d), .* looks to the (\w+)\?", question).groups()
                here, there = forward[int(view) - 1], forward[int(answer[-1]) - 1]
                left = here[0] * there[1] - here[1] * there[0]  # of the sine of the turn
                assert {"left": left > 0.6, "right": left < -0.6, "back": here @ there < -0.6}[side]
                chosen_per_task += 1
    assert chosen_per_task > 50


def test_same_thing_is_found_in_the_images_that_show_it():
    for seed in range(20):
        room, instance, found = steps(seed)
        measured = measure_visibility(room, instance)
        for rung, question, answer in found:
            if rung != "same":
                continue
            name = re.search(r"the (\w+ \w+)", question)[1]
            (index,) = [i for i, t in enumerate(room.objects) if t.name == name]
            pixels = (instance == index + 1).sum(axis=(1, 2))
            if answer in ("yes", "no"):
                view = int(re.search(r"image (\d)", question)[1]) - 1
                assert (answer == "yes") == (pixels[view] >= 12)
            else:
                assert [int(v) - 1 for v in answer.split(", ")] == np.flatnonzero(
                    measured.visible[:, index]
                ).tolist()


def test_yes_and_no_are_equally_frequent():
    answers = [a for seed in range(120) for *_, a in steps(seed)[2] if a in ("yes", "no")]
    share = np.mean([a == "yes" for a in answers])
    assert abs(share - 0.5) < 3 * 0.5 / np.sqrt(len(answers))


def test_camera_motion_is_undone_by_going_back():
    back = {
        "turned right": "turned left",
        "turned left": "turned right",
        "turned around": "turned around",
        "moved left around": "moved right around",
        "moved right around": "moved left around",
        "moved to the other side": "moved to the other side",
    }
    said = set()
    for seed in range(30):
        room, instance, _ = steps(seed)
        measured = measure_visibility(room, instance)
        for first in range(4):
            for second in range(first):
                there = camera_motion(measured, first, second)
                assert camera_motion(measured, second, first) == back[there]
                said.add(there)
        if room.motion == "rotation":
            assert camera_motion(measured, 0, 1) == "turned right"
    assert said == set(back)


def test_a_camera_that_moved_left_around_stands_to_the_left_of_where_it_was():
    for seed in range(30):
        room, instance, _ = steps(seed)
        measured = measure_visibility(room, instance)
        pose, following = room.cam_to_world[:2]
        motion = camera_motion(measured, 0, 1)
        if motion.startswith("moved"):
            right = (following[:3, 3] - pose[:3, 3]) @ pose[:3, 0]
            assert motion == ("moved right around" if right > 0 else "moved left around")
