"""Loss terms as sums and counts, and what all of them share: masks, residuals and one map size.

Shapes: B samples, N views, H W pixels of the labels, C channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spatialsv.geometry.maps import GeometryLabels

TINY = 1e-30  # far below the square of any residual that float32 can represent

Pair = tuple[Tensor, Tensor]  # the sum of some values, and how many they are
Counts = Int[Tensor, "_"]  # how many values each of a term's pairs runs over


class Term(NamedTuple):
    """A loss term: the sum of several means, divided by the number of scales.

    A mean is kept as its sum and its count, so that a training step can be cut into several forward
    passes and processes: each pass divides its sums by the counts of the full step.
    """

    pairs: tuple[Pair, ...]
    scales: int = 1

    def mean(self, counts: Counts | None = None) -> Float[Tensor, ""]:
        """Return the term's value, or this forward pass's part of it.

        Args:
            counts: those of the full step, one for each pair. None: those of this pass.

        Returns:
            The sum over pairs of sum / count, over `scales`. 0, with zero gradient, where all
            counts are 0.
        """
        if counts is None:
            counts = torch.stack([count for _, count in self.pairs])
        total = self.pairs[0][0].new_zeros(())
        for (values, _), count in zip(self.pairs, counts, strict=True):
            total = total + values / count.clamp_min(1)
        return total / self.scales


def masked_sum(values: Float[Tensor, "*size"], mask: Bool[Tensor, "*size"]) -> Pair:
    """Return the sum of `values` where `mask` holds, and the number of these values."""
    return values.where(mask, 0).sum(), mask.sum()


def label_mask(labels: GeometryLabels) -> Bool[Tensor, "B N H W"]:
    """Return the pixels that are supervised: valid ones, of views that have geometry."""
    return labels.valid & labels.present[:, :, None, None]


def residual(
    prediction: Float[Tensor, "*lead H W C"],
    target: Float[Tensor, "*lead H W C"],
    mask: Bool[Tensor, "*lead H W"],
) -> Float[Tensor, "C *lead H W"]:
    """Return prediction - target, 0 outside the mask whatever the values there, NaN included.

    Channels come first, so that operations over them run along full maps, as the heads made them.
    """
    return (prediction - target).movedim(-1, 0).where(mask, 0)


def resize_to(
    maps: Float[Tensor, "B N H W *C"], size: tuple[int, int]
) -> Float[Tensor, "B N h w *C"]:
    """Resize predicted maps bilinearly to the labels' size; maps of that size stay unchanged.

    Predictions are resized and labels are not: blending labels across an object's edge makes depths
    that no surface has.

    Returns:
        The maps at `size`, height and width.
    """
    if tuple(maps.shape[2:4]) == size:
        return maps
    channels = maps if maps.ndim == 5 else maps[..., None]
    flat = channels.flatten(0, 1).movedim(-1, 1)  # (B N, C, H, W)
    resized = F.interpolate(flat, size=size, mode="bilinear", align_corners=False)
    return resized.movedim(1, -1).reshape(*maps.shape[:2], *size, *maps.shape[4:])


def root(squares: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
    """Return the root of sums of squares, with a zero gradient at zero.

    `torch.linalg.vector_norm` is far slower here.
    """
    return (squares + TINY).sqrt()
