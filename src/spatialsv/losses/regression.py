"""The terms of depth, rays and points (Eq. 10 to 12): l2, conf, grad, normal, temporal.

D = y - m is the residual and c >= 1 the confidence; every mean runs over the supervised pixels of
the full batch; lambda_c keeps confidence from falling to its floor. Shapes: *lead samples and
views, H W pixels, C channels; h w one pixel less, for terms about neighbouring pixels.

Terms about neighbours have masks of their own (`gradient_masks`, `normal_masks`,
`temporal_mask`), which depend only on the labels. An optional weight of each pixel multiplies what
a mean runs over, and leaves the mean's count.
"""

from __future__ import annotations

from types import EllipsisType
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, addcmul

from spatialsv.losses.terms import TINY, Term, masked_sum, root

Vectors = tuple[Tensor, ...]  # x, y and z, each a map

# Predicted cross products shorter than this share of the label's squared pixel spacing count by
# their length. Heads start flat, and normals of nearly equal points have gradients without bound.
FLAT = 0.01


def vector_terms(
    difference: Float[Tensor, "C *lead H W"],
    confidence: Float[Tensor, "*lead H W"],
    mask: Bool[Tensor, "*lead H W"],
    lambda_c: float,
    l2: Literal["norm", "square"] = "norm",
    weight: Float[Tensor, "*lead H W"] | None = None,
) -> dict[str, Term]:
    """Return the two terms that every task has, of its `residual`.

    l2 is mean ||D||_2, or with "square" mean ||D||_2^2, since the paper writes only L2; conf is
    mean ( ||D||_2 c - lambda_c log c ).
    """
    squares = difference.square().sum(dim=0)
    error = root(squares)
    values = {
        "l2": error if l2 == "norm" else squares,
        "conf": _confident(error, confidence, lambda_c),
    }
    return {name: Term((masked_sum(_weigh(v, weight), mask),)) for name, v in values.items()}


def _weigh(values: Tensor, weight: Tensor | None) -> Tensor:
    return values if weight is None else values * weight.to(values.dtype)


def _confident(
    error: Float[Tensor, "*size"], confidence: Float[Tensor, "*size"], lambda_c: float
) -> Float[Tensor, "*size"]:
    """Return error c - lambda_c log c, least at c = lambda_c / error: c predicts the error."""
    return error * confidence - lambda_c * confidence.log()


def gradient_term(
    difference: Float[Tensor, "*lead H W"],
    confidence: Float[Tensor, "*lead H W"],
    mask: Bool[Tensor, "*lead H W"],
    lambda_c: float,
    scales: int = 4,
    weight: Float[Tensor, "*lead H W"] | None = None,
) -> Term:
    """Return the sum over x and y of mean( |grad_k D| c - lambda_c log c ), averaged over scales.

    Scale s takes every 2^s-th pixel (VGGT's choice) and forward differences; c and the weight are
    those of the pixel where the difference starts. Scales at which the map is a single pixel wide
    add nothing.
    """
    pairs = []
    for scale, masks in enumerate(gradient_masks(mask, scales)):
        pixels = _every(2**scale)
        for axis, both in zip((-1, -2), masks, strict=True):
            steps = difference[pixels].diff(dim=axis).abs()
            here, _ = _ends(confidence[pixels], axis)
            starts = None if weight is None else _ends(weight[pixels], axis)[0]
            pairs.append(masked_sum(_weigh(_confident(steps, here, lambda_c), starts), both))
    return Term(tuple(pairs), scales)


def gradient_masks(
    mask: Bool[Tensor, "*lead H W"], scales: int
) -> list[tuple[Bool[Tensor, "*lead _ _"], Bool[Tensor, "*lead _ _"]]]:
    """Return for each scale the differences along x and y that count.

    Both pixels must be supervised, so no difference crosses a hole.
    """
    picked = [mask[_every(2**scale)] for scale in range(scales)]
    return [(_both(one, -1), _both(one, -2)) for one in picked]


def normal_term(
    prediction: Float[Tensor, "*lead H W 3"],
    target: Float[Tensor, "*lead H W 3"],
    confidence: Float[Tensor, "*lead H W"],
    mask: Bool[Tensor, "*lead H W"],
    lambda_c: float,
    scales: int = 3,
    weight: Float[Tensor, "*lead H W"] | None = None,
) -> Term:
    """Return mean( (1 - <n(m), n(y)>) c - lambda_c log c ), averaged over `scales`.

    Four normals a pixel, one for each pair of neighbours (VGGT's choice). Scale s takes every
    2^s-th pixel. Where a predicted surface is flatter than FLAT of the label's local spacing, the
    cosine shrinks with it, which bounds the gradient; the term has no other unit of length.
    """
    pairs = []
    for scale, corners in enumerate(normal_masks(mask, scales)):
        pixels = _every(2**scale)
        predicted, true = (
            _corner_edges(points[(*pixels, slice(None))], mask[pixels])
            for points in (prediction, target)
        )
        values = _confident(
            1 - _normal_cosine(predicted, true), _at_corners(confidence[pixels]), lambda_c
        )
        own = None if weight is None else _at_corners(weight[pixels])
        pairs.append(masked_sum(_weigh(values, own), corners))
    return Term(tuple(pairs), scales)


