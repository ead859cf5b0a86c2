"""The normal term (Eq. 12) at the sizes of real labels, against NumPy in float64."""

import numpy as np
import pytest
import torch

from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.losses.regression import normal_term

SIZES = [(32, 32), (126, 126), (252, 252), (378, 504), (518, 518)]
SURFACES = ["plane", "sphere", "steps"]


def label(surface: str, size: tuple[int, int]) -> torch.Tensor:
    """Points of one view in float64, divided by their mean distance."""
    height, width = size
    K = torch.tensor([[0.9 * width, 0, width / 2], [0, 0.9 * width, height / 2], [0, 0, 1]])
    rays = ray_map(K.double(), torch.eye(4).double(), height, width)
    x, y, _ = rays.directions.unbind(-1)
    if surface == "plane":
        depth = 3 / (1 + 0.7 * x - 0.4 * y)
    elif surface == "sphere":  # seen from inside, its centre beside the camera
        along = 0.3 * x - 0.2 * y
        square = x**2 + y**2 + 1
        depth = (along + (along**2 + square * (4 - 0.13)).sqrt()) / square
    else:  # tiles of five depths, each tilted
        tile = (6 * x).floor() + 2 * (6 * y).floor()
        depth = (1 + tile % 5) / (1 + 0.2 * y)
    points = point_map(depth, rays)
    return points / points.norm(dim=-1).mean()


def turn(degrees: float, axis: torch.Tensor) -> torch.Tensor:
    x, y, z = (axis / axis.norm()).tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    return torch.linalg.matrix_exp(cross * np.radians(degrees))


def evaluate(prediction, target, dtype=torch.float32, scales=3):
    """Value and gradient of the term at confidence 1."""
    prediction = prediction.to(dtype).requires_grad_()
    mask = torch.ones(prediction.shape[:2], dtype=torch.bool)
    term = normal_term(prediction, target.to(dtype), mask.to(dtype), mask, 0.2, scales)
    value = term.mean()
    value.backward()
    return value.item(), prediction.grad.double()


def reference(prediction: np.ndarray, target: np.ndarray, scales: int = 3):
    """Value and gradient of Eq. 12, whose normals are cross products of neighbours, any length."""
    total, gradient = 0.0, np.zeros_like(prediction)
    for step in (2**scale for scale in range(scales)):
        y, m, g = (array[::step, ::step] for array in (prediction, target, gradient))
        values, parts = [], []
        rows, columns = y.shape[:2]
        for r, c in ((0, 0), (0, 1), (1, 0), (1, 1)):  # the corner of each 2 x 2 pixels
            here = np.s_[r : rows - 1 + r, c : columns - 1 + c]
            beside = np.s_[r : rows - 1 + r, 1 - c : columns - c]
            below = np.s_[1 - r : rows - r, c : columns - 1 + c]
            first, second = y[below] - y[here], y[beside] - y[here]
            normal = np.cross(first, second)
            true = np.cross(m[below] - m[here], m[beside] - m[here])
            length = np.linalg.norm(normal, axis=-1, keepdims=True)
            unit = normal / length
            true = true / np.linalg.norm(true, axis=-1, keepdims=True)
            cosine = (unit * true).sum(-1, keepdims=True)
            values.append(1 - cosine)
            slope = -(true - cosine * unit) / length
            parts += [
                (below, np.cross(second, slope)),
                (beside, np.cross(slope, first)),
                (here, -np.cross(second, slope) - np.cross(slope, first)),
            ]
        count = sum(value.size for value in values) * scales
        total += sum(value.sum() for value in values) / count
        for where, part in parts:
            g[where] += part / count
    return total, gradient


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("surface", SURFACES)
def test_a_perfect_prediction_costs_nothing_and_is_not_pushed_to_grow(surface, size):
    points = label(surface, size)
    value, gradient = evaluate(points, points)
    assert value == pytest.approx(0, abs=1e-6)
    assert (points * gradient).sum().item() == pytest.approx(0, abs=1e-5)  # with its scale


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("degrees", [10, 60, 180])
def test_a_plane_turned_by_an_angle_costs_one_minus_its_cosine(size, degrees):
    points = label("plane", size)
    edges = points[0, -1] - points[0, 0]
    value, _ = evaluate(points @ turn(degrees, edges).T, points)
    assert value == pytest.approx(1 - np.cos(np.radians(degrees)), rel=1e-4)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("surface", SURFACES)
def test_value_and_gradient_are_those_of_numpy(surface, size):
    target = label(surface, size)
    prediction = target @ turn(10, torch.tensor([1.0, 2, 3])).T
    expected, slope = reference(prediction.numpy(), target.numpy())
    value, gradient = evaluate(prediction, target)
    assert value == pytest.approx(expected, rel=1e-3)
    assert np.linalg.norm(gradient.numpy() - slope) < 1e-2 * np.linalg.norm(slope)
    value, gradient = evaluate(prediction, target, torch.float64)
    assert value == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(gradient.numpy(), slope, rtol=1e-6, atol=1e-9 * abs(slope).max())


@pytest.mark.parametrize("size", SIZES[2:], ids=str)
def test_a_smooth_prediction_of_steps_is_not_flat(size):
    """Across a step the label's cross product is hundreds of times its spacing squared."""
    target, prediction = label("steps", size), label("plane", size)
    expected, slope = reference(prediction.numpy(), target.numpy())
    value, gradient = evaluate(prediction, target, torch.float64)
    assert value == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(gradient.numpy(), slope, rtol=1e-6, atol=1e-9 * abs(slope).max())


@pytest.mark.parametrize("unit", [1e-3, 0.1, 10, 1e3])
def test_neither_the_predictions_size_nor_the_labels_unit_counts(unit):
    target = label("sphere", (126, 126))
    prediction = target @ turn(10, torch.tensor([1.0, 2, 3])).T
    expected, slope = evaluate(prediction, target)
    value, gradient = evaluate(unit * prediction, unit * target)
    assert value == pytest.approx(expected, rel=1e-4)
    assert (unit * gradient - slope).norm() < 1e-3 * slope.norm()
    value, gradient = evaluate(max(unit, 0.2) * prediction, target)
    assert value == pytest.approx(expected, rel=1e-4)
    assert (prediction * gradient).sum().item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("size", SIZES[:3], ids=str)
def test_a_flat_prediction_has_a_bounded_gradient_that_spreads_it(size):
    """At most ten times that of a prediction of the label's spacing; Eq. 12's is without bound."""
    target = label("sphere", size)
    prediction = target @ turn(10, torch.tensor([1.0, 2, 3])).T
    steepest = evaluate(prediction, target)[1].norm()
    for shrink in (1e-2, 1e-3, 1e-6):
        value, gradient = evaluate(shrink * prediction, target)
        assert gradient.norm() < 10 * steepest / np.sin(np.radians(10))
        assert value > 0.9
        assert (prediction * gradient).sum() < 0
    value, gradient = evaluate(0 * prediction, target)
    assert value == 1 and (gradient == 0).all()
