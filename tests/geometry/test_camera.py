import math

import pytest
import torch
from torch.testing import assert_close

from spatialsv.geometry.camera import (
    intrinsics_before_resampling,
    intrinsics_from_fov,
    invert_pose,
    pixel_grid,
    relative_pose,
    resample,
    scale_intrinsics,
    subsample,
)
from spatialsv.geometry.rays import ray_map

LEADS = [(), (2,), (2, 3)]


def test_pixel_centres_are_at_half_integers():
    grid = pixel_grid(2, 3, like=torch.zeros(()))
    assert grid[0, 0].tolist() == [0.5, 0.5]
    assert grid[1, 2].tolist() == [2.5, 1.5]  # (u, v) of row 1, column 2


def test_the_image_edge_is_half_the_field_of_view_away():
    K = intrinsics_from_fov(torch.tensor(math.pi / 2, dtype=torch.float64), height=4, width=8)
    edge = torch.linalg.inv(K) @ torch.tensor([8.0, 2.0, 1.0], dtype=torch.float64)
    assert_close(edge, torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("lead", LEADS)
def test_a_pose_times_its_inverse_is_the_identity(draw, lead):
    pose = draw.pose(lead)
    assert_close(invert_pose(pose) @ pose, torch.eye(4, dtype=torch.float64).expand(*lead, 4, 4))


def test_relative_pose_maps_the_second_camera_into_the_first(draw):
    first, second = draw.pose(), draw.pose()
    point = torch.tensor([0.1, 0.2, 3.0, 1.0], dtype=torch.float64)
    assert_close(first @ (relative_pose(first, second) @ point), second @ point)


def test_resized_intrinsics_keep_the_rays_of_the_image_corners(draw):
    K = draw.intrinsics((2,), 6, 8)
    corner, resized = torch.tensor([8.0, 6, 1]).double(), torch.tensor([16.0, 18, 1]).double()
    scaled = scale_intrinsics(K, scale_x=2.0, scale_y=3.0)
    assert_close(torch.linalg.inv(scaled) @ resized, torch.linalg.inv(K) @ corner)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_subsampled_pixels_keep_their_rays_and_depths(draw, factor):
    K, pose = draw.intrinsics((2,), 6, 12), draw.pose((2,))
    depth = draw.uniform(1, 5, (2, 6, 12))
    small, valid, K_small = subsample(depth, depth > 2, K, factor)
    first = factor // 2
    full = ray_map(K, pose, 6, 12).directions[:, first::factor, first::factor]
    assert_close(ray_map(K_small, pose, 6 // factor, 12 // factor).directions, full)
    assert_close(small, depth[:, first::factor, first::factor])
    assert torch.equal(valid, small > 2)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_resampling_by_a_whole_factor_is_subsampling(draw, factor):
    K, depth = draw.intrinsics((2,), 6, 12), draw.uniform(1, 5, (2, 6, 12))
    found = resample(depth, depth > 2, K, (6 // factor, 12 // factor))
    for ours, exact in zip(found, subsample(depth, depth > 2, K, factor), strict=True):
        assert_close(ours, exact, rtol=1e-15, atol=0)


def test_resampled_pixels_keep_their_rays_to_half_a_pixel_and_on_average():
    v, u = torch.meshgrid(torch.arange(30) + 0.5, torch.arange(50) + 0.5, indexing="ij")
    K = torch.tensor([[40.0, 0, 25], [0, 40, 15], [0, 0, 1]], dtype=torch.float64)
    for size in ((14, 14), (40, 70)):
        for pixel, axis, focal in ((u, 0, 40), (v, 1, 40)):
            found, _, small = resample(pixel.double(), torch.ones(30, 50).bool(), K, size)
            said = (pixel_grid(*size, like=K)[..., axis] - small[axis, 2]) / small[axis, axis]
            error = (found - K[axis, 2]) / focal - said
            assert float(error.abs().max()) * focal < 1.0
            assert float(error.mean()) * focal == pytest.approx(0, abs=1e-9)


def test_subsampling_refuses_sizes_that_do_not_divide(draw):
    with pytest.raises(ValueError, match="6 x 12 is not a multiple of the subsampling factor 4"):
        subsample(torch.ones(6, 12), torch.ones(6, 12).bool(), torch.eye(3), 4)


@pytest.mark.parametrize("size", [(6, 12), (3, 6), (2, 4), (4, 5)])
def test_k_before_resampling_is_found_again(draw, size):
    K = draw.intrinsics((2,), 6, 12)
    depth = draw.uniform(1, 5, (2, 6, 12))
    small = resample(depth, depth > 2, K, size)[2]
    assert_close(intrinsics_before_resampling(small, size, (6, 12)), K)
