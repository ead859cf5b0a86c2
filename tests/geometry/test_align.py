import numpy as np
import pytest
import torch
from torch.testing import assert_close

from spatialsv.geometry.align import least_squares_scale, median_scale, scale_and_shift, umeyama


@pytest.fixture
def depths(draw):
    prediction, noise = draw.uniform(1, 5, (2, 3, 40)), draw.uniform(-0.5, 0.5, (2, 3, 40))
    return prediction, 3 * prediction + 0.7 + noise, draw.uniform(0, 1, (2, 3, 40)) > 0.3


def test_scales_match_numpy_on_every_leading_entry(depths):
    prediction, target, valid = depths
    median, least = median_scale(*depths), least_squares_scale(*depths)
    scale, shift = scale_and_shift(*depths)
    for index in np.ndindex(2, 3):
        keep = valid[index].numpy()
        p, t = prediction[index].numpy()[keep], target[index].numpy()[keep]
        assert median[index].item() == pytest.approx(np.median(t) / np.median(p))
        assert least[index].item() == pytest.approx(np.linalg.lstsq(p[:, None], t)[0][0])
        assert [scale[index].item(), shift[index].item()] == pytest.approx(np.polyfit(p, t, 1))


def test_no_valid_pixel_gives_nan_and_not_a_scale(depths):
    prediction, target, valid = depths
    none = torch.zeros_like(valid)
    assert median_scale(prediction, target, none).isnan().all()
    assert least_squares_scale(prediction, target, none).isnan().all()
    assert scale_and_shift(prediction, target, none)[0].isnan().all()


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
