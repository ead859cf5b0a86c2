"""The renderer against projection by hand: depth, instances and colours fit the geometry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.render import build_mesh, camera_rays, render_room, sample_grid
from spatialsv.rooms.room import Room, RoomObject, camera_pose
from spatialsv.rooms.views import render_views

SIZE = 48
CONFIG = RoomsConfig(image_size=SIZE, samples=1)
ROOM = make_room(3, CONFIG)
PICTURE = render_room(ROOM, SIZE, 1)


def _world_points(room: Room, depth: np.ndarray) -> np.ndarray:
    """Pixels lifted by hand: K and pose, pixel centres at half integers."""
    v, u = np.mgrid[:SIZE, :SIZE] + 0.5
    points = []
    for k, pose, z in zip(room.intrinsics, room.cam_to_world, depth, strict=True):
        x, y = (u - k[0, 2]) / k[0, 0] * z, (v - k[1, 2]) / k[1, 1] * z
        points.append(np.stack([x, y, z], axis=-1) @ pose[:3, :3].T + pose[:3, 3])
    return np.stack(points)


def test_depth_puts_every_pixel_on_its_own_surface() -> None:
    points = _world_points(ROOM, PICTURE.depth)
    for number, item in enumerate(ROOM.objects, start=1):
        inside = (points[PICTURE.instance == number] - item.centre) @ item.axes()
        assert (np.abs(inside) <= item.size / 2 + 1e-3).all()
    background = points[PICTURE.instance == 0]
    walls = np.minimum(np.abs(background), np.abs(background - ROOM.extent))
    assert walls.min(axis=-1).max() < 0.05  # windows and doors stand out by two centimetres


def test_two_views_agree_on_what_both_see() -> None:
    room = make_room(1, CONFIG)
    views_of_room = render_room(room, SIZE, 1)
    points = _world_points(room, views_of_room.depth)[0].reshape(-1, 3)
    world_to_cam = np.linalg.inv(room.cam_to_world[1])
    local = points @ world_to_cam[:3, :3].T + world_to_cam[:3, 3]
    pixel = local @ room.intrinsics[1].T
    column, row = np.floor(pixel[:, :2] / pixel[:, 2:]).astype(int).T
    visible = (local[:, 2] > 0) & (column >= 0) & (column < SIZE) & (row >= 0) & (row < SIZE)
    other = views_of_room.depth[1, row[visible], column[visible]]
    assert visible.sum() > 200
    # never seen nearer than what stands there, but for half a pixel's slant
    assert np.mean(other < local[visible, 2] * 1.03) > 0.97


def test_ray_directions_have_unit_z_and_pass_through_pixel_centres() -> None:
    origins, directions = camera_rays(ROOM, sample_grid(SIZE, np.array([[0.5, 0.5]])))
    pose, k = ROOM.cam_to_world[2], ROOM.intrinsics[2]
    view = slice(2 * SIZE**2, 3 * SIZE**2)
    local = directions[view] @ pose[:3, :3]
    np.testing.assert_allclose(local[:, 2], 1, atol=1e-5)
    pixels = (local @ k.T)[:, :2]
    np.testing.assert_allclose(pixels[:2], [[0.5, 0.5], [1.5, 0.5]], atol=1e-3)
    np.testing.assert_allclose(pixels[SIZE], [0.5, 1.5], atol=1e-3)
    np.testing.assert_allclose(origins[view], np.tile(pose[:3, 3], (SIZE**2, 1)), rtol=1e-6)


def test_samples_change_colour_only() -> None:
    finer = render_room(ROOM, SIZE, 4)
    np.testing.assert_array_equal(finer.depth, PICTURE.depth)
    np.testing.assert_array_equal(finer.instance, PICTURE.instance)
    assert finer.rays > 4 * PICTURE.depth.size
    assert np.abs(finer.image.astype(int) - PICTURE.image).mean() < 8


def test_things_have_their_colour_and_hide_what_is_behind() -> None:
    front = RoomObject(
        category="box", colour="red", centre=np.array([3.0, 3.0, 0.5]), size=np.ones(3), yaw=0.0
    )
    behind = replace(front, colour="blue", centre=np.array([4.5, 3.0, 0.3]), size=np.full(3, 0.6))
    room = Room(
        seed=0,
        extent=np.array([6.0, 6.0, 3.0]),
        objects=(front, behind),
        motion="rotation",
        cam_to_world=camera_pose(np.array([1.0, 3.0]), 0.0, 0.0, 0.5)[None],
        intrinsics=np.array([[[24.0, 0, 24], [0, 24.0, 24], [0, 0, 1]]]),
    )
    views_of_room = render_room(room, SIZE, 1)
    assert views_of_room.depth[0, 24, 24] == pytest.approx(1.5, abs=1e-4)
    assert (views_of_room.instance == 1).any() and not (views_of_room.instance == 2).any()
    red, green, blue = views_of_room.image[0][views_of_room.instance[0] == 1].mean(axis=0)
    assert red > 2 * green and red > 2 * blue


def test_the_mesh_counts_its_things() -> None:
    mesh = build_mesh(ROOM)
    assert set(mesh.instance.tolist()) == set(range(len(ROOM.objects) + 1))
    assert mesh.faces.max() < len(mesh.vertices)


def test_a_stack_of_rooms_is_in_metres_with_images_and_instances() -> None:
    rooms, scenes = render_views(range(2), CONFIG)
    assert scenes.ids == tuple(room.id for room in rooms)
    assert scenes.unit == "metre" and scenes.valid.all()
    assert scenes.image.shape == (2, 4, SIZE, SIZE, 3)
