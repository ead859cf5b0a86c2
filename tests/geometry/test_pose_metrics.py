import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.testing import assert_close

from spatialsv.geometry.camera import make_pose
from spatialsv.geometry.pose_metrics import (
    PoseErrors,
    concatenate_pose_errors,
    direction_angle,
    error_auc,
    exact_auc,
    pose_errors,
    rotation_angle,
    share_below,
)


def test_rotation_angles_are_exact_at_both_ends():
    degrees = [0.0, 1e-6, 45.0, 90.0, 179.999999, 180.0]
    turns = torch.from_numpy(
        Rotation.from_rotvec(np.outer(np.radians(degrees), [0, 0.6, 0.8])).as_matrix()
    )
    found = rotation_angle(torch.eye(3).double().expand(6, 3, 3), turns)
    assert_close(found, torch.tensor(degrees, dtype=torch.float64), rtol=0, atol=1e-9)


def test_pose_errors_do_not_see_the_world_or_its_unit(draw):
    true = draw.pose((5,))
    moved = draw.pose() @ true
    moved[:, :3, 3] = moved[:, :3, 3] * 3
    errors = pose_errors(moved, true)
    assert errors.rotation.shape == (10,)
    assert errors.worst().max() < 1e-6
    assert error_auc(errors.worst(), 5) == 1.0


def test_pose_errors_match_an_independent_evaluation(draw):
    predicted, true = draw.pose((4,)), draw.pose((4,))
    errors = pose_errors(predicted, true)
    for index, (i, j) in enumerate(combinations(range(4), 2)):
        a, b = (np.linalg.inv(p[i]) @ p[j] for p in (predicted.numpy(), true.numpy()))
        angle = np.degrees(Rotation.from_matrix(a[:3, :3].T @ b[:3, :3]).magnitude())
        cosine = a[:3, 3] @ b[:3, 3] / np.linalg.norm(a[:3, 3]) / np.linalg.norm(b[:3, 3])
        assert errors.rotation[index].item() == pytest.approx(angle)
        folded = np.degrees(np.arccos(abs(cosine)))
        assert errors.translation[index].item() == pytest.approx(folded)


@pytest.mark.parametrize("form", ["vggt", "da3"])
def test_scenes_together_have_the_errors_of_each_by_itself(draw, form):
    predicted, true = draw.pose((3, 4)), draw.pose((3, 4))
    true[1, 2] = true[1, 0]  # no baseline
    together = pose_errors(predicted, true, form=form)
    alone = [pose_errors(p, t, form=form) for p, t in zip(predicted, true, strict=True)]
    for name in ("rotation", "translation"):
        stacked = torch.stack([getattr(one, name) for one in alone])
        assert_close(getattr(together, name), stacked, equal_nan=True)
    assert together.without_baseline == sum(one.without_baseline for one in alone) == 1


def test_opposite_directions_are_the_same_line_and_zero_is_the_worst(draw):
    v = draw.uniform(-1, 1, (6, 3))
    assert direction_angle(-2 * v, v).max() < 1e-6
    assert (direction_angle(torch.zeros_like(v), v) == 90).all()


def test_pairs_without_a_baseline_are_left_out_and_counted(draw):
    true = draw.pose((3,))
    true[1, :3, 3] = true[0, :3, 3]
    errors = pose_errors(draw.pose((3,)), true)
    assert errors.without_baseline == 1
    assert errors.translation.isnan().tolist() == [True, False, False]
    assert not errors.rotation.isnan().any()
    turning = make_pose(draw.rotation((3,)), torch.ones(3, 3, dtype=torch.float64))
    errors = pose_errors(draw.pose((3,)), turning)
    assert errors.without_baseline == 3
    assert math.isnan(error_auc(errors.worst(), 30))
    both = concatenate_pose_errors([errors, errors])
    assert (len(both.rotation), both.without_baseline) == (6, 6)


@pytest.mark.parametrize("form", ["vggt", "da3"])
def test_a_camera_that_is_not_finite_has_the_worst_errors(draw, form):
    poses, true = draw.pose((4,)), draw.pose((4,))
    poses[2, 0, 3] = torch.nan
    errors, whole = pose_errors(poses, true, form=form), pose_errors(true, true, form=form)
    lost = [2 in pair for pair in combinations(range(4), 2)]
    assert errors.without_baseline == whole.without_baseline == 0
    assert (errors.without_camera, whole.without_camera) == (3, 0)
    assert concatenate_pose_errors([errors, whole, errors]).without_camera == 6
    assert (errors.rotation == 180).tolist() == (errors.translation == 90).tolist() == lost


def test_pose_auc_matches_the_histogram_that_vggt_uses(draw):
    worst = draw.uniform(0, 60, (50,))
    worst[:4] = torch.tensor([30.0, 5.0, 0.0, torch.nan])
    for threshold in (3, 5, 15, 30):
        values = worst.numpy()[~np.isnan(worst.numpy())]
        histogram, _ = np.histogram(values, bins=np.arange(threshold + 1))
        expected = np.mean(np.cumsum(histogram / len(values)))
        assert error_auc(worst, threshold) == pytest.approx(expected)


