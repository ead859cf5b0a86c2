"""Names, pixels and distances that questions rest on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from helpers.rooms import alternate
from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.questions.visibility import closest_points, measure_visibility, wrap
from spatialsv.rooms.room import Room, RoomObject


def box(centre, size, yaw=0.0, category="box", colour="red") -> RoomObject:
    return RoomObject(
        category=category,
        colour=colour,
        centre=np.array(centre, dtype=float),
        size=np.array(size, dtype=float),
        yaw=yaw,
    )


def room_of(*objects: RoomObject) -> Room:
    return Room(
        seed=0,
        extent=np.array([6.0, 6.0, 2.5]),
        objects=objects,
        motion="around",
        cam_to_world=np.eye(4)[None].repeat(2, axis=0),
        intrinsics=np.eye(3)[None].repeat(2, axis=0),
    )


def test_closest_points_agree_with_alternating_projections():
    rng = np.random.default_rng(0)
    objects = [
        box(rng.uniform(0, 4, 3), rng.uniform(0.3, 2.0, 3), rng.uniform(-3, 3)) for _ in range(8)
    ]
    gap = closest_points(room_of(*objects))
    for i in range(8):
        for j in range(i):
            assert_allclose(gap[i, j], alternate(objects[i], objects[j]), atol=5e-3)
    assert_allclose(gap, gap.T)
    assert (gap == 0).sum() > len(objects)  # some pairs overlap, so that case is tested too


def test_crossed_boxes_touch_though_no_corner_lies_inside():
    long = box([0, 0, 0.5], [4, 0.2, 1])
    assert closest_points(room_of(long, box([0, 0, 0.5], [0.2, 4, 1])))[0, 1] == 0


def test_stacked_boxes_are_apart_by_their_height():
    gap = closest_points(room_of(box([0, 0, 0.5], [1, 1, 1]), box([0.2, 0, 2.0], [1, 1, 1])))
    assert_allclose(gap[0, 1], 0.5)


def test_a_thing_is_named_by_category_where_that_is_unique():
    instance = np.tile(np.repeat([1, 2, 3, 4], 16), (2, 64, 1))
    objects = [
        box([1, 1, 0.5], [1, 1, 1], category=category, colour=colour)
        for category, colour in (("chair", "red"), ("ball", "red"), ("ball", "blue"))
    ]
    twins = [box([i, 4, 0.5], [1, 1, 1], category="vase", colour="white") for i in (1, 3)]
    measured = measure_visibility(room_of(*objects, *twins), instance)
    assert measured.names == ["chair", "red ball", "blue ball", None, None]
    assert measured.nameable == [0, 1, 2]  # a twin in full view cannot be named


def test_pixels_decide_what_is_seen_at_any_size():
    for size in (64, 128):
        instance = np.zeros((2, size, size), dtype=np.int16)
        scale = size // 64
        instance[0, : 4 * scale, : 3 * scale] = 1  # 12 of 4096
        instance[0, -scale:, -7 * scale :] = 2  # 7 of 4096
        room = room_of(*(box([i, 1, 0.5], [1, 1, 1], colour=str(i)) for i in range(3)))
        measured = measure_visibility(room, instance)
        assert measured.visible[0].tolist() == [True, False, False]
        assert measured.invisible[0].tolist() == [False, False, True]
        assert_allclose(measured.column[0, :2], [1.5 / 64, 60.5 / 64])


def test_azimuth_is_positive_to_the_left_of_a_camera():
    room = make_room(5, RoomsConfig())
    measured = measure_visibility(room, np.zeros((4, 8, 8), dtype=np.int16))
    for view, pose in enumerate(room.cam_to_world):
        for i, item in enumerate(room.objects):
            right = (item.centre - pose[:3, 3]) @ pose[:3, 0]
            side = -np.sin(measured.azimuth[view, i]) * measured.range[view, i]
            assert_allclose(side, right, atol=1e-9)


@pytest.mark.parametrize("turns", [-3, 0, 2])
def test_wrap(turns):
    angle = np.linspace(-3.1, 3.1, 7)
    assert_allclose(wrap(angle + 2 * np.pi * turns), angle, atol=1e-9)
