"""Homographies between pixels and ray directions, many at once, in three dimensions.

M [u, v, 1]^T points along a pixel's direction. A view may look away from the z axis of the rays'
frame, so directions are unit vectors, not points of an image plane, where such a fit breaks down.

Shapes: V views, P pixels, K samples; coordinates stand before pixels, which is what makes sums over
millions of pixels fast.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

MINIMUM = 4  # pixels that determine a homography
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # a symmetric matrix's entries ...
_PLACES = ((0, 1, 2), (1, 3, 4), (2, 4, 5))  # ... and where each entry is found among them
_MOVES = (  # small turns about x, y, z, and changes of the two focal lengths
    ((0, 0, 0), (0, 0, -1), (0, 1, 0)),
    ((0, 0, 1), (0, 0, 0), (-1, 0, 0)),
    ((0, -1, 0), (1, 0, 0), (0, 0, 0)),
    ((1, 0, 0), (0, 0, 0), (0, 0, 0)),
    ((0, 0, 0), (0, 1, 0), (0, 0, 0)),
)


def normal_matrix(
    pixels: Float[Tensor, "*views 3 P"],
    directions: Float[Tensor, "V 3 P"],
    weights: Float[Tensor, "V P"],
) -> Float[Tensor, "V 9 9"]:
    """N with m^T N m = the weighted sum of |d x M p|^2, where m holds the rows of M.

    The sum over pixels of (I - d d^T) kron (p p^T). Directions are unit vectors; `pixels` are each
    view's own, or one set for all. NaN where fewer than four weights are positive.
    """
    d, p = directions.unbind(dim=-2), pixels.unbind(dim=-2)
    along = torch.stack([p[k] * p[m] for k, m in _PAIRS], dim=-1)  # (P, 6) or (V, P, 6)
    outer = torch.stack([weights * d[i] * d[j] for i, j in _PAIRS], dim=-2)  # (V, 6, P)
    places = torch.tensor(_PLACES)
    total = (weights[:, None] @ along)[:, 0, places]  # (V, 3, 3)
    outer = (outer @ along)[:, places[:, None, :, None], places[None, :, None, :]]
    sums = torch.eye(3).to(total)[:, None, :, None] * total[:, None, :, None, :] - outer
    enough = (weights > 0).sum(dim=-1) >= MINIMUM
    return sums.flatten(-4, -3).flatten(-2).where(enough[:, None, None], torch.nan)


def fit_homography(normal: Float[Tensor, "V 9 9"]) -> Float[Tensor, "V 3 3"]:
    """M of unit norm and positive determinant that turns pixels into directions best.

    The eigenvector of the least eigenvalue of a `normal_matrix`; NaN where that is not finite.
    """
    finite = normal.isfinite().all(dim=(-2, -1))[:, None, None]
    normal = normal.where(finite, torch.eye(9).to(normal))
    matrix = torch.linalg.eigh(normal).eigenvectors[..., 0].unflatten(-1, (3, 3))
    return upright(matrix).where(finite, torch.nan)


def fit_centred(
    normal: Float[Tensor, "V 9 9"], start: Float[Tensor, "V 3 3"], steps: int = 5
) -> Float[Tensor, "V 3 3"]:
    """As `fit_homography`, by Gauss-Newton from `start`, among M = R diag: a principal point at 0.

    Without this knowledge, a shift of the principal point passes for a turn of the camera, and
    noise moves both.
    """
    left, _, right = torch.linalg.svd(
        start.nan_to_num(1) / start.nan_to_num(1).norm(dim=1)[:, None]
    )
    rotation, focal = left @ right, start.norm(dim=1)  # (V, 3, 3), (V, 3)
    moves = torch.tensor(_MOVES).to(start)  # (5, 3, 3)
    for _ in range(steps):
        size = focal.norm(dim=-1)[:, None, None]
        matrix = rotation * focal[:, None] / size
        slopes = (rotation[:, None] @ moves * (focal[:, None] / size)[:, None]).flatten(-2)
        vector = matrix.flatten(-2)[..., None]  # (V, 9, 1)
        slopes = slopes - (slopes @ vector) * vector.mT  # (V, 5, 9): the norm stays 1
        step = torch.linalg.solve_ex(slopes @ normal @ slopes.mT, -slopes @ normal @ vector)[0]
        turn = torch.einsum("vi,ijk->vjk", step[:, :3, 0], moves[:3])
        rotation = rotation @ torch.linalg.matrix_exp(turn)
        focal = focal * torch.cat([step[:, 3:, 0].exp(), torch.ones_like(focal[:, :1])], dim=1)
    return rotation * (focal / focal.norm(dim=-1, keepdim=True))[:, None]


def centred_or_not(
    normal: Float[Tensor, "V 9 9"], weights: Float[Tensor, "V P"]
) -> Float[Tensor, "V 3 3"]:
    """The M with a principal point at 0 unless the rays speak against it, else the free one.

    Judged by the Bayesian information criterion: the centre saves two parameters.
    """
    free = fit_homography(normal)
    centred = fit_centred(normal, free)
    errors = [(m.flatten(1)[:, None] @ normal @ m.flatten(1)[..., None]) for m in (centred, free)]
    count = weights.sum(dim=1).square() / weights.square().sum(dim=1)
    allowed = (2 * count.log() / count).exp()[:, None, None]
    return centred.where(errors[0] <= allowed * errors[1], free)


def minimal_homographies(
    pixels: Float[Tensor, "V K 3 4"], directions: Float[Tensor, "V K 3 4"]
) -> Float[Tensor, "V K 3 3"]:
    """The M of unit norm through each sample of four pixels; not finite if three are in a line.

    M turns the first three pixels into their directions times factors that the fourth tells.
    """
    from_pixels = torch.linalg.inv_ex(pixels[..., :3]).inverse
    from_directions = torch.linalg.inv_ex(directions[..., :3]).inverse
    factors = (from_directions @ directions[..., 3:]) / (from_pixels @ pixels[..., 3:])
    matrix = directions[..., :3] @ (factors * from_pixels)
    return upright(matrix / matrix.norm(dim=(-2, -1), keepdim=True))


def upright(matrix: Float[Tensor, "*lead 3 3"]) -> Float[Tensor, "*lead 3 3"]:
    """M or -M, whichever has a positive determinant: R K^-1 has one."""
    return matrix * torch.where(torch.linalg.det(matrix) < 0, -1.0, 1.0)[..., None, None]


def decompose(
    matrix: Float[Tensor, "*lead 3 3"],
) -> tuple[Float[Tensor, "*lead 3 3"], Float[Tensor, "*lead 3 3"]]:
    """Rotation and K of M = s R K^-1, s > 0: QR with positive diagonals, so R is proper.

    K is scaled to K[2, 2] = 1. Its skew, zero in every camera here, is dropped.
    """
    broken = ~matrix.isfinite().all(dim=(-2, -1))[..., None, None]
    rotation, upper = torch.linalg.qr(matrix.where(~broken, torch.eye(3).to(matrix)))
    signs = torch.where(upper.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(matrix.dtype)
    rotation, upper = rotation * signs[..., None, :], upper * signs[..., :, None]
    intrinsics = torch.linalg.inv(upper)
    intrinsics = intrinsics / intrinsics[..., 2:, 2:]
    skewless = torch.ones(3, 3).to(matrix)
    skewless[0, 1] = 0
    nan = torch.where(broken, torch.nan, 0.0).to(matrix.dtype)
    return rotation + nan, intrinsics * skewless + nan
