"""The terms that depth, rays and points are made of (Eq. 10 to 12): l2, conf, grad, normal.

D = y - m is the residual, c >= 1 the confidence, Omega the counted pixels of the whole batch, over
which every `mean` runs; lambda_c keeps confidence from falling to its floor. Shapes: *lead samples
and views, H W pixels, C channels; h w one pixel less, where terms are about neighbours.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, addcmul

from spatialsv.losses.masked import Mean, masked_mean, root

Vectors = tuple[Tensor, Tensor, Tensor]  # x, y and z, each a map


def vector_terms(
    difference: Float[Tensor, "C *lead H W"],
    confidence: Float[Tensor, "*lead H W"],
    mask: Bool[Tensor, "*lead H W"],
    lambda_c: float,
    l2: Literal["norm", "square"] = "norm",
    mean: Mean = masked_mean,
) -> dict[str, Float[Tensor, ""]]:
    """The two terms that every task has, of its `residual`.

    l2 is mean ||D||_2, or with "square" mean ||D||_2^2, since the paper writes only L2; conf is
    mean ( ||D||_2 c - lambda_c log c ).
    """
    squares = difference.square().sum(dim=0)
    error = root(squares)
    return {
        "l2": mean(error if l2 == "norm" else squares, mask),
        "conf": mean(weighed(error, confidence, lambda_c), mask),
    }


def weighed(
    error: Float[Tensor, "*size"], confidence: Float[Tensor, "*size"], lambda_c: float
) -> Float[Tensor, "*size"]:
    """error c - lambda_c log c: least at c = lambda_c / error, so confidence tells the error."""
    return error * confidence - lambda_c * confidence.log()


def gradient_term(
    difference: Float[Tensor, "*lead H W"],
    confidence: Float[Tensor, "*lead H W"],
    mask: Bool[Tensor, "*lead H W"],
    lambda_c: float,
    scales: int = 4,
    mean: Mean = masked_mean,
) -> Float[Tensor, ""]:
    """sum over x and y of mean( |grad_k D| c - lambda_c log c ), averaged over `scales`.

    Scale s takes every 2^s-th pixel (VGGT's choice) and forward differences; c is that of the pixel
    where the difference starts. Both pixels must be counted, so no difference crosses a hole.
    Scales at which the map is a single pixel wide add nothing.
    """
    total = difference.new_zeros(())
    for scale in range(scales):
        picked = (..., slice(None, None, 2**scale), slice(None, None, 2**scale))
        for axis in (-1, -2):
            total = total + _differences(
                difference[picked], confidence[picked], mask[picked], lambda_c, axis, mean
            )
    return total / scales


def _differences(
    difference: Float[Tensor, "*lead h w"],
    confidence: Float[Tensor, "*lead h w"],
    mask: Bool[Tensor, "*lead h w"],
    lambda_c: float,
    axis: int,
    mean: Mean,
) -> Float[Tensor, ""]:
    """mean( |D(next) - D| c - lambda_c log c ) along one axis."""
    steps = difference.diff(dim=axis).abs()
    here, _ = _ends(confidence, axis)
    return mean(weighed(steps, here, lambda_c), _both(mask, axis))


def normal_term(
    prediction: Float[Tensor, "*lead H W 3"],
    target: Float[Tensor, "*lead H W 3"],
    confidence: Float[Tensor, "*lead H W"],
    mask: Bool[Tensor, "*lead H W"],
    lambda_c: float,
    scales: int = 3,
    mean: Mean = masked_mean,
) -> Float[Tensor, ""]:
    """mean( (1 - <n(m), n(y)>) c - lambda_c log c ), averaged over `scales`.

    Four normals a pixel, one for each pair of neighbours (VGGT's choice); a normal counts where
    the pixel and both neighbours do. Scale s takes every 2^s-th pixel.
    """
    total = confidence.new_zeros(())
    for scale in range(scales):
        rows = (..., slice(None, None, 2**scale), slice(None, None, 2**scale))
        inside = mask[rows]
        predicted, true = (
            corner_normals(p[(*rows, slice(None))], inside) for p in (prediction, target)
        )
        own = torch.stack(_ends(torch.stack(_ends(confidence[rows], -2)), -1))
        values = weighed(1 - _cosine(predicted, true), own, lambda_c)
        total = total + mean(values, _corners_there(inside))
    return total / scales


# A cross product shorter than this, in squared units of length, counts by its length: heads that
# start flat would otherwise send gradients of thousands through normals that mean nothing yet.
SMALL = 1e-4


def corner_normals(
    points: Float[Tensor, "*lead H W 3"], mask: Bool[Tensor, "*lead H W"]
) -> Vectors:
    """Normals, of any length, at the four corners of each 2 x 2 pixels: (2, 2, *lead, h, w).

    The first two axes are the corner's column and its row. At every pixel the vertical edge is
    crossed with the horizontal one, each of which points down or right, so all four face the same
    side. Component by component, and not by linalg's functions, which walk through triples one at
    a time: several times slower on a CPU.
    """
    planes = points.movedim(-1, 0).where(mask, 0)
    down = torch.stack(_ends(planes.diff(dim=-2), -1))[:, None].unbind(2)
    right = torch.stack(_ends(planes.diff(dim=-1), -2))[None].unbind(2)
    return tuple(
        addcmul(down[i] * right[j], down[j], right[i], value=-1)
        for i, j in ((1, 2), (2, 0), (0, 1))
    )


def _corners_there(mask: Bool[Tensor, "*lead H W"]) -> Bool[Tensor, "2 2 *lead h w"]:
    """Where a corner of 2 x 2 pixels and both its neighbours are counted."""
    down = torch.stack(_ends(_both(mask, -2), -1))
    right = torch.stack(_ends(_both(mask, -1), -2))
    return down[:, None] & right[None]


def _cosine(one: Vectors, other: Vectors) -> Float[Tensor, "*size"]:
    lengths = (root(_dot(vectors, vectors)).clamp_min(SMALL) for vectors in (one, other))
    return _dot(one, other) / next(lengths) / next(lengths)


def _dot(one: Vectors, other: Vectors) -> Float[Tensor, "*size"]:
    return addcmul(addcmul(one[0] * other[0], one[1], other[1]), one[2], other[2])


def _ends(maps: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """All but the last, and all but the first, along `axis`."""
    count = maps.shape[axis] - 1
    return maps.narrow(axis, 0, count), maps.narrow(axis, 1, count)


def _both(mask: Bool[Tensor, "*lead H W"], axis: int) -> Bool[Tensor, "*lead h w"]:
    """Where a pixel and the next one along `axis` are counted."""
    here, following = _ends(mask, axis)
    return here & following