def test_the_worst_error_is_the_larger_of_the_two():
    errors = PoseErrors(torch.tensor([1.0, 9.0]), torch.tensor([4.0, torch.nan]), 1, 0)
    assert errors.worst()[0] == 4
    assert errors.worst()[1].isnan()


def test_da3s_form_is_another_quantity(draw):
    """Worked out in NumPy from world-to-camera matrices, as DA3's benchmark has them."""
    predicted, true = draw.pose((5,)), draw.pose((5,))
    errors = pose_errors(predicted, true, form="da3")
    cameras = [np.linalg.inv(p.numpy()) for p in (predicted, true)]
    cameras = [w @ np.linalg.inv(w[0]) for w in cameras]
    for index, (i, j) in enumerate(combinations(range(5), 2)):
        a, b = (np.linalg.inv(w[i]) @ w[j] for w in cameras)
        angle = np.degrees(Rotation.from_matrix(a[:3, :3].T @ b[:3, :3]).magnitude())
        cosine = a[:3, 3] @ b[:3, 3] / np.linalg.norm(a[:3, 3]) / np.linalg.norm(b[:3, 3])
        assert errors.rotation[index].item() == pytest.approx(angle)
        folded = np.degrees(np.arccos(abs(cosine)))
        assert errors.translation[index].item() == pytest.approx(folded)
    vggt = pose_errors(predicted, true)
    assert (errors.translation - vggt.translation).abs().max() > 1


def test_the_three_aucs_of_the_same_poses_differ(draw):
    true = draw.pose((12,))
    turn = Rotation.from_rotvec(draw.uniform(-0.1, 0.1, (12, 3)).numpy()).as_matrix()
    predicted = true @ make_pose(torch.from_numpy(turn), draw.uniform(-0.1, 0.1, (12, 3)))
    vggt = pose_errors(predicted, true).worst()
    da3 = pose_errors(predicted, true, form="da3").worst()
    aucs = [error_auc(vggt, 30), error_auc(da3, 30), exact_auc(vggt, 30)]
    assert all(0.3 < auc < 1 for auc in aucs)
    assert len({round(auc, 3) for auc in aucs}) == 3


def test_the_exact_area_is_that_of_its_trapezoids():
    """(0, 0), (1, 1/2), (3, 1), (4, 1): 0.25 + 1.5 + 1 of 4."""
    assert exact_auc(torch.tensor([3.0, 1.0]), 4) == pytest.approx(2.75 / 4)
    assert exact_auc(torch.tensor([3.0, 1.0, torch.nan]), 4) == pytest.approx(2.75 / 4)
    # (0, 0), (1, 1/4), then level up to 2; two are too far off, one was not found at all
    assert exact_auc(torch.tensor([9.0, torch.inf, 1.0, 2.5]), 2) == pytest.approx(0.375 / 2)
    assert exact_auc(torch.zeros(3), 5) == 1
    assert exact_auc(torch.full((3,), 7.0), 5) == 0
    assert math.isnan(exact_auc(torch.tensor([torch.nan]), 5))


def test_the_exact_area_is_the_integral_of_the_recall_curve(draw):
    """Of the curve that joins (error, recall), sampled finely."""
    errors = draw.uniform(0, 60, (40,))
    for threshold in (5, 10, 30):
        x = np.concatenate([[0], np.sort(errors.numpy())])
        y = np.arange(41) / 40
        below = x < threshold
        x, y = np.append(x[below], threshold), np.append(y[below], y[below][-1])
        fine = np.linspace(0, threshold, 200_001)
        expected = np.interp(fine, x, y).mean()
        assert exact_auc(errors, threshold) == pytest.approx(expected, abs=1e-5)


def test_shares_are_of_the_pairs_that_have_the_error():
    """RTA has pairs without a baseline, RRA has not."""
    degrees = torch.tensor([1.0, 5.0, 4.999, 80.0, torch.nan])
    assert share_below(degrees, 5) == 0.5
    assert math.isnan(share_below(degrees[4:], 5))


def test_the_shortest_baseline_is_relative_to_the_scenes_extent():
    """1e-4 of the longest translation, whatever the unit; a tiny scene is not taken as still."""
    true = torch.eye(4).double().repeat(3, 1, 1)
    true[:, 0, 3] = torch.tensor([0.0, 0.5e-4, 1.0])
    for unit in (1.0, 1000.0, 0.01):
        poses = true.clone()
        poses[:, :3, 3] *= unit
        errors = pose_errors(poses, poses)
        assert errors.translation.isnan().tolist() == [True, False, False]
        poses[1, 0, 3] *= 4  # 2e-4 of the extent
        assert pose_errors(poses, poses).without_baseline == 0


def test_a_single_view_has_no_pairs():
    errors = pose_errors(torch.eye(4).double()[None], torch.eye(4).double()[None])
    assert errors.rotation.shape == (0,) and errors.without_baseline == 0
