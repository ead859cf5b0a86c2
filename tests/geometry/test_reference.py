"""A scene's size by a reference: right in spite of outliers, and not made up from nothing."""

import math

import pytest
import torch

from spatialsv.geometry.align import median
from spatialsv.geometry.camera import make_pose
from spatialsv.geometry.pose_metrics import camera_error
from spatialsv.geometry.scale import baseline_scale, depth_scale


def test_the_ratio_of_depths_survives_outliers(draw):
    depth = draw.uniform(1, 5, (200,))
    known = 2.5 * depth
    known[:60] *= draw.uniform(1.5, 9, (60,))
    known[60:100] /= 5
    assert depth_scale(depth, known) == pytest.approx(2.5)


def moved(poses, draw, scale):
    """The same cameras in another world, `scale` times as large."""
    world = draw.pose()
    poses = poses.clone()
    poses[:, :3, 3] *= scale
    return world @ poses


def test_baselines_give_the_scale_in_any_world_and_survive_a_wrong_camera(draw):
    poses = draw.pose((7,))
    known = moved(poses, draw, 3.0)
    assert baseline_scale(poses, known) == pytest.approx(3.0)
    known[4, :3, 3] += 50  # six of 21 pairs
    assert baseline_scale(poses, known) == pytest.approx(3.0)


def test_cameras_that_share_a_place_have_no_distance_to_go_by(draw):
    poses = draw.pose((3,))
    poses[1, :3, 3] = poses[0, :3, 3]
    known = moved(poses, draw, 2.0)
    known[1, :3, 3] = known[0, :3, 3] + 1e-9  # their ratio would be infinite
    assert baseline_scale(poses, known) == pytest.approx(2.0)
    poses[:, :3, 3] = 0
    assert math.isnan(baseline_scale(poses, known))
    assert math.isnan(baseline_scale(poses[:1], known[:1]))


def test_the_camera_error_is_that_of_the_middle_pair_whatever_the_world(draw):
    poses = draw.pose((5,))
    known = moved(poses, draw, 2.0)
    assert camera_error(poses, known) == pytest.approx(0, abs=1e-5)
    known[0] = draw.pose()  # four of ten pairs
    assert camera_error(poses, known) == pytest.approx(0, abs=1e-5)


def test_still_cameras_are_compared_by_rotation_alone():
    turned = torch.eye(3, dtype=torch.float64)
    turned[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    rotations = torch.stack([torch.eye(3, dtype=torch.float64), turned])
    poses = make_pose(rotations, torch.zeros(2, 3, dtype=torch.float64))
    known = make_pose(rotations[[0, 0]], torch.zeros(2, 3, dtype=torch.float64))
    assert camera_error(poses, known) == pytest.approx(90)
    assert math.isnan(camera_error(poses[:1], known[:1]))


def test_the_middle_of_an_even_number_is_between_two():
    assert median(torch.tensor([9.0, 1.0, 2.0, 4.0])) == 3
    assert math.isnan(median(torch.zeros(0)))
