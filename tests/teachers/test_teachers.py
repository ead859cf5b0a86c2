"""What every teacher promises, of the two that are built in."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from spatialsv.geometry.maps import resize_maps
from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.teachers.exact import ExactTeacher
from spatialsv.teachers.network import TeacherNetwork, TeacherNetworkConfig
from spatialsv.teachers.rooms import RoomsTeacher


@pytest.fixture(scope="module")
def rooms_teacher() -> RoomsTeacher:
    torch.manual_seed(0)
    config = TeacherNetworkConfig(
        image_size=32, width=48, layers=2, global_layers=(1,), taps=(0, 1), head_width=32
    )
    return RoomsTeacher(TeacherNetwork(config).eval(), batch_size=4)


def mean_distance(labels) -> np.ndarray:
    depth, K, poses = (
        torch.from_numpy(a).double() for a in (labels.depth, labels.intrinsics, labels.cam_to_world)
    )
    points = point_map(depth, ray_map(K, poses, *depth.shape[-2:]))
    return points.norm(dim=-1).mean(dim=(1, 2, 3)).numpy()


@pytest.mark.parametrize("name", ["exact", "rooms"])
def test_frame_and_unit(name, rooms_teacher, tiny_scenes):
    labels = (ExactTeacher() if name == "exact" else rooms_teacher).label(tiny_scenes)
    assert labels.ids == tiny_scenes.ids
    assert labels.unit == "relative"
    assert not labels.has_image
    assert labels.depth.dtype == np.float32
    assert labels.depth.shape == labels.confidence.shape == tiny_scenes.depth.shape
    assert_allclose(labels.cam_to_world[:, 0], np.broadcast_to(np.eye(4), (6, 4, 4)), atol=1e-9)
    assert_allclose(mean_distance(labels), 1, rtol=1e-5)
    rotation = labels.cam_to_world[..., :3, :3]
    assert_allclose(
        rotation @ rotation.swapaxes(-1, -2), np.broadcast_to(np.eye(3), rotation.shape), atol=1e-9
    )


def test_exact_teacher_agrees_with_an_independent_reckoning(tiny_scenes, tiny_labels):
    labels = ExactTeacher().label(tiny_scenes)
    assert_allclose(labels.depth, tiny_labels.depth, rtol=1e-6)
    assert_allclose(labels.cam_to_world, tiny_labels.cam_to_world, atol=1e-12)
    assert_allclose(labels.scale, tiny_labels.scale)


def test_exact_teacher_refuses_scenes_it_cannot_know(tiny_scenes):
    valid = tiny_scenes.valid.copy()
    valid[4] = False
    with pytest.raises(ValueError, match="plane-4"):
        ExactTeacher().label(tiny_scenes.replace(valid=valid))


def test_rooms_teacher_does_not_depend_on_its_batches(rooms_teacher, tiny_scenes):
    labels = rooms_teacher.label(tiny_scenes)
    alone = rooms_teacher.label(tiny_scenes.select([5]))
    assert_allclose(alone.depth[0], labels.depth[5], rtol=1e-4)
    assert labels.features.shape == (6, 2, 4, 4, 48)
    assert labels.features.dtype == np.float16


def test_rooms_teacher_labels_images_of_any_size(rooms_teacher, tiny_scenes):
    plain = (
        np.zeros_like(tiny_scenes.image) + np.arange(6, dtype=np.uint8)[:, None, None, None, None]
    )
    small = rooms_teacher.label(tiny_scenes.replace(image=plain))
    image = np.repeat(np.repeat(plain, 2, axis=2), 3, axis=3)
    empty = np.zeros(image.shape[:-1], dtype=np.float32)
    large = rooms_teacher.label(tiny_scenes.replace(image=image, depth=empty, valid=empty > 0))
    assert large.depth.shape == (6, 2, 64, 96)
    assert_allclose(
        large.intrinsics[..., :2, :], small.intrinsics[..., :2, :] * [[3], [2]], rtol=1e-3
    )


def test_rooms_teacher_needs_images(rooms_teacher, tiny_scenes):
    with pytest.raises(ValueError, match="no images"):
        rooms_teacher.label(tiny_scenes.replace(image=None))


def test_resizing_keeps_a_constant_and_its_own_size():
    maps = torch.rand(2, 3, 1, 8, 8)
    assert resize_maps(maps, 8, 8) is maps
    assert torch.allclose(resize_maps(torch.ones(1, 2, 3, 40, 60), 8, 8), torch.ones(()))
