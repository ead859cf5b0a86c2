import pytest
import torch
from torch.testing import assert_close

from spatialsv.geometry.camera import intrinsics_from_fov, pixel_grid
from spatialsv.geometry.cameras_from_rays import (
    RobustConfig,
    _robust_weights,
    cameras_from_rays,
)
from spatialsv.geometry.homography import (
    decompose,
    fit_centred_homography,
    fit_homography,
    normal_matrix,
    select_homography,
)
from spatialsv.geometry.pose_metrics import rotation_angle
from spatialsv.geometry.rays import RayMap, ray_map


def check(found, K, poses, tolerance=1e-6):
    assert_close(found.intrinsics, K, rtol=tolerance, atol=tolerance)
    assert_close(found.cam_to_world, poses, rtol=tolerance, atol=tolerance)


def test_a_clean_ray_map_gives_its_cameras_back(draw):
    """Views in all directions, behind the first one's too."""
    K, poses = draw.intrinsics((4, 5), 12, 16), draw.pose((4, 5))
    rays = ray_map(K, poses, 12, 16)
    check(cameras_from_rays(rays), K, poses)
    check(cameras_from_rays(rays, robust=RobustConfig()), K, poses)


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


@pytest.mark.parametrize("robust", [None, RobustConfig()], ids=["plain", "robust"])
def test_clean_rays_are_exact(draw, robust):
    """Every direction of view, principal points in the centre and off it."""
    K, poses = draw.intrinsics((40,), 24, 32), draw.pose((40,))
    K[:20] = intrinsics_from_fov(draw.uniform(0.6, 1.8, (20,)), 24, 32)
    found = cameras_from_rays(ray_map(K, poses, 24, 32), robust=robust)
    assert rotation_angle(found.cam_to_world[:, :3, :3], poses[:, :3, :3]).max() < 1e-6
    focal = [c.diagonal(dim1=1, dim2=2)[:, :2] for c in (found.intrinsics, K)]
    assert (focal[0] / focal[1] - 1).abs().max() < 1e-8
    assert_close(found.cam_to_world[:, :3, 3], poses[:, :3, 3])


def noisy(draw, clean, noise):
    size = clean.directions.shape
    generator = draw.generator
    origins, directions = (
        x + noise * torch.randn(size, generator=generator, dtype=x.dtype)
        for x in (clean.origins, clean.directions)
    )
    return RayMap(origins, directions)


def spoil(draw, rays, wrong, other=None):
    """Wrong origins, and directions that are wild or another camera's, where `wrong`."""
    size, wrong = rays.directions.shape, wrong[..., None]
    wild = draw.uniform(-2, 2, size) if other is None else other
    return RayMap(
        (rays.origins + draw.uniform(-3, 3, size)).where(wrong, rays.origins),
        wild.where(wrong, rays.directions),
    )


def errors(found, K, poses):
    """Degrees, relative focal error, distance of the centres."""
    turn = rotation_angle(found.cam_to_world[:, :3, :3], poses[:, :3, :3])
    focal = (found.intrinsics[:, 0, 0] / K[:, 0, 0] - 1).abs()
    return turn, focal, (found.cam_to_world - poses)[:, :3, 3].norm(dim=-1)


def test_a_third_of_wild_rays_is_not_heard(draw):
    K, poses = intrinsics_from_fov(draw.uniform(0.8, 1.4, (8,)), 32, 32), draw.pose((8,))
    wrong = draw.uniform(0, 1, (8, 32, 32)) < 0.33
    rays = spoil(draw, noisy(draw, ray_map(K, poses, 32, 32), 0.01), wrong)
    turn, focal, moved = errors(cameras_from_rays(rays, robust=RobustConfig()), K, poses)
    assert turn.max() < 0.3
    assert focal.max() < 0.005
    assert moved.max() < 0.003
    turn, _, moved = errors(cameras_from_rays(rays), K, poses)
    assert turn.median() > 5
    assert moved.median() > 0.01


