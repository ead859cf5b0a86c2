"""Predictions of another size than the labels' are resized by pixel centres."""

from dataclasses import replace

import torch

from spatialsv.geometry.camera import pixel_grid
from spatialsv.geometry.maps import GeometryPrediction
from spatialsv.losses.total import SpatialLossConfig, spatial_losses


def test_a_ramp_stays_a_ramp_in_pixel_coordinates(labels):
    """A prediction of half the size is linear in (u, v), which are continuous image coordinates.

    Resized with `align_corners=False` it stays so, but for the outermost pixels; with corners
    aligned it would be stretched by up to half a pixel.
    """
    height, width = labels.depth.shape[2:]

    def ramp(rows: int, columns: int) -> torch.Tensor:
        u, v = pixel_grid(rows, columns, like=labels.depth).unbind(dim=-1)
        depth = 1 + 0.5 * u / columns + 0.25 * v / rows
        return depth.expand(*labels.depth.shape[:2], rows, columns)

    inside = torch.zeros_like(labels.valid)
    inside[:, :, 1:-1, 1:-1] = True
    labels = replace(labels, depth=ramp(height, width), valid=inside)
    depth = ramp(height // 2, width // 2)
    prediction = GeometryPrediction(depth=depth, depth_confidence=torch.ones_like(depth))
    terms = spatial_losses(prediction, labels, SpatialLossConfig(tasks=("depth",)))
    assert max(abs(value.item()) for value in terms.values()) < 1e-12
