"""Mean relative accuracy: the exact definition, and VSI-Bench's code to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from spatialsv.stats.accuracy import mean_relative_accuracy


def vsi_bench(predicted: float, truth: float) -> float:
    """thinking-in-space, `mean_relative_accuracy` with start 0.5, end 0.95 and interval 0.05."""
    thresholds = np.linspace(0.5, 0.95, int((0.95 - 0.5) / 0.05 + 2))
    return float((abs(predicted - truth) / truth <= 1 - thresholds).mean())


def exact(predicted: int, truth: int) -> float:
    """Eq. 1 with <= on integers, which have no rounding."""
    return np.mean([100 * abs(predicted - truth) <= percent * truth for percent in range(5, 55, 5)])


@pytest.mark.parametrize("unit", [1, 10, 100])
def test_both_definitions_on_decimals(unit):
    """Predictions on, just inside and just outside of tolerances, as text of a model gives them."""
    rng = np.random.default_rng(0)
    truths = rng.integers(1, 500, size=4000)
    offsets = rng.choice([0, *range(-60, 65, 5), *range(-60, 61)], size=4000)
    numbers = truths + truths * offsets // 100 + rng.choice([0, 0, 1, -1], size=4000)
    pairs = [
        (float(f"{n / unit}"), float(f"{t / unit}")) for n, t in zip(numbers, truths, strict=True)
    ]
    predicted, truth = np.array(pairs).T
    published = mean_relative_accuracy(predicted, truth, as_published=True)
    assert published.tolist() == [vsi_bench(p, t) for p, t in pairs]
    corrected = mean_relative_accuracy(predicted, truth)
    assert corrected.tolist() == [exact(n, t) for n, t in zip(numbers, truths, strict=True)]
    assert (published != corrected).any() or unit == 1  # rounding decides at a tolerance


def test_a_truth_of_zero_and_no_number():
    zero = np.zeros(3)
    assert mean_relative_accuracy(np.array([0.0, 0.3, np.nan]), zero).tolist() == [1.0, 0.5, 0.0]
    infinite = mean_relative_accuracy(np.array([np.inf]), np.array([3.0]), as_published=True)
    assert infinite.tolist() == [0.0]
