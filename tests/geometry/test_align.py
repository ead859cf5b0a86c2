import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize_scalar
from torch.testing import assert_close

from spatialsv.geometry.align import (
    ALIGNMENTS,
    align_depth,
    lad_scale_and_shift,
    least_squares_scale,
    median_scale,
    scale_and_shift,
    weiszfeld_scale,
)


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
    assert lad_scale_and_shift(prediction, target, none)[0].isnan().all()
    assert weiszfeld_scale(prediction, target, none).isnan().all()


def test_weiszfelds_scale_is_that_of_least_absolute_deviations(depths):
    """Which is a weighted median of the ratios; outliers do not move it."""
    prediction, target, valid = depths
    target = target.where(draw_tenth(target), 20 * target)
    found = weiszfeld_scale(prediction, target, valid)
    for index in np.ndindex(2, 3):
        keep = valid[index].numpy()
        p, t = prediction[index].numpy()[keep], target[index].numpy()[keep]

        def error(scale, p=p, t=t):
            return np.abs(scale * p - t).sum()

        best = minimize_scalar(error, bounds=(1, 10), method="bounded").fun
        assert error(found[index].item()) < 1.005 * best  # ten steps, as published
    least = least_squares_scale(prediction, target, valid)
    assert (found - 3.2).abs().max() < 0.4
    assert (least - 3.2).abs().min() > 1


def draw_tenth(values):
    """False for every tenth value."""
    return (torch.arange(values.numel()) % 10 > 0).reshape(values.shape)


def test_weiszfelds_first_steps_are_as_published():
    """By hand for two pixels: ratios 1 and 3, prediction 1 and 1, so every weighting is even."""
    ones, all_valid = torch.ones(2, dtype=torch.float64), torch.ones(2, dtype=torch.bool)
    target = torch.tensor([1.0, 3.0], dtype=torch.float64)
    assert weiszfeld_scale(ones, target, all_valid).item() == pytest.approx(2)
    least = 1e-3 * 2  # of the ratio of the means
    assert weiszfeld_scale(-ones, target, all_valid).item() == pytest.approx(least)


def test_least_absolute_deviations_match_linear_programming(depths):
    prediction, target, valid = depths
    target = target.where(draw_tenth(target), 20 * target)
    scale, shift = lad_scale_and_shift(prediction, target, valid)
    for index in np.ndindex(2, 3):
        keep = valid[index].numpy()
        p, t = prediction[index].numpy()[keep], target[index].numpy()[keep]
        n = len(p)
        rows = np.c_[p, np.ones(n)]
        bounds = [(None, None)] * 2 + [(0, None)] * n
        above = np.r_[np.c_[rows, -np.eye(n)], np.c_[-rows, -np.eye(n)]]
        best = linprog(np.r_[0, 0, np.ones(n)], above, np.r_[t, -t], bounds=bounds).fun
        found = np.abs(scale[index].item() * p + shift[index].item() - t).sum()
        assert best - 1e-9 < found < 1.001 * best


@pytest.mark.parametrize("how", ALIGNMENTS)
def test_every_alignment_undoes_its_own_distortion_in_depth_and_in_disparity(draw, how):
    target, valid = draw.uniform(1, 5, (2, 50)), draw.uniform(0, 1, (2, 50)) > 0.3
    shift = 0.05 if how.endswith("shift") else 0.0
    assert_close(align_depth((target - shift) / 3, target, valid, how), target)
    distorted = 1 / ((1 / target - shift) / 3)
    assert_close(align_depth(distorted, target, valid, how, in_disparity=True), target)
    none = torch.zeros_like(valid)
    for in_disparity in (False, True):
        assert align_depth(target, target, none, how, in_disparity).isnan().all()


def test_disparity_that_is_not_positive_is_as_far_as_is_said():
    target = torch.tensor([1.0, 2.0, 4.0, 4.0]).double()
    prediction = torch.tensor([1.0, 2.0, 4.0, 1e9]).double()
    valid = torch.tensor([True, True, True, False])
    shifted = 1 / (1 / prediction + 0.2)  # so the last pixel's disparity comes out below 0
    shifted[3] = 10.0
    args = (shifted, target, valid, "scale_and_shift", True)
    assert align_depth(*args)[3] == torch.inf
    assert_close(align_depth(*args, max_depth=80.0), torch.tensor([1.0, 2, 4, 80]).double())
