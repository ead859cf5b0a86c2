"""Windows in frames and units of their own become one scene, exactly where they are exact."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from spatialsv.geometry.pose_metrics import pose_errors
from spatialsv.lift.windows import MAX_RESIDUAL, join_windows, split_views
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.views import render_views
from spatialsv.scenes.scene import Scenes
from spatialsv.teachers.exact import ExactTeacher

VIEWS = 10


@pytest.fixture(scope="module")
def room() -> Scenes:
    config = RoomsConfig(views=VIEWS, image_size=32, samples=1, motions=("around",))
    return render_views([3], config)[1]


def label(room: Scenes, views: range) -> Scenes:
    """Exact geometry of some views, in the first one's frame and in units of its own."""
    names = ("depth", "valid", "intrinsics", "cam_to_world")
    part = room.replace(
        image=None, instance=None, **{n: room.arrays[n][:, list(views)] for n in names}
    )
    return ExactTeacher().label(part).replace(scale=None)


def noisy(scenes: Scenes, noise: float, outliers: float, seed: int) -> Scenes:
    """Depth with relative noise, and outliers in one corner, as of a window that sees another."""
    rng = np.random.default_rng(seed)
    depth = scenes.depth * np.exp(noise * rng.normal(size=scenes.depth.shape))
    edge = int(outliers * depth.shape[-1])
    depth[..., :edge] *= 3
    return scenes.replace(depth=depth.astype(np.float32))


@pytest.mark.parametrize(
    "count, window, overlap, starts",
    [
        (10, 4, 2, [0, 2, 4, 6]),
        (11, 4, 2, [0, 2, 4, 6, 7]),
        (10, 8, 3, [0, 2]),
        (5, 4, 1, [0, 1]),
        (4, 4, 2, [0]),
        (9, None, 2, [0]),
        (1, 4, 2, [0]),
    ],
)
def test_windows_cover_all_views_and_share_enough(count, window, overlap, starts):
    windows = split_views(count, window, overlap)
    assert [part.start for part in windows] == starts
    assert windows[0].start == 0 and windows[-1].stop == count
    assert all(len(part) == min(count, window or count) for part in windows)
    for before, after in pairwise(windows):
        assert before.stop - after.start >= overlap


@pytest.mark.parametrize("window, overlap", [(4, 2), (4, 1), (8, 3), (3, 2)])
def test_exact_windows_are_the_whole(room, window, overlap):
    windows = split_views(VIEWS, window, overlap)
    joined, joins = join_windows([label(room, part) for part in windows], windows)
    whole = label(room, range(VIEWS))
    ratio = float(np.median(whole.depth / joined.depth))
    assert_allclose(ratio * joined.depth, whole.depth, rtol=1e-5)
    poses = joined.cam_to_world.copy()
    poses[..., :3, 3] *= ratio
    assert_allclose(poses, whole.cam_to_world, atol=1e-5)
    assert len(joins) == len(windows) - 1
    assert max(join.residual for join in joins) < 1e-5
    assert [join.shared for join in joins] == [a.stop - b.start for a, b in pairwise(windows)]


def test_noise_and_outliers_stay_small(room):
    windows = split_views(VIEWS, 4, 2)
    parts = [noisy(label(room, part), 0.05, 0.25, part.start) for part in windows]
    joined, joins = join_windows(parts, windows)
    whole = label(room, range(VIEWS))
    found, true = (torch.from_numpy(s.cam_to_world[0]) for s in (joined, whole))
    assert float(pose_errors(found, true).rotation.max()) < 1  # degrees
    ratio = np.median(whole.depth / joined.depth, axis=(2, 3))
    assert_allclose(ratio / ratio[0, 0], np.ones((1, VIEWS)), rtol=0.03)
    assert all(0.02 < join.residual < MAX_RESIDUAL for join in joins)


def test_windows_that_disagree_have_large_residuals(room):
    windows = split_views(VIEWS, 4, 2)
    parts = [label(room, part) for part in windows]
    parts[2] = noisy(parts[2], 0.5, 0, 0)
    residuals = [join.residual for join in join_windows(parts, windows)[1]]
    assert residuals[0] < 1e-5 and residuals[1] > MAX_RESIDUAL


def test_confident_points_decide(room):
    """Half of the pixels are wrong, and say so."""
    windows = split_views(6, 4, 2)
    parts = [label(room, part) for part in windows]
    wrong = parts[1].depth.copy()
    wrong[..., ::2, :] *= np.random.default_rng(0).uniform(1, 4, wrong[..., ::2, :].shape)
    unsure = np.ones_like(parts[1].confidence)
    unsure[..., 1::2, :] = 100
    parts[1] = parts[1].replace(depth=wrong.astype(np.float32), confidence=unsure)
    parts[0] = parts[0].replace(confidence=np.full_like(parts[0].confidence, 100))
    joined, _ = join_windows(parts, windows)
    found, true = (torch.from_numpy(s.cam_to_world[0]) for s in (joined, label(room, range(6))))
    assert float(pose_errors(found, true).rotation.max()) < 0.1


def test_windows_without_common_pixels_are_refused(room):
    windows = split_views(6, 4, 2)
    parts = [label(room, part) for part in windows]
    parts[1] = parts[1].replace(valid=np.zeros_like(parts[1].valid))
    with pytest.raises(ValueError, match=r"views 2 to 3: too few valid pixels"):
        join_windows(parts, windows)