def test_rays_within_the_cut_off_count_and_those_beyond_do_not(draw):
    """A weight falls from 1 to 0 at 4.685 standard deviations of the noise of each coordinate."""
    K, noise = intrinsics_from_fov(torch.full((1,), 1.0).double(), 40, 40), 1e-3
    pixels = pixel_grid(40, 40, like=K).flatten(0, 1)
    pixels = torch.cat([pixels, torch.ones(1600, 1).double()], dim=1).T
    clean = torch.nn.functional.normalize(torch.linalg.inv(K[0]) @ pixels, dim=0)
    directions = clean + noise * torch.randn(1, 3, 1600, generator=draw.generator).double()
    up = torch.tensor([0.0, 1, 0]).double()[:, None].expand(3, 1600)
    across = torch.linalg.cross(clean, up, dim=0)
    across = torch.nn.functional.normalize(across, dim=0)
    sizes = {3.0: 5, 4.2: 25, 5.2: 45, 8.0: 65}  # standard deviations, by pixel
    for size, pixel in sizes.items():
        directions[0, :, pixel] = clean[:, pixel] + size * noise * across[:, pixel]
    directions = torch.nn.functional.normalize(directions, dim=1)
    ones = torch.ones(1, 1600).double()
    weights = _robust_weights(pixels, directions, ones, RobustConfig())[0]
    found = [weights[pixel].item() for pixel in sizes.values()]
    expected = [max(0, 1 - (size / 4.685) ** 2) ** 2 for size in sizes]
    assert found == pytest.approx(expected, abs=0.08)
    assert found[1] > 0 == found[2] == found[3]


def test_clean_rays_among_outliers_are_exact_and_the_principal_point_is_found(draw):
    K, poses = draw.intrinsics((8,), 32, 32), draw.pose((8,))
    rays = spoil(draw, ray_map(K, poses, 32, 32), draw.uniform(0, 1, (8, 32, 32)) < 0.3)
    check(cameras_from_rays(rays, robust=RobustConfig()), K, poses)


def test_a_block_of_another_cameras_rays_is_not_heard(draw):
    K, poses, other = draw.intrinsics((8,), 32, 32), draw.pose((8,)), draw.pose((8,))
    wrong = torch.zeros(8, 32, 32, dtype=torch.bool)
    wrong[:, :11] = True
    away = ray_map(K, other, 32, 32).directions
    rays = spoil(draw, ray_map(K, poses, 32, 32), wrong, away)
    check(cameras_from_rays(rays, robust=RobustConfig()), K, poses)


def test_opposite_rays_are_outliers_though_they_lie_on_the_same_lines(draw):
    K, poses = draw.intrinsics((4,), 16, 16), draw.pose((4,))
    rays = ray_map(K, poses, 16, 16)
    opposite = draw.uniform(0, 1, (4, 16, 16)) < 0.3
    rays = spoil(draw, rays, opposite, -rays.directions)
    check(cameras_from_rays(rays, robust=RobustConfig()), K, poses)


def test_a_centred_principal_point_is_kept_through_noise_which_steadies_the_rotation(draw):
    K, poses = intrinsics_from_fov(draw.uniform(0.8, 1.4, (8,)), 32, 32), draw.pose((8,))
    rays = noisy(draw, ray_map(K, poses, 32, 32), 0.03)
    centred, free = cameras_from_rays(rays, robust=RobustConfig()), cameras_from_rays(rays)
    assert_close(centred.intrinsics[:, :2, 2], K[:, :2, 2])
    assert errors(centred, K, poses)[0].median() < 0.5 * errors(free, K, poses)[0].median()


def test_a_clearly_shifted_principal_point_is_not_pulled_to_the_centre(draw):
    K, poses = intrinsics_from_fov(draw.uniform(0.8, 1.4, (8,)), 32, 32), draw.pose((8,))
    K[:, :2, 2] += 3.0
    rays = noisy(draw, ray_map(K, poses, 32, 32), 0.01)
    found = cameras_from_rays(rays, robust=RobustConfig())
    assert (found.intrinsics - K)[:, :2, 2].abs().max() < 0.5
    assert errors(found, K, poses)[0].max() < 1.5


