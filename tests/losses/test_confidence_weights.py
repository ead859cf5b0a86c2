"""Weights by the teacher's log confidence: every geometric term against NumPy, and their mean."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spatialsv.geometry.maps import confidence_weights
from spatialsv.losses.total import SpatialLossConfig, spatial_losses, spatial_terms

CONFIG = SpatialLossConfig(
    tasks=("depth", "rays", "points"),
    gradient_scales=1,
    normal_scales=1,
    temporal=True,
    temporal_change=0.5,
    confidence_weights=True,
)


@pytest.fixture
def weighted(draw, labels):
    return replace(labels, weight=draw(0.1, 3, *labels.depth.shape))


def test_weights_are_log_confidence_over_its_mean(draw, labels):
    confidence = draw(1, 20, *labels.depth.shape)
    found = confidence_weights(confidence, labels.valid).numpy()
    logs, valid = np.log(confidence.numpy()), labels.valid.numpy()
    for b in range(len(found)):
        expected = np.where(valid[b], logs[b] / logs[b][valid[b]].mean(), 0)
        np.testing.assert_allclose(found[b], expected, rtol=1e-12)


def test_a_confidence_of_one_everywhere_weights_all_alike(labels):
    found = confidence_weights(torch.ones_like(labels.depth), labels.valid)
    assert torch.equal(found, labels.valid.to(found.dtype))


def test_what_lies_in_invalid_pixels_is_never_seen(draw, labels):
    confidence = draw(1, 20, *labels.depth.shape)
    spoilt = confidence.masked_fill(~labels.valid, torch.nan)
    expected = confidence_weights(confidence, labels.valid)
    assert torch.equal(confidence_weights(spoilt, labels.valid), expected)


def test_equal_weights_change_no_term(lifted, labels):
    ones = replace(labels, weight=torch.ones_like(labels.depth))
    plain = spatial_losses(lifted, labels, replace(CONFIG, confidence_weights=False))
    found = spatial_losses(lifted, ones, CONFIG)
    assert {k: v.item() for k, v in found.items()} == {k: v.item() for k, v in plain.items()}


def test_each_term_is_the_weighted_sum_over_the_plain_count(lifted, weighted):
    """The slope of a term by a pixel's weight is what the pixel adds to the plain term.

    Terms are linear in the weights, so slopes times weights add up to the term.
    """
    weight = weighted.weight.clone().requires_grad_()
    terms = spatial_terms(lifted, replace(weighted, weight=weight), CONFIG)
    plain = spatial_terms(lifted, weighted, replace(CONFIG, confidence_weights=False))
    assert terms.keys() == plain.keys()
    for name, term in terms.items():
        (slope,) = torch.autograd.grad(term.mean(), weight)
        assert (slope * weight).sum().item() == pytest.approx(term.mean().item())
        assert slope.sum().item() == pytest.approx(plain[name].mean().item())
        counts = [[int(count) for _, count in one.pairs] for one in (term, plain[name])]
        assert counts[0] == counts[1]


def test_l2_and_gradient_equal_their_equations(lifted, weighted):
    found = spatial_losses(lifted, weighted, CONFIG)
    mask = (weighted.valid & weighted.present[:, :, None, None]).numpy()
    y, m, c, w = (
        t.numpy() for t in (lifted.depth, weighted.depth, lifted.depth_confidence, weighted.weight)
    )
    rows = [w[i] * abs(y[i] - m[i]) for i in map(tuple, np.argwhere(mask))]
    assert found["depth/l2"].item() == pytest.approx(np.mean(rows))
    total = 0
    for down, right in ((0, 1), (1, 0)):
        values = []
        for b, n, r, col in np.argwhere(mask):
            here, there = (b, n, r, col), (b, n, r + down, col + right)
            if r + down < y.shape[2] and col + right < y.shape[3] and mask[there]:
                change = abs((y[there] - m[there]) - (y[here] - m[here]))
                values.append(w[here] * (change * c[here] - 0.2 * np.log(c[here])))
        total += np.mean(values)
    assert found["depth/grad"].item() == pytest.approx(total)


def test_labels_without_weights_are_told(lifted, labels):
    with pytest.raises(ValueError, match=r"losses\.confidence_weights: the labels have no weights"):
        spatial_losses(lifted, labels, CONFIG)


def test_gradients_are_those_of_finite_differences(lifted, weighted):
    depth = lifted.depth.clone().requires_grad_()
    config = replace(CONFIG, tasks=("depth",))

    def total(prediction):
        return spatial_losses(replace(lifted, depth=prediction), weighted, config)["total"]

    assert torch.autograd.gradcheck(total, [depth], fast_mode=True)
