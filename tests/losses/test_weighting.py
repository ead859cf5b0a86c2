"""Adaptive weights: where they end, what they leave alone, and terms that must not lead them."""

import math

import pytest

from spatialsv.losses.weighting import GradientNorm, Uncertainty, WeightingConfig, errors_of

UNCERTAINTY = WeightingConfig(by="uncertainty")
GRADIENTS = WeightingConfig(by="gradient_norm", alpha=0.0)


def test_errors_are_never_negative_and_leave_out_what_was_not_taught():
    terms = {"text": 2.0, "distill": -0.25, "depth/l2": 0.5, "depth/conf": -3.0, "rays/l2": 0.0}
    assert errors_of(terms) == {"text": 2.0, "distill": 0.75, "depth": 0.5}
    assert errors_of({"text": 0.0, "distill": 0.0}) == {}
    relations = {"relation/l1": 0.5, "relation/cosine": 0.25}
    assert errors_of(relations) == {"relation": 0.75}


def test_weights_are_one_before_anything_was_seen():
    assert Uncertainty(UNCERTAINTY).weights == {} == GradientNorm(GRADIENTS).weights


def test_uncertainty_ends_at_one_over_the_error():
    weighting = Uncertainty(UNCERTAINTY)
    for _ in range(500):
        weighting.update({"text": 4.0, "depth": 0.05}, {})
    assert weighting.weights == pytest.approx({"text": 0.25, "depth": 20.0}, rel=1e-3)


def test_uncertainty_steps_down_the_slope_of_the_likelihood():
    """One step equals the finite difference of error exp(-s) + s."""
    weighting = Uncertainty(UNCERTAINTY)
    weighting.state["scale"]["text"] = s = 0.7

    def likelihood(scale):
        return 1.9 * math.exp(-scale) + scale

    slope = (likelihood(s + 1e-6) - likelihood(s - 1e-6)) / 2e-6
    weighting.update({"text": 1.9}, {})
    assert weighting.state["scale"]["text"] == pytest.approx(s - 0.1 * slope, rel=1e-6)


def test_gradients_are_made_equal_and_weights_add_up_to_their_number():
    weighting = GradientNorm(GRADIENTS)
    norms = {"text": 2.0, "depth": 0.5, "rays": 8.0}
    for _ in range(300):
        weighting.update(dict.fromkeys(norms, 1.0), norms)
    weights = weighting.weights
    assert sum(weights.values()) == pytest.approx(3)
    pulls = [weights[signal] * norms[signal] for signal in norms]
    assert pulls == pytest.approx([pulls[0]] * 3, rel=1e-6)


def test_a_signal_that_learns_slowly_pulls_more():
    weighting = GradientNorm(WeightingConfig(by="gradient_norm", alpha=1.0))
    norms = {"text": 1.0, "depth": 1.0}
    weighting.update({"text": 1.0, "depth": 1.0}, norms)
    for _ in range(300):
        weighting.update({"text": 0.9, "depth": 0.3}, norms)
    assert weighting.weights["text"] / weighting.weights["depth"] == pytest.approx(3, rel=1e-6)


@pytest.mark.parametrize("rule", [Uncertainty, GradientNorm])
def test_a_signal_that_was_not_taught_keeps_its_place(rule):
    weighting = rule(GRADIENTS)
    weighting.update({"text": 2.0, "depth": 0.1}, {"text": 1.0, "depth": 3.0})
    before = weighting.weights
    weighting.update({}, {})
    assert weighting.weights == before
    weighting.update({"text": 1.0}, {"text": 1.0})
    assert set(weighting.weights) == {"text", "depth"}


@pytest.mark.parametrize(("setting", "value"), [("rate", 0.0), ("every", 0)])
def test_settings_that_make_no_sense_are_told(setting, value):
    with pytest.raises(ValueError, match=rf"train\.weighting\.{setting}: .* found 0"):
        WeightingConfig(by="gradient_norm", **{setting: value})


def test_gradnorm_ratios_are_relative_to_the_first_error():
    """A signal whose error starts at 10 and falls to 3 has learned as much as one from 1 to 0.3."""
    weighting = GradientNorm(WeightingConfig(by="gradient_norm", alpha=1.0))
    norms = {"text": 1.0, "depth": 1.0}
    weighting.update({"text": 1.0, "depth": 10.0}, norms)
    for _ in range(300):
        weighting.update({"text": 0.3, "depth": 3.0}, norms)
    assert weighting.weights["text"] / weighting.weights["depth"] == pytest.approx(1, rel=1e-6)
