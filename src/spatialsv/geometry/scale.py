"""The factor that brings a scene's depth or cameras to a reference's unit.

A factor comes from pixels of known depth, from known distances between cameras, or from the views:
with the right factor they look alike when seen through depth and cameras. Medians tolerate a few
wrong pixels or cameras. Where there is nothing to compare the result is NaN or None.

Shapes: N views, H W pixels, S candidate factors.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate

from spatialsv.geometry.align import median
from spatialsv.geometry.camera import pixel_grid, relative_pose, resample, scale_intrinsics

MAX_SIDE = 128  # pixels: views are compared at this size, which is enough for one number
WINDOW = 7  # pixels
DEPTH_RANGE = (0.5, 100.0)  # median depth / median baseline: the range of the search
CANDIDATES = 49  # a step of 12 %
MIN_TEXTURE = 0.01  # standard deviation in a window, of a range of 1
MIN_CONTRAST = 0.1  # between the correlations of the best candidate and the worst
MAX_AMBIGUITY = 1.6  # ratio between the largest and smallest candidate nearly as good as the best
NEIGHBOURS = 2  # views before and after a view that it is compared with
MIN_BASELINE = 1e-4  # of a scene's extent; below, cameras count as being in one place


def depth_scale(depth: Float[Tensor, " n"], target: Float[Tensor, " n"]) -> float:
    """Return the median of target / depth, for pixels that are valid in both; NaN for none."""
    return median(target.double() / depth.double())


def baseline_scale(cam_to_world: Float[Tensor, "N 4 4"], target: Float[Tensor, "N 4 4"]) -> float:
    """Return the median ratio of distances between camera centres, over pairs of views.

    Args:
        cam_to_world: Poses whose unit is to be changed.
        target: The same cameras in the reference's unit, in any frame.

    Returns:
        The factor to the reference's unit; NaN without two cameras in different places.
    """
    if len(target) < 2:
        return math.nan
    first, second = torch.combinations(torch.arange(len(target))).unbind(dim=1)
    distance, known = (
        (poses[first, :3, 3] - poses[second, :3, 3]).double().norm(dim=-1)
        for poses in (cam_to_world, target)
    )
    moved = (distance > MIN_BASELINE * distance.max()) & (known > MIN_BASELINE * known.max())
    return median(known[moved] / distance[moved])


def scale_from_points(
    depth: Float[Tensor, "*lead"], known: Float[Tensor, "*lead"], valid: Bool[Tensor, "*lead"]
) -> float:
    """Return the median of known / depth, in logarithms, over valid pixels.

    Args:
        depth: Depth whose unit is to be changed.
        known: Depth in the reference's unit; up to half of it may be wrong by any factor.
        valid: Pixels that are known; a few are enough.

    Returns:
        The factor to the reference's unit; NaN without a valid pixel.
    """
    return float((known[valid].double() / depth[valid].double()).log().median().exp())


def scale_from_views(
    depth: Float[Tensor, "N H W"],
    valid: Bool[Tensor, "N H W"],
    image: Float[Tensor, "N H W 3"],
    intrinsics: Float[Tensor, "N 3 3"],
    cam_to_world: Float[Tensor, "N 4 4"],
) -> float | None:
    """Return the factor on depth with which each view looks most like its neighbours.

    The cameras' baseline defines the unit. For each candidate factor, pixels are projected through
    the scaled depth into the views before and after, and windows around them are compared by
    normalised cross-correlation.

    Args:
        depth: Z-depth in an unknown unit.
        valid: Pixels of known depth.
        image: RGB in [0, 1].
        intrinsics: K in pixels.
        cam_to_world: Poses in the unit that is wanted.

    Returns:
        The factor to the cameras' unit. None where no factor stands out: one view, cameras in one
        place, no texture, or wrong depth.
    """
    if len(depth) < 2 or not valid.any():
        return None
    baseline = _median_baseline(cam_to_world)
    median_depth = float(depth[valid].double().median())
    if baseline <= 0:
        return None
    low, high = (baseline * ratio / median_depth for ratio in DEPTH_RANGE)
    factors = torch.logspace(0, 1, CANDIDATES, base=high / low, dtype=torch.float32) * low
    views = _shrink(depth, valid, image, intrinsics, cam_to_world)
    scores = _score_factors(*views, factors)
    best = int(scores.argmax())
    if not _stands_out(scores, factors, best):
        return None
    fine = factors[best] * (factors[1] / factors[0]) ** torch.linspace(-1, 1, 17)
    return float(fine[_score_factors(*views, fine).argmax()])


def _median_baseline(cam_to_world: Float[Tensor, "N 4 4"]) -> float:
    """Return the median distance between consecutive cameras."""
    centres = cam_to_world[:, :3, 3].double()
    return float((centres[1:] - centres[:-1]).norm(dim=-1).median())


def _stands_out(scores: Float[Tensor, " S"], factors: Float[Tensor, " S"], best: int) -> bool:
    """Whether the best candidate is inside the range, clearly better than the worst, and unique."""
    contrast = float(scores[best] - scores.min())
    similar = factors[scores >= scores[best] - 0.2 * contrast]
    inside = 0 < best < len(factors) - 1
    ambiguity = float(similar.max() / similar.min())
    return inside and contrast >= MIN_CONTRAST and ambiguity <= MAX_AMBIGUITY


def _shrink(
    depth: Float[Tensor, "N H W"],
    valid: Bool[Tensor, "N H W"],
    image: Float[Tensor, "N H W 3"],
    intrinsics: Float[Tensor, "N 3 3"],
    cam_to_world: Float[Tensor, "N 4 4"],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Convert to float32 and grey, with no side longer than MAX_SIDE."""
    height, width = depth.shape[1:]
    shrink = min(1.0, MAX_SIDE / max(height, width))
    size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    grey = image.float().mean(dim=-1)
    grey = interpolate(grey[:, None], size=size, mode="bilinear", antialias=True)[:, 0]
    depth, valid, _ = resample(depth.float(), valid, intrinsics.float(), size)
    intrinsics = scale_intrinsics(intrinsics.float(), size[1] / width, size[0] / height)
    return depth, valid, grey, intrinsics, cam_to_world.float()


