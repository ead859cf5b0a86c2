import pytest
import torch
from torch.testing import assert_close

from spatialsv.geometry.camera import invert_pose, pixel_grid
from spatialsv.geometry.maps import (
    GeometryLabels,
    labels_from_cameras,
    normalise_scene,
    to_first_view,
)
from spatialsv.geometry.rays import depth_normals, point_map, project, ray_map


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_depth_is_z_in_the_camera_frame_and_points_project_to_their_pixels(draw, lead):
    K, pose = draw.intrinsics(lead, 4, 5), draw.pose(lead)
    depth = draw.uniform(1, 5, (*lead, 4, 5))
    points = point_map(depth, ray_map(K, pose, 4, 5))
    pixel, z = project(points, K, pose)
    assert_close(z, depth)
    assert_close(pixel, pixel_grid(4, 5, like=depth).expand(*lead, 4, 5, 2))
    to_camera = invert_pose(pose)
    local = torch.einsum("...ij,...hwj->...hwi", to_camera[..., :3, :3], points)
    assert_close((local + to_camera[..., None, None, :3, 3])[..., 2], depth)


def test_a_point_in_the_plane_of_the_camera_is_not_divided_by_its_depth():
    """Its pixel means nothing, but is finite: it does not spoil sums over masked pixels."""
    K, point = torch.tensor([[2.0, 0, 4], [0, 3, 5], [0, 0, 1]]), torch.tensor([[[1.0, 2, 0]]])
    pixel, z = project(point, K, torch.eye(4))
    assert z.item() == 0
    assert pixel.flatten().tolist() == [2, 6]


def test_the_first_view_becomes_the_world(draw):
    poses = to_first_view(draw.pose((2, 3)))
    assert_close(poses[:, 0], torch.eye(4, dtype=torch.float64).expand(2, 4, 4))


def test_normalising_is_invariant_to_the_world_and_its_unit(draw):
    K, poses = draw.intrinsics((3,), 4, 5), draw.pose((3,))
    depth, valid = draw.uniform(1, 5, (3, 4, 5)), draw.uniform(0, 1, (3, 4, 5)) > 0.3
    once = normalise_scene(depth, poses, K, valid)
    moved = draw.pose() @ poses
    moved[:, :3, 3] *= 7
    again = normalise_scene(depth * 7, moved, K, valid)
    assert_close(again[0], once[0])
    assert_close(again[1], once[1])
    assert_close(again[2], once[2] * 7)


def test_normalised_points_lie_at_mean_distance_one_and_scale_restores_them(draw):
    K, poses = draw.intrinsics((3,), 4, 5), draw.pose((3,))
    depth, valid = draw.uniform(1, 5, (3, 4, 5)), draw.uniform(0, 1, (3, 4, 5)) > 0.3
    small, cameras, scale = normalise_scene(depth, poses, K, valid)
    points = point_map(small, ray_map(K, cameras, 4, 5))
    assert_close(points.norm(dim=-1)[valid].mean(), torch.ones((), dtype=torch.float64))
    assert (small[~valid] == 0).all()
    assert_close((small * scale)[valid], depth[valid])


def test_a_scene_without_valid_pixels_keeps_its_unit(draw):
    depth = torch.ones(2, 4, 5, dtype=torch.float64)
    poses, none = draw.pose((2,)), torch.zeros(2, 4, 5, dtype=torch.bool)
    small, cameras, scale = normalise_scene(depth, poses, draw.intrinsics((2,), 4, 5), none)
    assert scale == 1
    assert (small == 0).all()
    assert cameras.isfinite().all()


def test_labels_hold_the_rays_and_points_of_their_cameras(draw):
    K, poses = draw.intrinsics((2, 3), 4, 5), draw.pose((2, 3))
    depth, valid = draw.uniform(1, 5, (2, 3, 4, 5)), draw.uniform(0, 1, (2, 3, 4, 5)) > 0.3
    labels = labels_from_cameras(depth, valid, K, poses)
    rays = ray_map(K, poses, 4, 5)
    assert_close(labels.points[valid], point_map(depth, rays)[valid])
    assert_close(labels.ray_directions, rays.directions)
    assert (labels.depth[~valid] == 0).all()
    assert labels.present.all()


def test_labels_of_unequal_sizes_are_refused_by_name():
    maps = torch.zeros(1, 2, 4, 5, 3)
    with pytest.raises((ValueError, TypeError), match="points"):
        GeometryLabels(
            depth=maps[..., 0],
            ray_origins=maps,
            ray_directions=maps,
            points=maps[:, :, :2],
            valid=maps[..., 0] > 0,
            present=torch.ones(1, 2, dtype=torch.bool),
        )


def test_normals_of_a_tilted_plane_are_its_normal(draw):
    """The plane n . x = d, seen by a camera with its principal point off the centre."""
    K = draw.intrinsics((2,), 6, 8)
    normal = torch.nn.functional.normalize(torch.tensor([0.3, -0.2, -1.0]).double(), dim=0)
    rays = ray_map(K, torch.eye(4).double().expand(2, 4, 4), 6, 8)
    depth = -2.0 / (rays.directions @ normal)
    found = depth_normals(depth, K)
    inside = (slice(None), slice(1, -1), slice(1, -1))
    assert_close(found[inside], normal.expand(2, 4, 6, 3))


def test_a_single_valid_pixel_gives_the_scale(draw):
    K, poses = draw.intrinsics((2,), 4, 5), draw.pose((2,))
    depth, valid = draw.uniform(1, 5, (2, 4, 5)), torch.zeros(2, 4, 5, dtype=torch.bool)
    valid[1, 2, 3] = True
    _, _, scale = normalise_scene(depth, poses, K, valid)
    points = point_map(depth, ray_map(K, poses, 4, 5))
    assert_close(scale, (points[1, 2, 3] - poses[0, :3, 3]).norm())
