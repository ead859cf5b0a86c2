"""The gate keeps what is true and drops what other views contradict."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from spatialsv.geometry.rays import ray_map
from spatialsv.pseudo.gate import GateConfig, count_views, gate, reference_scale, score_pixels
from spatialsv.scenes.scene import GateReason

STRICT = GateConfig(confidence_percentile=0.0, pixels=0.01, relative_depth=1e-3, keep_unseen=False)


def tensors(scenes):
    depth, K, poses = (
        torch.from_numpy(np.asarray(a)).double()
        for a in (scenes.depth, scenes.intrinsics, scenes.cam_to_world)
    )
    return depth, torch.from_numpy(scenes.valid), K, poses


def run_gate(depth, valid, K, poses, config=STRICT, confidence=None):
    confidence = torch.ones_like(depth) if confidence is None else confidence
    return gate(depth, valid, confidence, K, poses, config)


def test_exact_planes_are_kept_wherever_another_view_looks(tiny_scenes):
    depth, valid, K, poses = tensors(tiny_scenes)
    reason = run_gate(depth, valid, K, poses)
    assert set(reason.unique().tolist()) == {GateReason.KEPT, GateReason.UNSEEN}
    assert (reason == GateReason.KEPT).double().mean() > 0.8


def test_pixels_no_other_view_sees_are_kept_only_if_asked(tiny_scenes):
    depth, valid, K, poses = tensors(tiny_scenes)
    poses = poses.clone()
    poses[:, 1, :3, :3] = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))  # looks the other way
    assert (run_gate(depth, valid, K, poses) == GateReason.UNSEEN).all()
    trusting = GateConfig(confidence_percentile=0.0, keep_unseen=True)
    assert (run_gate(depth, valid, K, poses, trusting) == GateReason.KEPT).all()


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_corrupted_depth_is_dropped(tiny_scenes, factor):
    depth, valid, K, poses = tensors(tiny_scenes)
    before = run_gate(depth, valid, K, poses)
    bad = depth.clone()
    bad[:, 0, 10:20, 10:20] *= factor
    after = run_gate(bad, valid, K, poses)
    patch = (slice(None), 0, slice(10, 20), slice(10, 20))
    assert (before[patch] == GateReason.KEPT).all()
    assert (after[patch] != GateReason.KEPT).all()
    assert (after[:, 0, :, 22:] == before[:, 0, :, 22:]).all()


def test_low_confidence_and_missing_depth_have_their_own_reasons(tiny_scenes):
    depth, valid, K, poses = tensors(tiny_scenes)
    valid = valid.clone()
    valid[:, :, 0] = False
    confidence = torch.rand(depth.shape, generator=torch.Generator().manual_seed(0)).double()
    config = GateConfig(confidence_percentile=30.0)
    reason = run_gate(depth, valid, K, poses, config, confidence)
    assert (reason[:, :, 0] == GateReason.INVALID).all()
    share = (reason[:, :, 1:] == GateReason.UNSURE).double().mean(dim=(1, 2, 3))
    assert_close(share, torch.full_like(share, 0.3), atol=0.01, rtol=0)


def test_more_views_can_be_demanded(tiny_scenes):
    depth, valid, K, poses = tensors(tiny_scenes)
    twice = [torch.cat([a, a[:, 1:]], dim=1) for a in (depth, valid, K, poses)]
    seen, (confirmed,) = count_views(*twice, limits=[(0.01, 1e-3)])
    assert confirmed[:, 0].unique().tolist() == [0, 2]
    assert (seen >= confirmed).all()
    assert int(seen.max()) == 2


def test_each_pair_of_limits_is_counted_as_if_alone(tiny_scenes):
    depth, valid, K, poses = tensors(tiny_scenes)
    noise = torch.rand(depth.shape, generator=torch.Generator().manual_seed(0)).double()
    views = (depth * (1 + 0.2 * noise), valid, K, poses)
    limits = [(0.1, 1.0), (2.0, 0.02), (2.0, 1.0)]
    _, together = count_views(*views, limits=limits)
    for pair, count in zip(limits, together, strict=True):
        assert_close(count_views(*views, limits=[pair])[1][0], count)
    assert (together[0] < together[2]).any() and (together[1] < together[2]).any()


def test_the_confidence_percentile_is_of_valid_pixels_only():
    """Invalid pixels, whatever their confidence, do not move the threshold."""
    confidence = torch.rand(2, 1, 20, 20, generator=torch.Generator().manual_seed(0)).double()
    valid = torch.ones_like(confidence, dtype=torch.bool)
    valid[:, :, :10] = False
    count = torch.ones(valid.shape, dtype=torch.int16)
    config = GateConfig(confidence_percentile=90.0)
    for value in (0.0, 1.0):  # of the invalid half
        confidence[:, :, :10] = value
        reason = score_pixels(count, count, valid, confidence, config)
        unsure = (reason == GateReason.UNSURE).flatten(1).sum(dim=1)
        assert unsure.tolist() == [180, 180]  # 90 % of 200


def test_depth_between_pixels_is_exact_on_an_oblique_plane():
    """1 / depth is linear in the image of a plane, so interpolating it is exact; depth is not."""
    K = torch.tensor([[8.0, 0, 8], [0, 8, 8], [0, 0, 1]]).double().expand(2, 3, 3)
    poses = torch.eye(4).double().repeat(2, 1, 1)
    poses[1, 0, 3] = 0.3
    rays = ray_map(K, poses, 16, 16)
    normal = torch.tensor([0.8, 0.0, 1.0]).double()  # the plane normal . x = 2
    depth = (2 - rays.origins @ normal) / (rays.directions @ normal)
    assert depth.min() > 0 and depth.max() / depth.min() > 5
    scene = (depth[None], torch.ones(1, 2, 16, 16, dtype=torch.bool), K[None], poses[None])
    looks, (confirmed,) = count_views(*scene, limits=[(1e-9, 1e-9)])
    assert looks.sum() > 200
    assert torch.equal(confirmed, looks)


def test_a_point_behind_its_own_camera_confirms_nothing():
    """The second view faces the first; its depth lies behind the first, on the same pixel."""
    K = torch.tensor([[4.0, 0, 4], [0, 4, 4], [0, 0, 1]]).double().expand(1, 2, 3, 3)
    poses = torch.eye(4).double().repeat(1, 2, 1, 1)
    poses[0, 1, :3, :3] = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))
    poses[0, 1, 2, 3] = 4
    depth = torch.full((1, 2, 8, 8), 2.0).double()
    views = (torch.ones(1, 2, 8, 8, dtype=torch.bool), K, poses)
    limits = [(torch.inf, torch.inf)]
    looks, (confirmed,) = count_views(depth, *views, limits)
    assert confirmed[0, 0].all() and looks[0, 0].all()
    depth[0, 1] = 6  # 2 behind the first camera
    looks, (confirmed,) = count_views(depth, *views, limits)
    assert looks[0, 0].all() and not confirmed[0, 0].any()


def test_a_camera_that_stands_still_confirms_all_pixels_borders_included():
    """Also without leading axes, and pixels that the other view does not know are not looked at."""
    generator = torch.Generator().manual_seed(0)
    depth = 1 + torch.rand(2, 6, 8, generator=generator).double()
    depth[1] = depth[0]
    K = torch.tensor([[7.3, 0, 4.1], [0, 7.1, 2.9], [0, 0, 1]]).double().expand(2, 3, 3)
    poses = torch.eye(4).double().expand(2, 4, 4)
    valid = torch.ones(2, 6, 8, dtype=torch.bool)
    looks, (confirmed,) = count_views(depth, valid, K, poses, [(1e-6, 1e-6)])
    assert (looks == 1).all() and (confirmed == 1).all()
    valid[1, 2, 3] = False
    looks, _ = count_views(depth, valid, K, poses, [(1e-6, 1e-6)])
    assert looks[0, 2, 3] == 0 and looks[1].all()


def test_depth_gives_the_scale_although_it_is_known_at_some_pixels_only(tiny_scenes):
    """The cameras' baseline is used only where no kept pixel has a known depth."""
    one = tiny_scenes.select(slice(0, 1))
    poses = one.cam_to_world.copy()
    poses[:, :, :3, 3] /= 5  # baselines say 5, depth says 2
    labels = one.replace(depth=one.depth / 2, cam_to_world=poses)
    kept = np.ones_like(one.valid)
    kept[:, :, ::2] = False
    assert reference_scale(labels, one, kept) == pytest.approx(2)
    some = one.valid.copy()
    some[:, :, 1::4] = False
    assert reference_scale(labels, one.replace(valid=some), kept) == pytest.approx(2)
    assert reference_scale(labels, one, np.zeros_like(kept)) == pytest.approx(5)
