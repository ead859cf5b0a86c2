"""Random cameras, seeded, in float64."""

from __future__ import annotations

import pytest
import torch

from spatialsv.geometry.camera import make_pose


def _rotation(generator: torch.Generator, lead: tuple[int, ...]) -> torch.Tensor:
    q, _ = torch.linalg.qr(torch.randn(*lead, 3, 3, generator=generator, dtype=torch.float64))
    return q * torch.linalg.det(q)[..., None, None]


class RandomGeometry:
    """Draws of cameras and depth from one seeded generator."""

    def __init__(self, seed: int = 0) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float, size: tuple[int, ...]) -> torch.Tensor:
        draw = torch.rand(size, generator=self.generator, dtype=torch.float64)
        return low + (high - low) * draw

    def rotation(self, lead: tuple[int, ...] = ()) -> torch.Tensor:
        return _rotation(self.generator, lead)

    def pose(self, lead: tuple[int, ...] = ()) -> torch.Tensor:
        return make_pose(self.rotation(lead), self.uniform(-2, 2, (*lead, 3)))

    def intrinsics(self, lead: tuple[int, ...], height: int, width: int) -> torch.Tensor:
        """Different focal lengths and a principal point off the centre."""
        K = torch.zeros(*lead, 3, 3, dtype=torch.float64)
        K[..., 0, 0] = self.uniform(0.6, 1.5, lead) * width
        K[..., 1, 1] = self.uniform(0.6, 1.5, lead) * width
        K[..., 0, 2] = self.uniform(0.4, 0.6, lead) * width
        K[..., 1, 2] = self.uniform(0.4, 0.6, lead) * height
        K[..., 2, 2] = 1
        return K


@pytest.fixture
def draw() -> RandomGeometry:
    return RandomGeometry()
