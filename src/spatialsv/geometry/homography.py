"""Homographies between pixels and ray directions, fitted in batches, in three dimensions.

M [u, v, 1]^T points along a pixel's direction. A view may look away from the z axis of the rays'
frame, where an image plane would be ill-conditioned; directions are therefore unit vectors.

Shapes: V views, P pixels, K samples; coordinates precede pixels, which makes sums over millions of
pixels fast.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

MIN_PIXELS = 4  # that determine a homography
SINGULAR = 1e-10  # ratio of the diagonal of K^-1, below which M has no K; rounding is 1e-16
_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))  # entries of a symmetric matrix
_PAIR_INDEX = ((0, 1, 2), (1, 3, 4), (2, 4, 5))  # index of each entry among _PAIRS
_MOVES = (  # small rotations about x, y, z, and changes of the two focal lengths
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
    """Return N with m^T N m = the weighted sum of |d x M p|^2, where m holds the rows of M.

    It is the sum over pixels of (I - d d^T) kron (p p^T).

    Args:
        pixels: Homogeneous pixels p, of each view or shared by all.
        directions: Unit vectors d.
        weights: Weights of the pixels.

    Returns:
        The matrix of each view; NaN where fewer than four weights are positive.
    """
    d, p = directions.unbind(dim=-2), pixels.unbind(dim=-2)
    along = torch.stack([p[k] * p[m] for k, m in _PAIRS], dim=-1)  # (P, 6) or (V, P, 6)
    outer = torch.stack([weights * d[i] * d[j] for i, j in _PAIRS], dim=-2)  # (V, 6, P)
    index = torch.tensor(_PAIR_INDEX)
    total = (weights[:, None] @ along)[:, 0, index]  # (V, 3, 3)
    outer = (outer @ along)[:, index[:, None, :, None], index[None, :, None, :]]
    sums = torch.eye(3).to(total)[:, None, :, None] * total[:, None, :, None, :] - outer
    enough = (weights > 0).sum(dim=-1) >= MIN_PIXELS
    return sums.flatten(-4, -3).flatten(-2).where(enough[:, None, None], torch.nan)


def fit_homography(normal: Float[Tensor, "V 9 9"]) -> Float[Tensor, "V 3 3"]:
    """Return the M of unit norm and positive determinant that maps pixels to directions best.

    It is the eigenvector of the smallest eigenvalue.

    Args:
        normal: As from `normal_matrix`.

    Returns:
        M of each view; NaN where `normal` is not finite.
    """
    finite = normal.isfinite().all(dim=(-2, -1))[:, None, None]
    normal = normal.where(finite, torch.eye(9).to(normal))
    matrix = torch.linalg.eigh(normal).eigenvectors[..., 0].reshape(-1, 3, 3)
    return _with_positive_determinant(matrix).where(finite, torch.nan)


def fit_centred_homography(
    normal: Float[Tensor, "V 9 9"], start: Float[Tensor, "V 3 3"], steps: int = 5
) -> Float[Tensor, "V 3 3"]:
    """Fit M = R diag(f_x, f_y, 1), with a principal point at 0, by Gauss-Newton.

    With a free principal point, a shift of it is nearly a rotation of the camera, and noise moves
    both.

    Args:
        normal: As from `normal_matrix`.
        start: Initial M, as from `fit_homography`.
        steps: Gauss-Newton steps.

    Returns:
        M of each view, of unit norm.
    """
    columns = (start / start.norm(dim=1)[:, None]).nan_to_num(1)
    left, _, right = torch.linalg.svd(columns)
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
    fitted: Tensor = rotation * (focal / focal.norm(dim=-1, keepdim=True))[:, None]
    return fitted


def select_homography(
    normal: Float[Tensor, "V 9 9"], weights: Float[Tensor, "V P"]
) -> Float[Tensor, "V 3 3"]:
    """Select, in each view, between the free fit and the one with a principal point at 0.

    The Bayesian information criterion decides: a fixed centre saves two parameters.

    Args:
        normal: As from `normal_matrix`.
        weights: Weights of the pixels; they give the effective number of pixels.

    Returns:
        M of each view. The free fit where the other one has no finite K.
    """
    free = fit_homography(normal)
    centred = fit_centred_homography(normal, free)
    usable = decompose(centred)[1].isfinite().all(dim=(-2, -1), keepdim=True)
    errors = [(m.flatten(1)[:, None] @ normal @ m.flatten(1)[..., None]) for m in (centred, free)]
    count = weights.sum(dim=1).square() / weights.square().sum(dim=1)
    allowed = (2 * count.log() / count).exp()[:, None, None]
    return centred.where(usable & (errors[0] <= allowed * errors[1]), free)


def minimal_homographies(
    pixels: Float[Tensor, "V K 3 4"], directions: Float[Tensor, "V K 3 4"]
) -> Float[Tensor, "V K 3 3"]:
    """Return the M of unit norm through each sample of four pixels.

    M maps the first three pixels to multiples of their directions; the fourth gives the factors.

    Args:
        pixels: Homogeneous pixels.
        directions: Their directions.

    Returns:
        M of each sample; not finite if three pixels are collinear.
    """
    from_pixels = torch.linalg.inv_ex(pixels[..., :3]).inverse
    from_directions = torch.linalg.inv_ex(directions[..., :3]).inverse
    factors = (from_directions @ directions[..., 3:]) / (from_pixels @ pixels[..., 3:])
    matrix = directions[..., :3] @ (factors * from_pixels)
    return _with_positive_determinant(matrix / matrix.norm(dim=(-2, -1), keepdim=True))


def _with_positive_determinant(matrix: Float[Tensor, "*lead 3 3"]) -> Float[Tensor, "*lead 3 3"]:
    """Return M or -M, whichever has a positive determinant, as R K^-1 has."""
    return matrix * torch.where(torch.linalg.det(matrix) < 0, -1.0, 1.0)[..., None, None]


def decompose(
    matrix: Float[Tensor, "*lead 3 3"],
) -> tuple[Float[Tensor, "*lead 3 3"], Float[Tensor, "*lead 3 3"]]:
    """Decompose M = s R K^-1, s > 0, by QR with positive diagonals, so that R is proper.

    Args:
        matrix: M.

    Returns:
        R, and K scaled to K[2, 2] = 1 and without its skew, which all cameras here lack. NaN where
        M is not finite or singular.
    """
    finite = matrix.isfinite().all(dim=(-2, -1))[..., None, None]
    rotation, upper = torch.linalg.qr(matrix.where(finite, torch.eye(3).to(matrix)))
    signs = torch.where(upper.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(matrix.dtype)
    rotation, upper = rotation * signs[..., None, :], upper * signs[..., :, None]
    sizes = upper.diagonal(dim1=-2, dim2=-1).abs()
    usable = finite & (sizes.amin(dim=-1) > SINGULAR * sizes.amax(dim=-1))[..., None, None]
    intrinsics = torch.linalg.inv(upper.where(usable, torch.eye(3).to(matrix)))
    intrinsics = intrinsics / intrinsics[..., 2:, 2:]
    skewless = torch.ones(3, 3).to(matrix)
    skewless[0, 1] = 0
    return rotation.where(usable, torch.nan), (intrinsics * skewless).where(usable, torch.nan)
