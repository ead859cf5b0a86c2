"""No measure depends on the unit of lengths, or on the size of features and normals."""

import pytest
import torch
from torch.testing import assert_close

from spatialsv.geometry.align import ALIGNMENTS, align_depth
from spatialsv.geometry.camera import make_pose
from spatialsv.geometry.cameras_from_rays import RobustConfig, cameras_from_rays
from spatialsv.geometry.correspondence import match_errors
from spatialsv.geometry.depth_metrics import depth_metrics
from spatialsv.geometry.point_metrics import normal_consistency
from spatialsv.geometry.pose_metrics import pose_errors
from spatialsv.geometry.rays import RayMap, depth_normals, ray_map
from spatialsv.geometry.scale import baseline_scale
from spatialsv.geometry.similarity import robust_umeyama
from spatialsv.probe.cache import ChannelScaling
from spatialsv.pseudo.gate import GateConfig, gate

UNITS = pytest.mark.parametrize("unit", [1e-9, 1e-3, 1e6])


def in_unit(poses: torch.Tensor, unit: float) -> torch.Tensor:
    return make_pose(poses[..., :3, :3], unit * poses[..., :3, 3])


@UNITS
@pytest.mark.parametrize("method", ALIGNMENTS)
@pytest.mark.parametrize("in_disparity", [False, True])
def test_aligned_depth(draw, unit, method, in_disparity):
    depth, target = draw.uniform(1, 5, (2, 40)), draw.uniform(2, 9, (2, 40))
    valid = draw.uniform(0, 1, (2, 40)) > 0.2
    expected = align_depth(depth, target, valid, method, in_disparity)
    assert_close(align_depth(depth, unit * target, valid, method, in_disparity) / unit, expected)
    assert_close(align_depth(unit * depth, target, valid, method, in_disparity), expected)


@UNITS
def test_depth_errors_even_of_depth_below_zero(draw, unit):
    depth, target = draw.uniform(-1, 5, (2, 40)), draw.uniform(2, 9, (2, 40))
    valid = draw.uniform(0, 1, (2, 40)) > 0.2
    expected = depth_metrics(depth, target, valid)
    found = depth_metrics(unit * depth, unit * target, valid)
    for name in ("sq_rel", "rmse"):
        found[name] = found[name] / unit
    for name, value in expected.items():
        assert_close(found[name], value)


@UNITS
def test_pose_errors_and_pairs_without_a_baseline(draw, unit):
    predicted, true = draw.pose((5,)), draw.pose((5,))
    true[3, :3, 3] = true[1, :3, 3]
    expected = pose_errors(predicted, true)
    found = pose_errors(in_unit(predicted, unit), in_unit(true, unit))
    assert found.without_baseline == expected.without_baseline == 1
    assert_close(found.worst(), expected.worst(), equal_nan=True)
    true[:, :3, 3] = true[0, :3, 3]
    assert pose_errors(predicted, in_unit(true, unit)).without_baseline == 10


@UNITS
def test_scales_between_cameras_and_points(draw, unit):
    poses, source = draw.pose((5,)), draw.uniform(-1, 1, (60, 3))
    assert baseline_scale(poses, in_unit(poses, unit)) == pytest.approx(unit)
    target = unit * source @ draw.rotation().mT
    target[:15] *= 3
    assert robust_umeyama(source, target).scale.item() == pytest.approx(unit)


@UNITS
@pytest.mark.parametrize("robust", [None, RobustConfig()], ids=["plain", "robust"])
def test_cameras(draw, unit, robust):
    K, poses = draw.intrinsics((3,), 12, 16), draw.pose((3,))
    rays = ray_map(K, poses, 12, 16)
    noise = 0.01 * draw.uniform(-1, 1, (3, 12, 16, 3))
    origins, directions = rays.origins + noise, rays.directions + noise
    expected = cameras_from_rays(RayMap(origins, directions), robust=robust)
    found = cameras_from_rays(RayMap(unit * origins, unit * directions), robust=robust)
    assert_close(found.intrinsics, expected.intrinsics)
    assert_close(found.cam_to_world, in_unit(expected.cam_to_world, unit), atol=0, rtol=1e-6)


@UNITS
def test_normals_and_their_consistency(draw, unit):
    K, depth = draw.intrinsics((1,), 12, 16), draw.uniform(1, 2, (1, 12, 16))
    assert_close(depth_normals(unit * depth, K), depth_normals(depth, K))
    points, normals = draw.uniform(-1, 1, (2, 30, 3)), draw.uniform(-1, 1, (2, 30, 3))
    expected = normal_consistency(points[0], normals[0], points[1], normals[1])
    short = normals * unit**2  # as cross products are
    assert normal_consistency(points[0], short[0], points[1], short[1]) == pytest.approx(expected)


@UNITS
def test_features(draw, unit):
    K, poses = draw.intrinsics((1, 2), 8, 8), draw.pose((1, 2))
    poses[:, 1] = poses[:, 0]
    features, depth = draw.uniform(-1, 1, (1, 2, 4, 4, 6)), draw.uniform(1, 2, (1, 1, 8, 8))
    depth = depth.expand(1, 2, 8, 8)
    K = K[:, :1].expand(1, 2, 3, 3)
    cells = features.float()
    expected = match_errors(cells, depth, depth > 0, K, poses)[0]
    assert_close(match_errors(unit * cells, depth, depth > 0, K, poses)[0], expected)
    scaled = ChannelScaling.fit([unit * cells])(unit * cells)
    assert_close(scaled, ChannelScaling.fit([cells])(cells))


@UNITS
def test_the_gate(draw, unit):
    K, poses = draw.intrinsics((3,), 12, 16), draw.pose((1,)).repeat(3, 1, 1)
    poses[:, 0, 3] += torch.tensor([0.0, 0.05, 0.1])
    depth = draw.uniform(1, 1.3, (3, 12, 16))
    arguments = (depth > 0, torch.ones_like(depth), K[:1].expand(3, 3, 3))
    expected = gate(depth, *arguments, poses, GateConfig())
    assert len(expected.unique()) > 1
    assert torch.equal(gate(unit * depth, *arguments, in_unit(poses, unit), GateConfig()), expected)