def _score_factors(
    depth: Float[Tensor, "N H W"],
    valid: Bool[Tensor, "N H W"],
    grey: Float[Tensor, "N H W"],
    intrinsics: Float[Tensor, "N 3 3"],
    cam_to_world: Float[Tensor, "N 4 4"],
    factors: Float[Tensor, " S"],
) -> Float[Tensor, " S"]:
    """Return each factor's mean correlation over textured pixels that both views see."""
    total, count = torch.zeros_like(factors), torch.zeros_like(factors)
    height, width = depth.shape[1:]
    pixels = pixel_grid(height, width, like=depth)
    pixels = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
    steps = range(1, min(NEIGHBOURS, len(depth) - 1) + 1)
    pairs = [(i, i + step) for step in steps for i in range(len(depth) - step)]
    for i, j in pairs + [pair[::-1] for pair in pairs]:
        pose = relative_pose(cam_to_world[j], cam_to_world[i])
        rotation = intrinsics[j] @ pose[:3, :3] @ torch.linalg.inv(intrinsics[i])
        translation = intrinsics[j] @ pose[:3, 3]
        rotated = depth[i][..., None] * (pixels @ rotation.T)
        points = factors[:, None, None, None] * rotated + translation  # (S, H, W, 3)
        warped, visible = _sample_grey(grey[j], points)
        correlation, textured = _correlate_windows(grey[i], warped)
        mask = visible & textured & valid[i]
        total += (correlation * mask).sum(dim=(1, 2))
        count += mask.sum(dim=(1, 2))
    enough = count > 0.05 * len(pairs) * 2 * depth[0].numel()
    return torch.where(enough, total / count.clamp_min(1), 0.0)


def _sample_grey(
    grey: Float[Tensor, "H W"], points: Float[Tensor, "S H W 3"]
) -> tuple[Float[Tensor, "S H W"], Bool[Tensor, "S H W"]]:
    """Sample an image at homogeneous pixels, and say which of these are in the frame."""
    height, width = grey.shape
    z = points[..., 2]
    pixels = points[..., :2] / torch.where(z > 0, z, 1)[..., None]
    grid = 2 * pixels / pixels.new_tensor([width, height]) - 1
    visible = (z > 0) & (grid.abs() < 1).all(dim=-1)
    maps = grey.expand(len(points), 1, height, width)
    sampled = grid_sample(maps, grid.clamp(-2, 2), align_corners=False, padding_mode="border")
    return sampled[:, 0], visible


def _correlate_windows(
    first: Float[Tensor, "H W"], others: Float[Tensor, "S H W"]
) -> tuple[Float[Tensor, "S H W"], Bool[Tensor, "S H W"]]:
    """Correlate windows around each pixel, in [-1, 1], and say where `first` has texture."""

    def mean(maps: Tensor) -> Tensor:
        return avg_pool2d(maps[:, None], WINDOW, 1, WINDOW // 2, count_include_pad=False)[:, 0]

    first = first[None]
    means = mean(first), mean(others)
    variance = (mean(first**2) - means[0] ** 2).clamp_min(0), (mean(others**2) - means[1] ** 2)
    covariance = mean(first * others) - means[0] * means[1]
    correlation = covariance / (variance[0] * variance[1].clamp_min(0) + 1e-12).sqrt()
    return correlation.clamp(-1, 1), (variance[0] > MIN_TEXTURE**2).expand_as(others)
