import numpy as np
import pytest
import torch

from spatialsv.losses.text import text_loss


@pytest.fixture
def scored(draw):
    targets = torch.tensor([[-100, 2, -100, 0, 4], [-100] * 5, [1, -100, -100, -100, -100]])
    return draw(-2, 2, 3, 5, 6).float(), targets


@pytest.mark.parametrize(("reduction", "count"), [("mean", 4), ("sum", 2)])
def test_cross_entropy_equals_equation_1_in_numpy(scored, reduction, count):
    logits, targets = scored
    z, total = logits.double().numpy(), 0.0
    for b, k in np.ndindex(3, 5):
        if targets[b, k] >= 0:
            total -= z[b, k, targets[b, k]] - np.log(np.exp(z[b, k]).sum())
    assert text_loss(logits, targets, reduction).item() == pytest.approx(total / count, rel=1e-6)


@pytest.mark.parametrize("positions", [5, 0])
def test_nothing_scored_is_zero_with_zero_gradient(positions):
    logits = torch.randn(2, positions, 6, requires_grad=True)
    loss = text_loss(logits, torch.full((2, positions), -100))
    loss.backward()
    assert loss == 0
    assert (logits.grad == 0).all()
