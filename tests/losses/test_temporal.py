"""Temporal consistency: against loops, and what must not count."""

import numpy as np
import pytest
import torch

from spatialsv.losses.regression import temporal_term
from spatialsv.losses.total import SpatialLossConfig, spatial_losses

CHANGE = 0.3


def reference(depth, target, mask):
    values = []
    for b, n, r, c in np.ndindex(depth.shape):
        if n + 1 == depth.shape[1] or not (mask[b, n, r, c] and mask[b, n + 1, r, c]):
            continue
        change = target[b, n + 1, r, c] - target[b, n, r, c]
        if abs(change) <= CHANGE * target[b, n, r, c]:
            values.append(abs(depth[b, n + 1, r, c] - depth[b, n, r, c] - change))
    return np.mean(values)


def test_it_equals_its_equation(lifted, labels):
    mask = labels.valid & labels.present[:, :, None, None]
    found = temporal_term(lifted.depth, labels.depth, mask, CHANGE).mean().item()
    boxes = (lifted.depth.numpy(), labels.depth.numpy(), mask.numpy())
    assert found == pytest.approx(reference(*boxes), rel=1e-9)


def test_a_depth_that_is_off_by_the_same_in_all_views_is_consistent(labels):
    everywhere = torch.ones_like(labels.valid)
    assert temporal_term(labels.depth + 3, labels.depth, everywhere, 10.0).mean().abs() < 1e-12


def test_one_view_and_surfaces_that_move_away_add_nothing(labels):
    depth = labels.depth.clone().requires_grad_()
    mask = torch.ones_like(labels.valid)
    alone = temporal_term(depth[:, :1], labels.depth[:, :1], mask[:, :1], CHANGE).mean()
    leap = (
        labels.depth
        * torch.tensor([1.0, 10.0]).repeat(depth.shape[1])[: depth.shape[1], None, None]
    )
    moved = temporal_term(depth * 2, leap, mask, 0.01).mean()
    (alone + moved).backward()
    assert alone == 0 == moved
    assert (depth.grad == 0).all()


def test_holes_are_never_seen(lifted, labels):
    mask = labels.valid & labels.present[:, :, None, None]
    expected = temporal_term(lifted.depth, labels.depth, mask, CHANGE).mean()
    depth = lifted.depth.masked_fill(~mask, torch.nan).requires_grad_()
    found = temporal_term(depth, labels.depth.masked_fill(~mask, torch.nan), mask, CHANGE).mean()
    found.backward()
    assert found.item() == pytest.approx(expected.item())
    assert depth.grad.isfinite().all() and (depth.grad != 0).any()


def test_it_is_a_term_of_depth_where_it_is_asked_for(lifted, labels):
    config = SpatialLossConfig(tasks=("depth",), temporal=True, temporal_change=CHANGE)
    terms = spatial_losses(lifted, labels, config)
    without = spatial_losses(lifted, labels, SpatialLossConfig(tasks=("depth",)))
    assert terms.keys() - without.keys() == {"depth/temporal"}
    assert terms["total"].item() == pytest.approx(
        without["total"].item() + terms["depth/temporal"].item()
    )


def test_gradients_are_those_of_finite_differences(lifted, labels):
    depth = lifted.depth.clone().requires_grad_()
    mask = labels.valid & labels.present[:, :, None, None]
    assert torch.autograd.gradcheck(
        lambda y: temporal_term(y, labels.depth, mask, CHANGE).mean(), [depth], fast_mode=True
    )
