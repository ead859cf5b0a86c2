import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch.testing import assert_close

from spatialsv.geometry.camera import make_pose
from spatialsv.geometry.metrics import (
    PoseErrors,
    depth_metrics,
    direction_angle,
    error_auc,
    join_pose_errors,
    point_errors,
    pose_errors,
    rotation_angle,
)
from spatialsv.geometry.nearest import nearest_distances, pytorch3d_distances, tree_distances


def test_depth_metrics_match_their_definitions_in_numpy(draw):
    target, valid = draw.uniform(1, 5, (2, 30)), draw.uniform(0, 1, (2, 30)) > 0.3
    prediction = target * draw.uniform(0.4, 1.8, (2, 30))
    found = depth_metrics(prediction, target.where(valid, 0), valid)
    for i in range(2):
        keep = valid[i].numpy()
        p, t = prediction[i].numpy()[keep], target[i].numpy()[keep]
        ratio = np.maximum(p / t, t / p)
        expected = {
            "abs_rel": np.mean(np.abs(p - t) / t),
            "rmse": np.sqrt(np.mean((p - t) ** 2)),
            "log_rmse": np.sqrt(np.mean((np.log(p) - np.log(t)) ** 2)),
        } | {f"delta{k}": np.mean(ratio < 1.25**k) for k in (1, 2, 3)}
        assert {k: v[i].item() for k, v in found.items()} == pytest.approx(expected)


def test_delta_is_strict():
    target, all_valid = torch.full((4,), 4.0), torch.ones(4, dtype=torch.bool)
    assert depth_metrics(target * 1.25, target, all_valid)["delta1"] == 0
    assert depth_metrics(target * 1.2499, target, all_valid)["delta1"] == 1


def test_no_valid_pixel_is_nan_in_every_depth_metric():
    nothing = torch.zeros(2, 5)
    found = depth_metrics(nothing + 1, nothing, nothing.bool())
    assert all(values.isnan().all() for values in found.values())


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
    both = join_pose_errors([errors, errors])
    assert (len(both.rotation), both.without_baseline) == (6, 6)


def test_pose_auc_matches_the_histogram_that_vggt_uses(draw):
    worst = draw.uniform(0, 60, (50,))
    worst[:4] = torch.tensor([30.0, 5.0, 0.0, torch.nan])
    for threshold in (3, 5, 15, 30):
        values = worst.numpy()[~np.isnan(worst.numpy())]
        histogram, _ = np.histogram(values, bins=np.arange(threshold + 1))
        expected = np.mean(np.cumsum(histogram / len(values)))
        assert error_auc(worst, threshold) == pytest.approx(expected)


def test_point_errors_of_two_small_clouds():
    predicted = torch.tensor([[0.0, 0, 0], [0, 0, 3]])
    true = torch.tensor([[0.0, 0, 1]])
    errors = point_errors(predicted, true)
    assert (errors.accuracy, errors.completeness, errors.chamfer) == (1.5, 1.0, 1.25)
    assert point_errors(predicted[:0], true).chamfer == math.inf
    assert math.isnan(point_errors(predicted, true[:0]).chamfer)


def test_nearest_distances_match_brute_force(draw):
    queries, points = draw.uniform(-1, 1, (30, 3)), draw.uniform(-1, 1, (40, 3))
    assert_close(nearest_distances(queries, points), torch.cdist(queries, points).min(dim=1).values)
    with pytest.raises(ValueError, match="second cloud is empty"):
        nearest_distances(queries, points[:0])


def test_pytorch3d_finds_the_same_neighbours(draw):
    pytest.importorskip("pytorch3d", reason="optional: comes with environment.yml on GPU machines")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    queries, points = draw.uniform(-1, 1, (300, 3)), draw.uniform(-1, 1, (400, 3))
    found = pytorch3d_distances(queries.to(device), points.to(device))
    assert_close(found.cpu(), tree_distances(queries, points), rtol=1e-4, atol=1e-4)


def test_the_worst_error_is_the_larger_of_the_two():
    errors = PoseErrors(torch.tensor([1.0, 9.0]), torch.tensor([4.0, torch.nan]), 1)
    assert errors.worst()[0] == 4
    assert errors.worst()[1].isnan()