def _at_corners(maps: Float[Tensor, "*lead H W"]) -> Float[Tensor, "2 2 *lead _ _"]:
    """Return the value of the pixel to which each of the four normals belongs."""
    return torch.stack(_ends(torch.stack(_ends(maps, -2)), -1))


def normal_masks(
    mask: Bool[Tensor, "*lead H W"], scales: int
) -> list[Bool[Tensor, "2 2 *lead _ _"]]:
    """Return for each scale the normals that count: the pixel and both neighbours do."""
    masks = []
    for scale in range(scales):
        picked = mask[_every(2**scale)]
        down = torch.stack(_ends(_both(picked, -2), -1))
        right = torch.stack(_ends(_both(picked, -1), -2))
        masks.append(down[:, None] & right[None])
    return masks


def _corner_edges(
    points: Float[Tensor, "*lead H W 3"], mask: Bool[Tensor, "*lead H W"]
) -> tuple[Vectors, Vectors]:
    """Return the edges down and right at the four corners of 2 x 2 pixels: (2, 2, *lead, h, w).

    The first two axes are the corner's column and its row; edges down are equal along the second,
    edges right along the first. All edges point down or right, so that the four normals face the
    same side.
    """
    planes = points.movedim(-1, 0).where(mask, 0)
    down = torch.stack(_ends(planes.diff(dim=-2), -1))[:, None]
    right = torch.stack(_ends(planes.diff(dim=-1), -2))[None]
    return down.unbind(2), right.unbind(2)


def _normal_cosine(
    predicted: tuple[Vectors, Vectors], true: tuple[Vectors, Vectors]
) -> Float[Tensor, "*size"]:
    """Return the cosine between the normals of two pairs of edges; less for flat predictions."""
    normal, target = _cross(*predicted), _cross(*true)
    square = _dot(target, target)
    # At a depth step edges are long. Their triangle's height remains the spacing of the pixels.
    spacing = square / (torch.maximum(*(_dot(edge, edge) for edge in true)) + TINY)
    length = root(_dot(normal, normal)).maximum(FLAT * spacing)
    return _dot(normal, target) / length / root(square)


def _cross(one: Vectors, other: Vectors) -> Vectors:
    """Return the cross product, much faster on a CPU than torch.linalg's, which walks triples."""
    return tuple(
        addcmul(one[i] * other[j], one[j], other[i], value=-1) for i, j in ((1, 2), (2, 0), (0, 1))
    )


def temporal_term(
    depth: Float[Tensor, "B N H W"],
    target: Float[Tensor, "B N H W"],
    mask: Bool[Tensor, "B N H W"],
    change: float,
    weight: Float[Tensor, "B N H W"] | None = None,
) -> Term:
    """Return mean | (y_n+1 - y_n) - (m_n+1 - m_n) | over pixels and pairs of neighbouring views.

    Temporal consistency of depth, beyond the paper: the temporal gradient matching of Video Depth
    Anything (arXiv 2501.12375) with signs kept. It needs no correspondences and lets objects move.
    Views must be in the order in which they were taken; 0 where there is one view. The weight is
    that of the earlier view.
    """
    pairs = temporal_mask(target, mask, change)
    error = depth.diff(dim=1).where(pairs, 0) - (target[:, 1:] - target[:, :-1]).where(pairs, 0)
    earlier = None if weight is None else weight[:, :-1]
    return Term((masked_sum(_weigh(error.abs(), earlier), pairs),))


def temporal_mask(
    target: Float[Tensor, "B N H W"], mask: Bool[Tensor, "B N H W"], change: float
) -> Bool[Tensor, "B M H W"]:
    """Return the pixels that most likely show one surface in two neighbouring views.

    Both views are supervised there, and the label changes by at most `change` of its depth.
    """
    before, after = target[:, :-1], target[:, 1:]
    return mask[:, :-1] & mask[:, 1:] & ((after - before).abs() <= change * before)


def _dot(one: Vectors, other: Vectors) -> Float[Tensor, "*size"]:
    return addcmul(addcmul(one[0] * other[0], one[1], other[1]), one[2], other[2])


def _every(step: int) -> tuple[EllipsisType, slice, slice]:
    """Index every `step`-th row and column."""
    return (..., slice(None, None, step), slice(None, None, step))


def _ends(maps: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Return all but the last, and all but the first, along `axis`."""
    count = maps.shape[axis] - 1
    return maps.narrow(axis, 0, count), maps.narrow(axis, 1, count)


def _both(mask: Bool[Tensor, "*lead H W"], axis: int) -> Bool[Tensor, "*lead h w"]:
    """Return where a pixel and the next one along `axis` are both set."""
    here, following = _ends(mask, axis)
    return here & following
