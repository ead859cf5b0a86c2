"""Ridge from sums of products is ridge on the rows."""

import pytest
import torch
from torch.testing import assert_close

from spatialsv.probe.ridge import PENALTIES, Sums, fit_ridge, ridge_path, squared_errors


def rows(count: int, seed: int, noise: float = 0.0):
    """Two outputs that are linear in five inputs of very different size and mean."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 5, generator=generator, dtype=torch.float64)
    x = x * torch.tensor([1.0, 10, 0.1, 1, 1]) + torch.tensor([0.0, 50, 0, -2, 0])
    weight = torch.tensor([[1.0, 0], [0.2, 1], [0, 30], [1, 1], [0, 0]]).double()
    y = x @ weight + torch.tensor([3.0, -1])
    return x, y + noise * torch.randn(count, 2, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("free", [0, 2, 5])
def test_each_penalty_gives_the_minimum_of_its_sum(free):
    x, y = rows(40, 0, noise=0.5)
    for penalty, probe in zip(PENALTIES, ridge_path(Sums.from_rows(x, y), free), strict=True):
        deviation = x.std(dim=0, correction=0)
        deviation[5 - free :] = 0
        w = probe.weight.clone().requires_grad_()
        b = probe.bias.clone().requires_grad_()
        fit = (x @ w + b - y).square().mean(dim=0).sum()
        (fit + penalty * (w * deviation[:, None]).square().sum()).backward()
        assert w.grad.abs().max() < 1e-6 and b.grad.abs().max() < 1e-6


def test_errors_from_sums_are_those_of_the_rows_and_sums_add_up():
    (x, y), (more_x, more_y) = rows(30, 0, 0.5), rows(20, 1, 0.5)
    probe = ridge_path(Sums.from_rows(x, y))[2]
    both = Sums.from_rows(x, y) + Sums.from_rows(more_x, more_y)
    for sums, given in ((both, (torch.cat([x, more_x]), torch.cat([y, more_y]))),):
        assert_close(squared_errors(probe, sums), (probe(given[0]) - given[1]).square().mean(dim=0))
    left = both - Sums.from_rows(more_x, more_y)
    assert left.count == 30
    assert_close(left.products, Sums.from_rows(x, y).products)
    assert_close(left.deviation, x.std(dim=0, correction=0))


def test_the_penalty_is_chosen_on_the_other_rows_for_each_task():
    generator = torch.Generator().manual_seed(0)

    def make(count):
        x = torch.randn(count, 20, generator=generator, dtype=torch.float64)
        noise = torch.randn(count, 1, generator=generator, dtype=torch.float64)
        return Sums.from_rows(x, torch.cat([x[:, :1], noise], dim=1))

    tasks = {"told": slice(0, 1), "noise": slice(1, 2)}
    learnt = make(25)
    probe, left = fit_ridge(learnt, make(500), tasks)
    assert left["told"] < 1e-6  # the least penalty
    path = ridge_path(learnt)
    assert_close(probe.weight[:, 0], path[0].weight[:, 0])
    assert_close(probe.weight[:, 1], path[-1].weight[:, 1])  # the most
    assert 0.9 < left["noise"] < 1.5


def test_inputs_that_do_not_vary_change_nothing():
    x, y = rows(40, 0)
    constant = torch.cat([x, torch.full_like(x, 7), torch.zeros_like(x)], dim=1)
    probe, more = ridge_path(Sums.from_rows(x, y))[0], ridge_path(Sums.from_rows(constant, y))[0]
    assert_close(more(constant), probe(x), rtol=1e-6, atol=1e-6)
    assert_close(more.weight[5:], torch.zeros(10, 2).double(), atol=1e-6, rtol=0)


def test_no_rows_are_told():
    x, y = rows(4, 0)
    with pytest.raises(ValueError, match="Linear probes need cells of known depth"):
        fit_ridge(Sums.from_rows(x, y), Sums.from_rows(x[:0], y[:0]), {"all": slice(None)})


def test_free_inputs_may_repeat_each_other():
    x, y = rows(40, 0, noise=0.5)
    twice = torch.cat([x, x[:, 3:]], dim=1)
    one, other = ridge_path(Sums.from_rows(x, y), 2)[3], ridge_path(Sums.from_rows(twice, y), 4)[3]
    assert_close(one(x), other(twice), rtol=1e-5, atol=1e-5)
