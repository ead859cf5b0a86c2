import pytest
import torch
from torch.testing import assert_close

from spatialsv.geometry.similarity import robust_umeyama, umeyama


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
@pytest.mark.parametrize("with_scale", [True, False])
def test_umeyama_recovers_a_similarity(draw, lead, with_scale):
    rotation, translation = draw.rotation(lead), draw.uniform(-2, 2, (*lead, 3))
    scale = draw.uniform(0.5, 3, lead) if with_scale else torch.ones(lead, dtype=torch.float64)
    source = draw.uniform(-1, 1, (*lead, 9, 3))
    target = scale[..., None, None] * source @ rotation.mT + translation[..., None, :]
    found = umeyama(source, target, with_scale=with_scale)
    assert_close(found.rotation, rotation)
    assert_close(found.scale, scale)
    assert_close(found.apply(source), target)


def test_umeyama_never_mirrors(draw):
    source = draw.uniform(-1, 1, (20, 3))
    found = umeyama(source, source * torch.tensor([-1.0, 1, 1]).double())
    assert_close(torch.linalg.det(found.rotation), torch.ones((), dtype=torch.float64))


def test_points_of_no_weight_do_not_pull(draw):
    source, rotation = draw.uniform(-1, 1, (20, 3)), draw.rotation()
    target = source @ rotation.mT
    target[10:] += 5
    weights = (torch.arange(20) < 10).double()
    assert_close(umeyama(source, target, weights).rotation, rotation)


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
@pytest.mark.parametrize("with_scale", [True, False])
def test_a_third_of_wild_points_does_not_pull(draw, lead, with_scale):
    rotation, translation = draw.rotation(lead), draw.uniform(-2, 2, (*lead, 3))
    scale = draw.uniform(0.5, 3, lead) if with_scale else torch.ones(lead, dtype=torch.float64)
    source = draw.uniform(-1, 1, (*lead, 60, 3))
    target = scale[..., None, None] * source @ rotation.mT + translation[..., None, :]
    target[..., :20, :] += draw.uniform(1, 9, (*lead, 20, 3))
    found = robust_umeyama(source, target, with_scale=with_scale)
    assert_close(found.rotation, rotation)
    assert_close(found.scale, scale)
    assert_close(found.translation, translation)
    plain = umeyama(source, target, with_scale=with_scale)
    assert (plain.translation - translation).norm(dim=-1).min() > 0.3


def test_wild_sources_do_not_pull_either(draw):
    """They have leverage over scale and rotation."""
    rotation, source = draw.rotation(), draw.uniform(-1, 1, (60, 3))
    target = 2 * source @ rotation.mT
    source[:20] *= 50
    found = robust_umeyama(source, target)
    assert_close(found.scale, torch.tensor(2.0, dtype=torch.float64))
    assert_close(found.rotation, rotation)


def test_noise_costs_the_robust_fit_little(draw):
    rotation, source = draw.rotation(), draw.uniform(-1, 1, (400, 3))
    noise = torch.randn(400, 3, generator=draw.generator, dtype=torch.float64)
    target = source @ rotation.mT + 0.01 * noise
    errors = [(fit(source, target).rotation - rotation).norm() for fit in (umeyama, robust_umeyama)]
    assert errors[1] < 1.5 * errors[0] + 1e-4


def test_fewer_than_three_weighted_points_are_nan_and_leave_the_others_alone(draw):
    source, weights = draw.uniform(-1, 1, (2, 5, 3)), torch.ones(2, 5, dtype=torch.float64)
    weights[1, 2:] = 0
    found = robust_umeyama(source, 3 * source, weights)
    assert found.scale[0].item() == pytest.approx(3)
    assert found.scale[1].isnan()
    assert found.rotation[1].isnan().all()
    assert found.translation[1].isnan().all()
    weights[1, 2] = 1  # three are enough
    found = robust_umeyama(source, 3 * source, weights)
    assert_close(found.scale, torch.full((2,), 3.0).double())
    assert_close(found.apply(source), 3 * source)


@pytest.mark.parametrize("fit", [umeyama, robust_umeyama])
@pytest.mark.parametrize("with_scale", [True, False])
def test_points_that_are_not_finite_are_nan_and_leave_the_others_alone(draw, fit, with_scale):
    source, rotation = draw.uniform(-1, 1, (3, 8, 3)), draw.rotation()
    target = source @ rotation.mT
    target[1, 2, 0] = torch.nan
    source[2] = torch.inf
    found = fit(source, target, with_scale=with_scale)
    assert_close(found.rotation[0], rotation)
    assert found.rotation[1:].isnan().all() and found.translation[1:].isnan().all()
