"""Rooms: the same by seed, nothing touches, cameras move as their motion says."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.parts import CATEGORIES, PROPORTIONS, category_mesh, shape_mesh
from spatialsv.rooms.room import camera_pose, room_id, room_seed
from spatialsv.rooms.splits import SPAN, SPLITS, split_of, split_seeds

CONFIG = RoomsConfig()
ROOMS = [make_room(seed, CONFIG) for seed in range(60)]


def test_a_seed_makes_the_same_room_again() -> None:
    again = make_room(7, CONFIG)
    np.testing.assert_array_equal(again.cam_to_world, ROOMS[7].cam_to_world)
    assert [t.name for t in again.objects] == [t.name for t in ROOMS[7].objects]
    assert room_seed(room_id(7)) == 7


def test_splits_share_no_seed() -> None:
    ranges = [split_seeds(split, 0, SPAN) for split in SPLITS]
    for a, b in combinations(ranges, 2):
        assert a.stop <= b.start or b.stop <= a.start
    assert all(split_of(split_seeds(split, 5, 3)[2]) == split for split in SPLITS)


def test_unknown_splits_and_too_many_rooms_are_refused() -> None:
    with pytest.raises(ValueError, match="Unknown split 'tset'"):
        split_seeds("tset", 0, 1)
    with pytest.raises(ValueError, match="seeds of a split"):
        split_seeds("test", SPAN, 1)


def test_more_views_walk_no_farther_around() -> None:
    rooms = [make_room(seed, RoomsConfig(views=6)) for seed in range(40)]
    for room in (room for room in rooms if room.motion == "around"):
        ahead = room.cam_to_world[:, :2, 2]
        yaws = np.unwrap(np.arctan2(ahead[:, 1], ahead[:, 0]))
        assert abs(yaws[-1] - yaws[0]) < np.pi  # beyond it left and right would change places


def test_motions_that_are_left_out_are_not_drawn() -> None:
    config = RoomsConfig(motions=("rotation", "among"))
    assert {make_room(seed, config).motion for seed in range(40)} == {"rotation", "among"}
    with pytest.raises(ValueError, match=r"rooms.motions is empty. Give at least one of rotation"):
        RoomsConfig(motions=())


def test_things_that_find_no_place_are_told() -> None:
    with pytest.raises(ValueError, match=r"11 objects of .* do not fit"):
        make_room(0, RoomsConfig(objects=(11, 11), size=(1.6, 1.6), extent=(5.0, 5.0)))


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.id)
def test_things_stand_on_the_floor_inside_the_walls_apart(room) -> None:
    assert CONFIG.objects[0] <= len(room.objects) <= CONFIG.objects[1]
    for item in room.objects:
        corners = item.footprint()
        assert (corners > 0).all() and (corners < room.extent[:2]).all()
        assert item.centre[2] == pytest.approx(item.size[2] / 2)
    for a, b in combinations(room.objects, 2):
        assert not _overlap(a.footprint(), b.footprint())


def _overlap(a: np.ndarray, b: np.ndarray) -> bool:
    """Separating axes of two convex quadrilaterals."""
    for corners in (a, b):
        edges = np.roll(corners, -1, axis=0) - corners
        for normal in np.stack([edges[:, 1], -edges[:, 0]], axis=1):
            if (a @ normal).max() < (b @ normal).min() or (b @ normal).max() < (a @ normal).min():
                return False
    return True


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.id)
def test_poses_are_rigid_and_upright(room) -> None:
    rotation = room.cam_to_world[:, :3, :3]
    np.testing.assert_allclose(
        rotation @ rotation.swapaxes(1, 2), np.eye(3) + 0 * rotation, atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(rotation), 1)
    np.testing.assert_allclose(rotation[:, 2, 0], 0, atol=1e-12)  # x is level
    assert (rotation[:, 2, 1] < 0).all()  # y points down


def test_no_camera_stands_in_a_thing() -> None:
    for room in ROOMS:
        for eye in room.cam_to_world[:, :3, 3]:
            for item in room.objects:
                away = np.abs((eye - item.centre) @ item.axes()) - item.size / 2
                assert away.max() > 0.2


def _headings(room) -> np.ndarray:
    forward = room.cam_to_world[:, :2, 2]
    return np.arctan2(forward[:, 1], forward[:, 0])


def test_each_motion_moves_as_it_says() -> None:
    assert {room.motion for room in ROOMS} == {"rotation", "among", "around"}
    for room in ROOMS:
        turns = np.degrees(np.diff(np.unwrap(_headings(room))))
        eyes = room.cam_to_world[:, :2, 3]
        if room.motion == "rotation":  # stays, turns right by a quarter
            assert np.ptp(eyes, axis=0).max() == 0
            assert (abs(turns + 90) < 10).all()
        elif room.motion == "among":  # four sides of the first thing
            distance = np.linalg.norm(eyes - room.objects[0].centre[:2], axis=1)
            assert np.ptp(distance) < 1e-9 and (abs(turns + 90) < 10).all()
        else:  # one way along an arc
            assert len(set(np.sign(turns))) == 1 and (abs(turns) < 60).all()


def test_looking_north_has_east_to_the_right() -> None:
    pose = camera_pose(np.array([1.0, 2.0]), np.pi / 2, 0.0, 1.5)
    np.testing.assert_allclose(pose[:3, 0], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(pose[:3, 1], [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(pose[:3, 2], [0, 1, 0], atol=1e-12)


def test_a_name_says_nothing_about_size() -> None:
    sizes: dict[str, list[float]] = {}
    for seed in range(400):
        for item in make_room(seed, CONFIG).objects:
            sizes.setdefault(item.category, []).append(float(item.size.max()))
    everything = np.concatenate(list(sizes.values()))
    for category, found in sizes.items():
        error = np.std(everything) / np.sqrt(len(found))
        assert abs(np.mean(found) - everything.mean()) < 4 * error, category


def test_no_two_things_share_category_and_colour() -> None:
    for room in ROOMS:
        assert Counter(item.name for item in room.objects).most_common(1)[0][1] == 1


def test_there_are_a_dozen_categories_in_their_unit_boxes() -> None:
    assert len(CATEGORIES) >= 12
    for category in CATEGORIES:
        mesh = category_mesh(category)
        np.testing.assert_allclose(mesh.vertices.min(axis=0), [-0.5, -0.5, 0], atol=0.06)
        np.testing.assert_allclose(mesh.vertices.max(axis=0), [0.5, 0.5, 1], atol=0.06)
        assert max(PROPORTIONS[category]) == 1


@pytest.mark.parametrize("shape", ["box", "cylinder", "cone", "shade", "pot", "ball"])
def test_primitives_are_closed_and_wind_outwards(shape: str) -> None:
    vertices, faces = shape_mesh(shape)
    a, b, c = vertices[faces].swapaxes(0, 1)
    volume = np.einsum("fi,fi->f", a, np.cross(b, c)).sum() / 6
    assert 0.2 < volume <= 1 + 1e-9
    edges = Counter(
        tuple(edge) for face in faces for edge in zip(face, np.roll(face, -1), strict=True)
    )
    assert all(edges[(b, a)] == count == 1 for (a, b), count in edges.items())
