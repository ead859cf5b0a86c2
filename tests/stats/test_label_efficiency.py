"""The ratio of labels: known curves, bounds, and an interval that covers."""

from __future__ import annotations

import numpy as np
import pytest

from spatialsv.stats.label_efficiency import label_efficiency

COUNTS = np.full(300, 4)


def curve(accuracies, seeds=3):
    """Exactly these accuracies, in every scene and with every seed."""
    return {n: np.full((seeds, len(COUNTS)), 4 * a) for n, a in accuracies.items()}


def draw(rng, accuracies, seeds=5, spread=0.0):
    """Binomial scores; each seed's accuracy deviates by `spread`."""
    found = {}
    for n, accuracy in accuracies.items():
        own = np.clip(accuracy + spread * rng.normal(size=(seeds, 1)), 0, 1)
        found[n] = rng.binomial(4, np.broadcast_to(own, (seeds, len(COUNTS)))).astype(float)
    return found


def test_a_curve_shifted_by_two_doublings_needs_a_quarter_of_the_labels() -> None:
    first = curve({64: 0.6, 256: 0.7, 1024: 0.8})
    second = curve({64: 0.5, 256: 0.6, 1024: 0.7, 4096: 0.8})
    found = label_efficiency(first, second, COUNTS, resamples=20)
    assert found.log2_ratio == pytest.approx(2.0, abs=0.02) and not found.is_bound
    assert found.low == pytest.approx(2.0, abs=0.02) == found.high
    back = label_efficiency(second, first, COUNTS, resamples=20)
    assert back.log2_ratio == pytest.approx(-2.0, abs=0.02)


def test_equal_curves_need_equal_labels_even_if_they_fall() -> None:
    wavy = curve({64: 0.6, 256: 0.55, 1024: 0.8})
    assert label_efficiency(wavy, wavy, COUNTS, resamples=5).log2_ratio == 0


def test_curves_without_a_common_accuracy_give_a_bound() -> None:
    high, low = curve({64: 0.7, 256: 0.8}), curve({64: 0.5, 1024: 0.6})
    found = label_efficiency(high, low, COUNTS, resamples=5)
    assert (found.log2_ratio, found.is_bound) == (4.0, True)  # 1,024 do not do what 64 do
    found = label_efficiency(low, high, COUNTS, resamples=5)
    assert (found.log2_ratio, found.is_bound) == (-4.0, True)


def test_the_interval_covers_the_truth_with_variance_across_seeds() -> None:
    rng = np.random.default_rng(0)
    first = {64: 0.60, 256: 0.68, 1024: 0.76}
    second = {64: 0.56, 256: 0.64, 1024: 0.72}  # one doubling behind
    hits = 0
    for trial in range(60):
        pair = (draw(rng, one, spread=0.01) for one in (first, second))
        found = label_efficiency(*pair, COUNTS, resamples=200, seed=trial)
        hits += found.low <= 1.0 <= found.high
    assert hits >= 50  # 57 of 60 expected


@pytest.mark.parametrize("labels", [{64: 0.5}, {0: 0.5, 64: 0.6}])
def test_a_curve_needs_two_positive_numbers_of_labels(labels) -> None:
    good = curve({64: 0.5, 256: 0.6})
    with pytest.raises(ValueError, match=r"the second curve has labels .*at least 1"):
        label_efficiency(good, curve(labels), COUNTS)
