import pytest
import torch
from torch.testing import assert_close

from spatialsv.geometry.homography import minimal_homographies
from spatialsv.geometry.robust import (
    biweight,
    draw_by_weight,
    draw_minimal_samples,
    robust_variance,
)


def test_points_are_drawn_as_often_as_they_weigh():
    weights = torch.tensor([[0.0, 1.0, 0.0, 3.0, 0.0], [1.0, 1.0, 1.0, 1.0, 0.0]]).double()
    drawn = draw_by_weight(weights, 400, seed=0)
    shares = torch.stack([row.bincount(minlength=5) / 400 for row in drawn])
    assert_close(shares.double(), weights / weights.sum(dim=1, keepdim=True), atol=0.005, rtol=0)
    assert_close(draw_by_weight(weights[1:], 400, seed=0), drawn[1:])  # whatever stands beside it


def test_a_sample_holds_no_point_twice():
    samples = draw_minimal_samples(200, 4, population=6, seed=0)
    assert samples.shape == (200, 4)
    assert all(len(set(sample)) == 4 for sample in samples.tolist())


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_variance_is_that_of_the_inliers_coordinates(dimensions):
    generator = torch.Generator().manual_seed(0)
    errors = 0.2 * torch.randn(1, 20_000, dimensions, generator=generator, dtype=torch.float64)
    error = errors.square().sum(dim=-1)
    assert robust_variance(error, dimensions).item() == pytest.approx(0.04, rel=0.05)
    assert biweight(torch.zeros(1, 1), torch.ones(1, 1)) == 1
    assert biweight(torch.full((1, 1), 4.685**2), torch.ones(1, 1)) == 0
    squares = torch.tensor([[0.25, 0.5, 0.75]]) * 4.685**2
    assert_close(biweight(3 * squares, torch.tensor([[3.0]])), (1 - squares / 4.685**2).square())


def test_exact_points_are_no_outliers_to_each_other():
    exact = torch.zeros(1, 9, dtype=torch.float64)
    assert (biweight(exact, robust_variance(exact, 3)) == 1).all()
    rounded = torch.full((1, 9), 1e-31, dtype=torch.float64)
    assert (biweight(rounded, robust_variance(exact, 3)) > 0.9).all()


def test_four_pixels_give_the_homography_they_came_from(draw):
    camera = draw.rotation((2, 5)) @ torch.tensor([0.5, 0.8, 1.0]).double().diag()
    pixels = torch.cat([draw.uniform(-1, 1, (2, 5, 2, 4)), torch.ones(2, 5, 1, 4).double()], dim=2)
    directions = torch.nn.functional.normalize(camera @ pixels, dim=2)
    found = minimal_homographies(pixels, directions)
    assert_close(found, camera / camera.norm(dim=(2, 3), keepdim=True))
    pixels[0, 0, :, 1] = pixels[0, 0, :, 0]
    assert not minimal_homographies(pixels, directions)[0, 0].isfinite().all()
