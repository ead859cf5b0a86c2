"""The factor that brings depth or cameras to a reference's unit."""

import math

import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn.functional import interpolate

from spatialsv.geometry.align import median
from spatialsv.geometry.camera import make_pose, relative_pose
from spatialsv.geometry.pose_metrics import camera_error
from spatialsv.geometry.rays import ray_map
from spatialsv.geometry.scale import (
    _correlate_windows,
    _sample_grey,
    _score_factors,
    baseline_scale,
    depth_scale,
    scale_from_points,
    scale_from_views,
)


def corridor(views: int, step: float) -> tuple[torch.Tensor, ...]:
    """Depth, image, K and poses in front of a textured wall at z = 6, slanted by 45 degrees."""
    size, K = (60, 80), torch.tensor([[70.0, 0, 40], [0, 70, 30], [0, 0, 1]]).expand(views, 3, 3)
    poses = torch.eye(4).repeat(views, 1, 1)
    poses[:, 0, 3] = step * torch.arange(views)
    rays = ray_map(K, poses, *size)
    depth = (6 + rays.origins[..., 0]) / (rays.directions[..., 2] - rays.directions[..., 0])
    points = rays.origins + depth[..., None] * rays.directions
    noise = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0))
    paint = interpolate(noise[None], scale_factor=4, mode="bicubic")[0].clamp(0, 1)
    column, row = ((points[..., :2] % 8) / 8 * 160).long().clamp(0, 159).unbind(-1)
    return depth, paint[:, row, column].movedim(0, -1), K, poses


def test_the_baseline_gives_the_scale():
    depth, image, K, poses = corridor(4, 0.4)
    for factor in (0.2, 1.0, 7.0):
        found = scale_from_views(depth / factor, depth > 0, image, K, poses)
        assert_allclose(found, factor, rtol=0.03)


def test_a_view_that_is_off_by_its_own_factor_does_not_pull_the_others():
    depth, image, K, poses = corridor(5, 0.4)
    depth = depth.clone()
    depth[2] *= 1.3
    assert_allclose(scale_from_views(depth, depth > 0, image, K, poses), 1, rtol=0.06)


@pytest.mark.parametrize("case", ["alone", "in one place", "no texture", "no valid depth"])
def test_where_nothing_tells_the_scale_there_is_none(case):
    depth, image, K, poses = corridor(1 if case == "alone" else 3, 0.4)
    if case == "in one place":
        poses = poses[:1].expand(3, 4, 4)
    if case == "no texture":
        image = torch.full_like(image, 0.5)
    valid = torch.zeros_like(depth) > 0 if case == "no valid depth" else depth > 0
    assert scale_from_views(depth, valid, image, K, poses) is None


def test_points_give_the_median_ratio_though_nearly_half_are_wrong():
    depth = torch.linspace(1, 5, 101)
    known = 3 * depth
    known[::2] *= torch.linspace(1, 1000, 51)
    known[0:60:20] = 1e-3
    valid = depth < 4.9
    assert_allclose(scale_from_points(depth, known, valid), 3, rtol=0.05)
    assert math.isnan(scale_from_points(depth, known, depth < 0))


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


def test_invalid_depth_does_not_vote_on_the_scale():
    """Depth that is wrong, but marked as invalid, matters only in windows at its border."""
    depth, image, K, poses = corridor(views=4, step=0.4)
    valid = torch.ones_like(depth, dtype=torch.bool)
    valid[:, :, :50] = False
    for factor in (0.37, 1, 3):
        mixed = torch.where(valid, depth, factor * depth)
        assert_allclose(scale_from_views(mixed, valid, image, K, poses), 1, rtol=0.06)


def test_windows_correlate_from_minus_one_to_one_where_there_is_texture():
    noise = torch.rand(16, 16, generator=torch.Generator().manual_seed(0))
    correlation, textured = _correlate_windows(noise, torch.stack([noise, 1 - noise]))
    assert textured.all()
    assert_allclose(correlation[0], 1, atol=1e-3)
    assert_allclose(correlation[1], -1, atol=1e-3)
    assert not _correlate_windows(torch.ones(16, 16), noise[None])[1].any()


def test_pixels_outside_the_frame_in_either_direction_are_not_visible():
    grey = torch.arange(12.0).view(3, 4)
    inside, outside = [(0.5, 0.5), (3.5, 2.5)], [(4.5, 1.5), (1.5, 3.5), (-0.5, 1.5), (1.5, -0.5)]
    points = torch.ones(12, 3)
    points[:6, :2] = torch.tensor(inside + outside)
    points[6:] *= -1  # behind the camera
    sampled, visible = _sample_grey(grey, 2 * points.view(1, 3, 4, 3))  # homogeneous pixels
    assert visible.flatten().tolist() == [True] * 2 + [False] * 10
    assert_allclose(sampled.flatten()[:2], [0, 11], atol=1e-5)


def test_texture_is_deviation_from_the_mean_of_a_window():
    """Around its limit of 0.01, however bright; correlations are those of deviations."""
    row = torch.arange(16) % 2
    checks = (row[:, None] + row).remainder(2) * 2.0 - 1
    for size, textured in ((0.008, False), (0.012, True)):
        first = 0.7 + size * checks
        correlation, mask = _correlate_windows(first, torch.stack([first, 0.4 - 0.3 * checks]))
        assert mask[:, 3:-3, 3:-3].eq(textured).all()
        if textured:
            assert_allclose(correlation[:, 3:-3, 3:-3].mean(dim=(1, 2)), [1, -1], atol=1e-3)


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        (2, {(0, 1)}),
        (3, {(0, 1), (1, 2), (0, 2)}),
        (5, {(0, 1), (1, 2), (2, 3), (3, 4), (0, 2), (1, 3), (2, 4)}),
    ],
)
def test_views_are_compared_with_two_neighbours_on_each_side(monkeypatch, views, expected):
    depth, image, K, poses = corridor(views=views, step=0.4)
    pairs = []

    def record(first, second):
        pairs.append(tuple(round(float(pose[0, 3]) / 0.4) for pose in (second, first)))
        return relative_pose(first, second)

    monkeypatch.setattr("spatialsv.geometry.scale.relative_pose", record)
    _score_factors(depth, depth > 0, image.mean(dim=-1), K, poses, torch.ones(1))
    assert sorted(pairs) == sorted([*expected, *(pair[::-1] for pair in expected)])


def test_scores_are_mean_correlations():
    depth, image, K, poses = corridor(views=3, step=0.4)
    scores = _score_factors(depth, depth > 0, image.mean(dim=-1), K, poses, torch.tensor([1.0, 3]))
    assert 0.9 < scores[0] <= 1 and scores[1].abs() < 0.5
