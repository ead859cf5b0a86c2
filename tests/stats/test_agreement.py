"""Kappa: the textbook's value, nothing for habits alone, and intervals that cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialsv.stats.agreement import cohen_kappa


def test_one_stratum_is_the_textbook():
    """20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: 0.7 observed, 0.5 by chance."""
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    first, second = zip(*pairs, strict=True)
    found = cohen_kappa(first, second, ["a"] * 50, range(50))
    assert (found.observed, found.expected) == pytest.approx((0.7, 0.5))
    assert found.kappa == pytest.approx(0.4)
    assert found.interval.low < 0.4 < found.interval.high


def test_habits_that_differ_between_strata_are_no_agreement():
    """Both say left in one kind of question and right in the other, whatever is shown."""
    rng = np.random.default_rng(0)
    strata = rng.choice(["a", "b"], size=4000)
    usual = np.where(strata == "a", "left", "right")
    first, second = (np.where(rng.uniform(size=4000) < 0.8, usual, "back") for _ in range(2))
    apart = cohen_kappa(first.tolist(), second.tolist(), strata.tolist(), range(4000), 200)
    pooled = cohen_kappa(first.tolist(), second.tolist(), ["all"] * 4000, range(4000), 200)
    assert abs(apart.kappa) < 0.05 and pooled.kappa > 0.2


def test_the_interval_covers_the_truth():
    rng, hits = np.random.default_rng(1), 0
    for seed in range(100):  # a share of 0.4 copied: kappa 0.4
        first = rng.integers(0, 4, size=300)
        second = np.where(rng.uniform(size=300) < 0.4, first, rng.integers(0, 4, size=300))
        found = cohen_kappa(
            first.tolist(), second.tolist(), [0] * 300, (np.arange(300) // 5).tolist(), 300, seed
        )
        hits += found.interval.low <= 0.4 <= found.interval.high
    assert hits > 87


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("xy")), min_size=1, max_size=40))
def test_agreeing_always_is_one_unless_chance_does_as_well(said):
    answers, strata = zip(*said, strict=True)
    found = cohen_kappa(answers, answers, strata, range(len(said)), 20)
    varied = {s for s in strata if len({a for a, b in said if b == s}) > 1}
    assert (found is None) == (not varied)
    if found:
        assert found.kappa == pytest.approx(1)


def test_no_questions_have_no_kappa():
    assert cohen_kappa([], [], [], []) is None
