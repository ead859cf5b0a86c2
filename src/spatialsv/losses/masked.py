"""Means over the pixels that count, exact zeros where none does, and one size for all maps.

Shapes: B samples, N views, H W pixels of the labels, C channels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.maps import GeometryLabels

# How a term is averaged: its values over the pixels of a mask. Losses call it in a fixed order.
Mean = Callable[[Tensor, Tensor], Tensor]

TINY = 1e-30  # far below the square of any residual that float32 can tell


def masked_mean(values: Float[Tensor, "*size"], mask: Bool[Tensor, "*size"]) -> Float[Tensor, ""]:
    """The mean where `mask` holds; 0, with zero gradient, where it holds nowhere."""
    return values.where(mask, 0).sum() / mask.sum().clamp_min(1)


def residual(
    prediction: Float[Tensor, "*lead H W C"],
    target: Float[Tensor, "*lead H W C"],
    mask: Bool[Tensor, "*lead H W"],
) -> Float[Tensor, "C *lead H W"]:
    """prediction - target, 0 outside the mask whatever stands there, NaN included.

    Channels come first: what is then done over them runs along whole maps, as the heads made them.
    """
    return (prediction - target).movedim(-1, 0).where(mask, 0)


def counted(labels: GeometryLabels) -> Bool[Tensor, "B N H W"]:
    """The pixels that teach: valid ones, of views that have geometry."""
    return labels.valid & labels.present[:, :, None, None]


def at_size(
    maps: Float[Tensor, "B N H W *C"], size: tuple[int, int]
) -> Float[Tensor, "B N h w *C"]:
    """Predicted maps bilinearly resized to the labels' size, untouched where they have it.

    Predictions move and labels do not: blending labels across an object's edge makes depths that
    nothing has.
    """
    if tuple(maps.shape[2:4]) == size:
        return maps
    channels = maps if maps.ndim == 5 else maps[..., None]
    flat = channels.flatten(0, 1).movedim(-1, 1)  # (B N, C, H, W)
    resized = F.interpolate(flat, size=size, mode="bilinear", align_corners=False)
    return resized.movedim(1, -1).reshape(*maps.shape[:2], *size, *maps.shape[4:])


def root(squares: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
    """The root of sums of squares, with a zero gradient at zero; `vector_norm` is far slower."""
    return (squares + TINY).sqrt()
