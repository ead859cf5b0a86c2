"""Free cameras: poses within their limits, overlap as the settings say."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from spatialsv.rooms.free_views import FreeViews, sketch_view
from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.questions import balance_questions, generate_questions
from spatialsv.rooms.questions.visibility import measure_visibility
from spatialsv.rooms.render import render_room
from spatialsv.rooms.room import MOTIONS, camera_pose

CONFIG = RoomsConfig(
    views=2, image_size=64, samples=1, objects=(7, 7), size=(0.4, 0.9), motions=("free",)
)
ROOMS = [make_room(seed, CONFIG) for seed in range(60)]


def test_poses_are_within_their_limits() -> None:
    limits = CONFIG.free
    for room in ROOMS:
        rotation, eye = room.cam_to_world[:, :3, :3], room.cam_to_world[:, :3, 3]
        np.testing.assert_allclose(
            rotation @ rotation.swapaxes(1, 2), np.eye(3) + 0 * rotation, atol=1e-12
        )
        heading = np.arctan2(rotation[:, 1, 2], rotation[:, 0, 2])
        turn = np.degrees(np.abs(np.arccos(np.cos(heading[1] - heading[0]))))
        assert limits.turn[0] <= turn <= limits.turn[1]
        assert (eye[:, 2] >= limits.height[0]).all() and (eye[:, 2] <= limits.height[1]).all()
        pitch = np.degrees(np.arcsin(-rotation[:, 2, 2]))
        assert (pitch >= limits.pitch[0]).all() and (pitch <= limits.pitch[1]).all()
        roll = np.degrees(np.arctan2(rotation[:, 2, 0], -rotation[:, 2, 1]))
        assert (np.abs(roll) <= limits.roll[1] + 1e-9).all()
        fov = 2 * np.degrees(np.arctan(32 / room.intrinsics[:, 0, 0]))
        assert (fov >= CONFIG.fov[0]).all() and (fov <= CONFIG.fov[1]).all()
        assert len(set(fov)) == 2 and len(set(roll)) == 2
        for item in room.objects:
            away = np.hypot(*(eye[:, :2] - item.centre[:2]).T)
            assert (away > np.hypot(*item.size[:2]) / 2).all()


def test_rendered_views_overlap_as_the_settings_say() -> None:
    measured = [measure_visibility(r, render_room(r, 64, 1).instance) for r in ROOMS]
    shared = np.array([m.visible.all(axis=0).sum() for m in measured])
    exclusive = [m.visible & m.invisible[::-1] for m in measured]
    assert (shared >= CONFIG.free.shared).mean() > 0.85  # poses are chosen by a sketch
    assert np.mean([mask.any(axis=1).all() for mask in exclusive]) > 0.9


def test_sketch_shows_what_is_in_front() -> None:
    box = np.stack(np.meshgrid([-0.3, 0.3], [-0.3, 0.3], [0.0, 0.8], indexing="ij"), axis=-1)
    corners = np.stack(
        [box.reshape(8, 3) + np.array([*at, 0.0]) for at in ((3.0, 0.0), (5.0, 0.0), (-3.0, 0.0))]
    )
    pose = camera_pose(np.zeros(2), 0.0, 0.0, 0.4)
    visible, partly = sketch_view(corners, pose, tangent=0.7)
    assert visible.tolist() == [True, False, False]  # in front, behind it, behind the camera
    assert partly.tolist() == [True, True, False]


def test_three_views_turn_one_after_the_other() -> None:
    free = FreeViews(turn=(30.0, 60.0), shared=1, exclusive=0)
    room = make_room(3, RoomsConfig(views=3, motions=("free",), objects=(7, 7), free=free))
    forward = room.cam_to_world[:, :2, 2]
    heading = np.arctan2(forward[:, 1], forward[:, 0])
    turns = np.degrees(np.abs((np.diff(heading) + np.pi) % (2 * np.pi) - np.pi))
    assert ((turns >= 30) & (turns <= 60)).all()


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"need 8 objects, but rooms.objects allows 5"):
        RoomsConfig(views=6, motions=("free",))
    with pytest.raises(
        ValueError, match=r"rooms.free.turn: 150.0 exceeds 20.0. Give \(low, high\)"
    ):
        FreeViews(turn=(150.0, 20.0))
    with pytest.raises(ValueError, match=r"rooms.free.turn: .* exceeds the range 0 to 180"):
        FreeViews(turn=(20.0, 200.0))
    with pytest.raises(ValueError, match=r"must not be negative"):
        FreeViews(shared=-1)
    free = FreeViews(shared=7, exclusive=0)
    narrow = RoomsConfig(views=2, motions=("free",), objects=(7, 7), fov=(10.0, 12.0), free=free)
    with pytest.raises(ValueError, match=r"Widen rooms.free.turn, or lower rooms.free.shared"):
        make_room(0, narrow)


def test_default_rooms_stay_the_same() -> None:
    """Layout to 1e-6 and all questions, as they were before free cameras existed."""
    assert "free" not in MOTIONS
    digest, config = hashlib.sha256(), RoomsConfig(image_size=32, samples=1)
    rooms = [make_room(seed, config) for seed in range(100, 112)]
    for room in rooms:
        cameras = np.concatenate([room.cam_to_world.ravel(), room.intrinsics.ravel()])
        digest.update(repr((np.round(cameras, 6) + 0.0).tolist()).encode())
        digest.update(repr([t.name for t in room.objects]).encode())
    candidates = [generate_questions(room, render_room(room, 32, 1).instance) for room in rooms]
    questions = repr(balance_questions(candidates, 12, np.random.default_rng(0)))
    digest.update(questions.replace(", category=''", "").encode())  # a later field
    assert digest.hexdigest()[:16] == "7843284ffc53fb6e"
