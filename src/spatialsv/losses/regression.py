"""The terms that depth, rays and points are made of (Eq. 10 to 12): l2, conf, grad, normal.

D = y - m is the residual, c >= 1 the confidence, Omega the counted pixels of the whole batch, over
which every mean runs; lambda_c keeps confidence from falling to its floor. Shapes: *lead samples
and views, H W pixels, C channels.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.losses.masked import length, masked_mean, residual


def l2_term(
    prediction: Float[Tensor, "*lead H W C"],
    target: Float[Tensor, "*lead H W C"],
    mask: Bool[Tensor, "*lead H W"],
    form: Literal["norm", "square"] = "norm",
) -> Float[Tensor, ""]:
    """mean ||D||_2, or with "square" mean ||D||_2^2; the paper writes only L2."""
    difference = residual(prediction, target, mask)
    error = length(difference) if form == "norm" else difference.square().sum(dim=-1)
    return masked_mean(error, mask)


def confidence_term(
    prediction: Float[Tensor, "*lead H W C"],
    target: Float[Tensor, "*lead H W C"],
    confidence: Float[Tensor, "*lead H W"],
    mask: Bool[Tensor, "*lead H W"],
    lambda_c: float,
) -> Float[Tensor, ""]:
    """mean ( ||D||_2 c - lambda_c log c )."""
    return masked_mean(
        weighed(length(residual(prediction, target, mask)), confidence, lambda_c), mask
    )


def weighed(
    error: Float[Tensor, "*size"], confidence: Float[Tensor, "*size"], lambda_c: float
) -> Float[Tensor, "*size"]:
    """error c - lambda_c log c: least at c = lambda_c / error, so confidence tells the error."""
    return error * confidence - lambda_c * confidence.log()


def gradient_term(
    prediction: Float[Tensor, "*lead H W"],
    target: Float[Tensor, "*lead H W"],
    confidence: Float[Tensor, "*lead H W"],
    mask: Bool[Tensor, "*lead H W"],
    lambda_c: float,
    scales: int = 4,
) -> Float[Tensor, ""]:
    """sum over x and y of mean( |grad_k D| c - lambda_c log c ), averaged over `scales`.

    Scale s takes every 2^s-th pixel (VGGT's choice) and forward differences; c is that of the pixel
    where the difference starts. Both pixels must be counted, so no difference crosses a hole.
    Scales at which the map is a single pixel wide add nothing.
    """
    difference = residual(prediction[..., None], target[..., None], mask)[..., 0]
    total = prediction.new_zeros(())
    for scale in range(scales):
        picked = (..., slice(None, None, 2**scale), slice(None, None, 2**scale))
        for axis in (-1, -2):
            total = total + _differences(
                difference[picked], confidence[picked], mask[picked], lambda_c, axis
            )
    return total / scales


def _differences(
    difference: Float[Tensor, "*lead h w"],
    confidence: Float[Tensor, "*lead h w"],
    mask: Bool[Tensor, "*lead h w"],
    lambda_c: float,
    axis: int,
) -> Float[Tensor, ""]:
    """mean( |D(next) - D| c - lambda_c log c ) along one axis."""
    count = difference.shape[axis] - 1
    pairs = mask.narrow(axis, 0, count) & mask.narrow(axis, 1, count)
    steps = difference.diff(dim=axis).abs()
    return masked_mean(weighed(steps, confidence.narrow(axis, 0, count), lambda_c), pairs)


def normal_term(
    prediction: Float[Tensor, "*lead H W 3"],
    target: Float[Tensor, "*lead H W 3"],
    confidence: Float[Tensor, "*lead H W"],
    mask: Bool[Tensor, "*lead H W"],
    lambda_c: float,
    scales: int = 3,
) -> Float[Tensor, ""]:
    """mean( (1 - <n(m), n(y)>) c - lambda_c log c ), averaged over `scales`.

    Four normals a pixel, one for each pair of neighbours (VGGT's choice); a normal counts where
    the pixel and both neighbours do. Scale s takes every 2^s-th pixel.
    """
    total = confidence.new_zeros(())
    for scale in range(scales):
        rows = (..., slice(None, None, 2**scale), slice(None, None, 2**scale))
        picked = (*rows, slice(None))
        inside = mask[rows]
        predicted, there = corner_normals(prediction[picked], inside)
        true, _ = corner_normals(target[picked], inside)
        error = 1 - (predicted * true).sum(dim=-1)
        total = total + masked_mean(
            weighed(error, confidence[rows].expand(error.shape), lambda_c), there
        )
    return total / scales


def corner_normals(
    points: Float[Tensor, "*lead H W 3"], mask: Bool[Tensor, "*lead H W"]
) -> tuple[Float[Tensor, "4 *lead H W 3"], Bool[Tensor, "4 *lead H W"]]:
    """Unit normals of the four corners (up-left, left-down, down-right, right-up) at each pixel.

    The second output says where the pixel and both neighbours are counted; elsewhere a normal is 0.
    """
    points = points.where(mask[..., None], 0)
    around = [_neighbour(points, mask, axis, step) for axis, step in AROUND]
    normals, there = [], []
    for (first, first_there), (second, second_there) in zip(
        around, around[1:] + around[:1], strict=True
    ):
        known = mask & first_there & second_there
        across = torch.linalg.cross(first - points, second - points)
        across = across.where(known[..., None], 0)
        normals.append(torch.nn.functional.normalize(across, dim=-1, eps=SMALL))
        there.append(known)
    return torch.stack(normals), torch.stack(there)


AROUND = ((-3, -1), (-2, -1), (-3, 1), (-2, 1))  # (axis of H W 3, step): up, left, down, right
# A cross product shorter than this, in squared units of length, counts by its length: heads that
# start flat would otherwise send gradients of thousands through normals that mean nothing yet.
SMALL = 1e-4


def _neighbour(
    points: Float[Tensor, "*lead H W 3"], mask: Bool[Tensor, "*lead H W"], axis: int, step: int
) -> tuple[Float[Tensor, "*lead H W 3"], Bool[Tensor, "*lead H W"]]:
    """Each pixel's neighbour along one axis, and whether it exists and is counted."""
    known = mask.roll(-step, dims=axis + 1)
    edge = -1 if step > 0 else 0
    inside = torch.ones(mask.shape[axis + 1], dtype=torch.bool, device=mask.device)
    inside[edge] = False
    return points.roll(-step, dims=axis), known & (inside[:, None] if axis == -3 else inside)
