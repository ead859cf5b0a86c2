"""Errors of lifted places: none where the truth is lifted, the known ones where it is bent."""

import numpy as np
import pytest

from helpers.tiny import synthetic_scenes
from spatialsv.lift.errors import compare_with_source
from spatialsv.lift.measure import ground_truth, summarise
from spatialsv.scenes.scene import Cameras, Geometry, Scenes


@pytest.fixture(scope="module")
def wide() -> Scenes:
    """A scene that is wider than high."""
    scene = synthetic_scenes().select([0])
    cut = {name: getattr(scene, name)[:, :, 6:26] for name in ("depth", "valid", "image")}
    K = scene.intrinsics.copy()
    K[..., 1, 2] -= 6
    return scene.replace(intrinsics=K, instance=None, **cut)


def lifted_as(truth: Scenes, size: tuple[int, int]) -> Scenes:
    """What a model without errors makes of `truth`, whose views are of its shape."""
    known = ground_truth(truth, size)
    return Scenes(
        ids=truth.ids,
        geometry=Geometry(
            cameras=Cameras(
                intrinsics=known.intrinsics.numpy(), cam_to_world=known.cam_to_world.numpy()
            ),
            depth=known.depth.float().numpy(),
            valid=known.valid.numpy(),
        ),
        unit="relative",
    )


def middle_of(scene: Scenes) -> Scenes:
    """The centre_crop 20 of 32 columns, cut by hand."""
    K = scene.intrinsics.copy()
    K[..., 0, 2] -= 6
    cut = {name: getattr(scene, name)[..., 6:26] for name in ("depth", "valid")}
    return scene.replace(image=None, intrinsics=K, **cut)


@pytest.mark.parametrize("size", [(20, 20), (10, 10)])
def test_truth_lifted_has_no_errors(wide, size):
    found = compare_with_source(lifted_as(middle_of(wide), size), wide, (64, 64))
    for name, value in found.row.items():
        if name in ("abs_rel", "view_abs_rel", "raw_abs_rel", "rotation_error"):
            assert value == pytest.approx(0, abs=2e-6), name
        if name.endswith("delta1"):
            assert value == 1
    assert found.row["depth_points_error"] == pytest.approx(0, abs=1e-6)
    assert found.row["scene"] == wide.ids[0]


def test_a_scale_shows_in_raw_errors_alone(wide):
    exact = lifted_as(middle_of(wide), (20, 20))
    doubled = exact.replace(depth=2 * exact.depth)
    row = compare_with_source(doubled, wide, (64, 64)).row
    assert row["raw_abs_rel"] == pytest.approx(1)
    assert row["abs_rel"] == pytest.approx(0, abs=1e-6)


def test_whole_pictures_are_measured_whole(wide):
    row = compare_with_source(lifted_as(wide, (20, 32)), wide, None).row
    assert row["raw_abs_rel"] == pytest.approx(0, abs=1e-6)


def test_posed_scenes_without_depth_have_compare_with_source_poses_alone(wide):
    posed = wide.replace(depth=None, valid=None)
    exact = lifted_as(wide, (20, 32))
    found = compare_with_source(exact, posed, None)
    assert set(found.row) == {"scene", "rotation_error", "translation_error"}
    assert found.row["rotation_error"] == pytest.approx(0, abs=1e-5)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    poses = exact.cam_to_world.copy()
    poses[0, 1] = poses[0, 1] @ turn
    row = compare_with_source(exact.replace(cam_to_world=poses), posed, None).row
    assert row["rotation_error"] == pytest.approx(np.degrees(0.1))
    assert summarise([row], found.pairs)["pose_auc30"] == 1