def test_rays_that_are_not_finite_are_outliers(draw):
    K, poses = draw.intrinsics((2,), 12, 16), draw.pose((2,))
    rays = ray_map(K, poses, 12, 16)
    directions, origins = rays.directions.clone(), rays.origins.clone()
    directions[0, :4] = torch.nan
    origins[1, 5:8] = torch.inf
    check(cameras_from_rays(RayMap(origins, directions), robust=RobustConfig()), K, poses)


@pytest.mark.parametrize("robust", [None, RobustConfig()], ids=["plain", "robust"])
def test_a_view_has_the_same_camera_alone_and_in_a_batch(draw, robust):
    rays = noisy(draw, ray_map(draw.intrinsics((5,), 16, 16), draw.pose((5,)), 16, 16), 0.05)
    confidence = draw.uniform(1, 3, (5, 16, 16))
    together = cameras_from_rays(rays, confidence, robust)
    for i in range(5):
        one = RayMap(rays.origins[i], rays.directions[i])
        check(
            cameras_from_rays(one, confidence[i], robust),
            together.intrinsics[i],
            together.cam_to_world[i],
        )


def test_chunks_of_samples_change_nothing(draw, monkeypatch):
    rays = noisy(draw, ray_map(draw.intrinsics((3,), 16, 16), draw.pose((3,)), 16, 16), 0.05)
    whole = cameras_from_rays(rays, robust=RobustConfig())
    monkeypatch.setattr("spatialsv.geometry.cameras_from_rays.CHUNK", 5 * 3 * 3 * 512)
    pieces = cameras_from_rays(rays, robust=RobustConfig())
    check(pieces, whole.intrinsics, whole.cam_to_world)


def test_whatever_comes_the_rotation_is_proper_and_the_same_each_time(draw):
    rays = RayMap(draw.uniform(-1, 1, (2, 8, 8, 3)), draw.uniform(-1, 1, (2, 8, 8, 3)))
    once, again = (cameras_from_rays(rays, robust=RobustConfig()) for _ in range(2))
    assert torch.equal(once.cam_to_world, again.cam_to_world)
    R = once.cam_to_world[:, :3, :3]
    assert_close(torch.linalg.det(R), torch.ones(2, dtype=torch.float64))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_finds_the_same_cameras(draw):
    clean = ray_map(draw.intrinsics((4,), 32, 32), draw.pose((4,)), 32, 32)
    rays = spoil(draw, noisy(draw, clean, 0.01), draw.uniform(0, 1, (4, 32, 32)) < 0.3)
    here = cameras_from_rays(rays, robust=RobustConfig())
    moved = RayMap(rays.origins.cuda(), rays.directions.cuda())
    there = cameras_from_rays(moved, robust=RobustConfig())
    check(here, there.intrinsics.cpu(), there.cam_to_world.cpu())


@pytest.mark.parametrize("robust", [None, RobustConfig()], ids=["plain", "robust"])
def test_a_view_without_confidence_is_nan_and_leaves_the_others_alone(draw, robust):
    K, poses = draw.intrinsics((2,), 6, 6), draw.pose((2,))
    confidence = torch.ones(2, 6, 6, dtype=torch.float64)
    confidence[1] = 0
    found = cameras_from_rays(ray_map(K, poses, 6, 6), confidence, robust)
    assert found.intrinsics[1].isnan().all()
    assert found.cam_to_world[1, :3].isnan().all()
    assert_close(found.cam_to_world[0], poses[0], rtol=1e-6, atol=1e-6)


def test_four_pixels_are_enough(draw):
    K, poses = draw.intrinsics((2,), 6, 6), draw.pose((2,))
    confidence = torch.zeros(2, 6, 6, dtype=torch.float64)
    confidence[:, ::4, 1::3] = 1
    rays = ray_map(K, poses, 6, 6)
    for robust in (None, RobustConfig()):
        check(cameras_from_rays(rays, confidence, robust), K, poses, tolerance=1e-5)


