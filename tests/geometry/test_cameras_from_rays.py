import torch
from torch.testing import assert_close

from spatialsv.geometry.cameras_from_rays import RansacConfig, cameras_from_rays
from spatialsv.geometry.metrics import rotation_angle
from spatialsv.geometry.rays import RayMap, ray_map


def check(found, K, poses, tolerance=1e-6):
    assert_close(found.intrinsics, K, rtol=tolerance, atol=tolerance)
    assert_close(found.cam_to_world, poses, rtol=tolerance, atol=tolerance)


def test_a_clean_ray_map_gives_its_cameras_back(draw):
    """Views in all directions, behind the first one's too."""
    K, poses = draw.intrinsics((4, 5), 12, 16), draw.pose((4, 5))
    rays = ray_map(K, poses, 12, 16)
    check(cameras_from_rays(rays), K, poses)
    check(cameras_from_rays(rays, ransac=RansacConfig(iterations=5)), K, poses)


def test_directions_count_by_direction_and_not_by_length(draw):
    K, poses = draw.intrinsics((3,), 12, 16), draw.pose((3,))
    rays = ray_map(K, poses, 12, 16)
    lengths = draw.uniform(0.5, 2, (3, 12, 16, 1))
    check(cameras_from_rays(RayMap(rays.origins, rays.directions * lengths)), K, poses)


def test_pixels_without_confidence_are_not_heard(draw):
    K, poses = draw.intrinsics((3,), 12, 16), draw.pose((3,))
    rays = ray_map(K, poses, 12, 16)
    trusted = draw.uniform(0, 1, (3, 12, 16)) > 0.5
    noise = draw.uniform(-1, 1, (3, 12, 16, 3)) * ~trusted[..., None]
    spoilt = RayMap(rays.origins + noise, rays.directions + noise)
    check(cameras_from_rays(spoilt, confidence=trusted.double()), K, poses)


def test_the_centre_is_the_weighted_mean_of_the_origins(draw):
    K, poses = draw.intrinsics((), 4, 4), draw.pose()
    rays = ray_map(K, poses, 4, 4)
    origins, weights = draw.uniform(-1, 1, (4, 4, 3)), draw.uniform(1, 3, (4, 4))
    centre = cameras_from_rays(RayMap(origins, rays.directions), weights).cam_to_world[:3, 3]
    assert_close(centre, (origins * weights[..., None]).sum((0, 1)) / weights.sum())


def test_ransac_sees_through_a_fifth_of_outliers(draw):
    K, poses = draw.intrinsics((3,), 16, 16), draw.pose((3,))
    rays = ray_map(K, poses, 16, 16)
    wrong = (draw.uniform(0, 1, (3, 16, 16)) < 0.2)[..., None]
    spoilt = RayMap(
        rays.origins + wrong * draw.uniform(-3, 3, (3, 16, 16, 3)),
        rays.directions + wrong * draw.uniform(-2, 2, (3, 16, 16, 3)),
    )
    robust = cameras_from_rays(spoilt, ransac=RansacConfig())
    plain = cameras_from_rays(spoilt)
    errors = [
        rotation_angle(found.cam_to_world[:, :3, :3], poses[:, :3, :3]) for found in (robust, plain)
    ]
    assert (errors[0] < 0.5).all()
    assert (errors[1] > 1).any()
    assert ((robust.cam_to_world - poses)[:, :3, 3].norm(dim=-1) < 0.1).all()
    focal = robust.intrinsics[:, 0, 0] / K[:, 0, 0]
    assert ((focal - 1).abs() < 0.02).all()


def test_the_same_seed_gives_the_same_cameras(draw):
    rays = RayMap(draw.uniform(-1, 1, (2, 8, 8, 3)), draw.uniform(-1, 1, (2, 8, 8, 3)))
    once, again = (cameras_from_rays(rays, ransac=RansacConfig()) for _ in range(2))
    assert torch.equal(once.cam_to_world, again.cam_to_world)
    R = once.cam_to_world[:, :3, :3]
    assert_close(torch.linalg.det(R), torch.ones(2, dtype=torch.float64))  # proper, whatever comes


def test_a_view_without_confidence_is_nan_and_leaves_the_others_alone(draw):
    K, poses = draw.intrinsics((2,), 6, 6), draw.pose((2,))
    confidence = torch.ones(2, 6, 6, dtype=torch.float64)
    confidence[1] = 0
    for ransac in (None, RansacConfig()):
        found = cameras_from_rays(ray_map(K, poses, 6, 6), confidence, ransac)
        assert found.intrinsics[1].isnan().any()
        assert_close(found.cam_to_world[0], poses[0], rtol=1e-6, atol=1e-6)
