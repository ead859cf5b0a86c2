"""Left or right of, and nearest, within one view."""

from __future__ import annotations

import re

import numpy as np

from spatialsv.rooms.questions.single_view import depth_order, relation

RNG = np.random.default_rng(0)


def view_of(one):
    return int(re.search(r"image (\d)", one.stem)[1]) - 1


def test_sides_are_those_of_the_picture(surveys):
    sides = []
    for measured in surveys:
        for one in relation(measured, RNG):
            a, b = (measured.names.index(name) for name in one.cues)
            column = measured.column[view_of(one)]
            assert measured.visible[view_of(one), [a, b]].all()
            assert one.answer == ("left" if column[a] < column[b] else "right")
            sides.append(one.answer)
    assert len(sides) > 200 and 0.4 < sides.count("left") / len(sides) < 0.6


def test_the_nearest_is_nearer_than_every_other_option(surveys):
    count = 0
    for measured in surveys:
        eyes = measured.room.cam_to_world[:, :2, 3]
        for one in depth_order(measured, RNG):
            view = view_of(one)
            objects = [measured.names.index(name) for name in one.options]
            away = [
                np.hypot(*(np.array(measured.room.objects[i].centre[:2]) - eyes[view]))
                for i in objects
            ]
            first = one.options.index(one.answer)
            assert all(away[first] * 1.149 < d for i, d in enumerate(away) if i != first)
            assert measured.visible[view, objects].all() and 3 <= len(objects) <= 4
            count += 1
    assert count > 60
