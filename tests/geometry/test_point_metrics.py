import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch.testing import assert_close

from spatialsv.geometry.point_metrics import (
    nearest_neighbours,
    normal_consistency,
    point_errors,
    pytorch3d_neighbours,
    tree_neighbours,
)


def test_point_errors_of_two_small_clouds():
    predicted = torch.tensor([[0.0, 0, 0], [0, 0, 3]])
    true = torch.tensor([[0.0, 0, 1]])
    errors = point_errors(predicted, true)
    assert (errors.accuracy, errors.completeness) == (1.5, 1.0)
    assert (errors.chamfer, errors.chamfer_sum) == (1.25, 2.5)
    assert (errors.precision(1.5), errors.recall(1.5)) == (0.5, 1.0)
    assert errors.f_score(1.5) == pytest.approx(2 / 3)
    assert errors.recall(1.0) == 0  # closer than, not as close as
    assert errors.f_score(1.0) == 0


def test_an_empty_prediction_is_infinitely_far_and_a_missing_truth_is_nan():
    points = torch.tensor([[0.0, 0, 0], [0, 0, 3]])
    errors = point_errors(points[:0], points)
    lengths = (errors.accuracy, errors.completeness, errors.chamfer, errors.chamfer_sum)
    assert lengths == (math.inf,) * 4
    assert (errors.precision(1), errors.recall(1), errors.f_score(1)) == (0, 0, 0)
    for predicted in (points, points[:0]):
        errors = point_errors(predicted, points[:0])
        lengths = (errors.accuracy, errors.completeness, errors.chamfer, errors.chamfer_sum)
        shares = (errors.precision(1), errors.recall(1), errors.f_score(1))
        assert np.isnan(lengths + shares).all()


def test_point_errors_match_brute_force(draw):
    predicted, true = draw.uniform(-1, 1, (60, 3)), draw.uniform(-1, 1, (80, 3))
    between = cdist(predicted, true)
    forth, back = between.min(axis=1), between.min(axis=0)
    errors = point_errors(predicted, true)
    assert errors.accuracy == pytest.approx(forth.mean())
    assert errors.completeness == pytest.approx(back.mean())
    precision, recall = (forth < 0.2).mean(), (back < 0.2).mean()
    assert errors.precision(0.2) == pytest.approx(precision)
    assert errors.recall(0.2) == pytest.approx(recall)
    assert errors.f_score(0.2) == pytest.approx(2 / (1 / precision + 1 / recall))


def test_normal_consistency_of_a_small_cloud():
    """Each predicted point is nearest to the first true one; signs and lengths do not count."""
    predicted, true = torch.tensor([[0.0, 0, 0], [0, 0, 1]]), torch.tensor([[0.0, 0, 0], [9, 0, 1]])
    ours = torch.tensor([[0.0, 0, -2], [0, 3, 4]])
    theirs = torch.tensor([[0.0, 0, 1], [0, 1, 0]])
    found = normal_consistency(predicted, ours, true, theirs)
    assert found.nc1 == pytest.approx((1 + 0.8) / 2)
    assert found.nc2 == pytest.approx((1 + 0.6) / 2)
    assert found.nc == pytest.approx((0.9 + 0.8) / 2)
    empty = normal_consistency(predicted, ours, true[:0], theirs[:0])
    assert np.isnan([empty.nc1, empty.nc2, empty.nc]).all()


def test_nearest_neighbours_match_brute_force(draw):
    queries, points = draw.uniform(-1, 1, (30, 3)), draw.uniform(-1, 1, (40, 3))
    distances, indices = nearest_neighbours(queries, points)
    expected = torch.cdist(queries, points).min(dim=1)
    assert_close(distances, expected.values)
    assert_close(indices, expected.indices)
    with pytest.raises(ValueError, match="has no points"):
        nearest_neighbours(queries, points[:0])


def test_pytorch3d_finds_the_same_neighbours(draw):
    pytest.importorskip("pytorch3d", reason="optional: comes with environment.yml on GPU machines")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    queries, points = draw.uniform(-1, 1, (300, 3)), draw.uniform(-1, 1, (400, 3))
    distances, indices = pytorch3d_neighbours(queries.to(device), points.to(device))
    expected = tree_neighbours(queries, points)
    assert_close(distances.cpu(), expected[0], rtol=1e-4, atol=1e-4)
    assert (indices.cpu() == expected[1]).double().mean() > 0.99  # float32 may swap near ties


def test_pytorch3d_measures_the_same_chamfer_distance(draw):
    pytest.importorskip("pytorch3d", reason="optional: comes with environment.yml on GPU machines")
    from pytorch3d.loss import chamfer_distance

    predicted, true = draw.uniform(-1, 1, (300, 3)), draw.uniform(-1, 1, (400, 3))
    errors = point_errors(predicted, true)
    squares, _ = chamfer_distance(predicted.float()[None], true.float()[None])
    ours = errors.to_target.square().mean() + errors.to_prediction.square().mean()
    assert float(squares) == pytest.approx(float(ours), rel=1e-4)
