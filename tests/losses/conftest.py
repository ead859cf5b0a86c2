"""Random predictions and labels in float64: holes in the mask, one sample without geometry."""

from __future__ import annotations

import pytest
import torch

from spatialsv.geometry.maps import GeometryLabels, GeometryPrediction


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(0)

    def uniform(low: float, high: float, *size: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(size, generator=generator, dtype=torch.float64)

    return uniform


@pytest.fixture
def labels(draw) -> GeometryLabels:
    size = (3, 2, 6, 8)
    return GeometryLabels(
        depth=draw(0.5, 3, *size),
        ray_origins=draw(-1, 1, *size, 3),
        ray_directions=draw(-1, 1, *size, 3),
        points=draw(-2, 2, *size, 3),
        valid=draw(0, 1, *size) > 0.25,
        present=torch.tensor([[True, True], [False, False], [True, False]]),
        features=draw(-1, 1, 3, 2, 4, 6, 5),
    )


def random_lifted(draw, *size: int) -> GeometryPrediction:
    return GeometryPrediction(
        depth=draw(0.5, 3, *size),
        depth_confidence=draw(1, 3, *size),
        ray_origins=draw(-1, 1, *size, 3),
        ray_directions=draw(-1, 1, *size, 3),
        ray_confidence=draw(1, 3, *size),
        points=draw(-2, 2, *size, 3),
        points_confidence=draw(1, 3, *size),
    )


@pytest.fixture
def lifted(draw, labels) -> GeometryPrediction:
    return random_lifted(draw, *labels.depth.shape)


@pytest.fixture
def distilled(draw) -> torch.Tensor:
    return draw(-1, 1, 3, 2, 2, 3, 5)