def test_skew_is_dropped(draw):
    """Noisy rays have no exact pinhole camera; the fitted K has no skew all the same."""
    rays = ray_map(draw.intrinsics((2,), 12, 16), draw.pose((2,)), 12, 16)
    noise = 0.05 * draw.uniform(-1, 1, tuple(rays.directions.shape))
    found = cameras_from_rays(RayMap(rays.origins, rays.directions + noise))
    assert (found.intrinsics[:, 0, 1] == 0).all()
    assert (found.intrinsics[:, 1:, 0] == 0).all() and (found.intrinsics[:, 2, :2] == 0).all()


ROBUST = pytest.mark.parametrize("robust", [None, RobustConfig()], ids=["plain", "robust"])


@ROBUST
@pytest.mark.parametrize("fault", ["zero", "nan", "inf", "parallel", "in one plane"])
def test_rays_of_no_camera_are_nan_in_their_view_and_leave_the_others_alone(draw, robust, fault):
    rays = noisy(draw, ray_map(draw.intrinsics((3,), 16, 16), draw.pose((3,)), 16, 16), 0.05)
    alone = cameras_from_rays(RayMap(rays.origins[::2], rays.directions[::2]), robust=robust)
    one = rays.directions[1]
    one[...] = {
        "zero": torch.zeros(3),
        "nan": torch.full((3,), torch.nan),
        "inf": torch.full((3,), torch.inf),
        "parallel": one[0, 0].clone(),
        "in one plane": one * torch.tensor([1.0, 0, 0]),
    }[fault]
    found = cameras_from_rays(rays, robust=robust)
    assert found.intrinsics[1].isnan().all()
    assert found.cam_to_world[1, :3].isnan().all()
    check(alone, found.intrinsics[::2], found.cam_to_world[::2])


@ROBUST
def test_a_ray_without_a_direction_has_no_weight(draw, robust):
    K, poses = draw.intrinsics((2,), 12, 16), draw.pose((2,))
    rays = ray_map(K, poses, 12, 16)
    directions = rays.directions.clone()
    directions[0, 3:6] = 0
    directions[1, 2, 2] = torch.nan
    check(cameras_from_rays(RayMap(rays.origins, directions), robust=robust), K, poses)


@pytest.mark.parametrize("noise", [0.05, 0.1, 0.2])
def test_noise_as_large_as_a_narrow_view_turns_it_by_a_few_degrees(draw, noise):
    """20 degrees of view: half of it is 0.18, as large as the noise."""
    K, poses = intrinsics_from_fov(torch.full((60,), 0.35).double(), 32, 32), draw.pose((60,))
    rays = noisy(draw, ray_map(K, poses, 32, 32), noise)
    turn, _, _ = errors(cameras_from_rays(rays, robust=RobustConfig()), K, poses)
    assert turn.isfinite().all()
    assert turn.median() < 15 * noise


def test_noise_does_not_turn_the_plain_fit_by_more_than_its_variance(draw):
    """With more pixels the error falls as it should: none of it is bias."""
    medians = []
    for size in (16, 64):
        K = intrinsics_from_fov(torch.full((40,), 0.5).double(), size, size)
        poses = draw.pose((40,))
        rays = noisy(draw, ray_map(K, poses, size, size), 0.1)
        medians.append(errors(cameras_from_rays(rays), K, poses)[0].median())
    assert medians[1] < 0.5 * medians[0]


def test_the_free_fit_stands_in_for_a_centred_one_without_intrinsics(draw):
    pixels = torch.cat([draw.uniform(-1.7, 1.7, (2, 8)), torch.ones(1, 8).double()])
    directions = torch.randn(500, 3, 8, generator=draw.generator, dtype=torch.float64)
    directions = torch.nn.functional.normalize(directions, dim=1)
    weights = torch.ones(500, 8, dtype=torch.float64)
    normal = normal_matrix(pixels, directions, weights)
    free = fit_homography(normal)
    centred = decompose(fit_centred_homography(normal, free))[1]
    assert not centred.isfinite().all()  # of some views
    usable = decompose(free)[1].isfinite()
    assert decompose(select_homography(normal, weights))[1].isfinite()[usable].all()
