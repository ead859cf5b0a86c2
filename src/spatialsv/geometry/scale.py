"""The one factor that brings a scene's depth to the unit of its cameras.

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

LONGEST = 128  # pixels: views are compared at this size, which is enough for one number
WINDOW = 7  # pixels
DEPTHS = (0.5, 100.0)  # median depth over median baseline: what is searched
CANDIDATES = 49  # a step of 12 %
TEXTURE = 0.01  # the least standard deviation in a window, of a range of 1
CONTRAST = 0.1  # how much better the best candidate must correlate than the worst
SHARPNESS = 1.6  # candidates nearly as good as the best lie within this factor
NEIGHBOURS = 2  # views on each side, in their order, that a view is compared with


def scale_from_points(
    depth: Float[Tensor, "*lead"], known: Float[Tensor, "*lead"], valid: Bool[Tensor, "*lead"]
) -> float:
    """The median of known / depth over valid pixels, of which a few are enough.

    Half of them may be wrong by any factor. NaN where there is none.
    """
    return float((known[valid].double() / depth[valid].double()).log().median().exp())


def scale_from_views(
    depth: Float[Tensor, "N H W"],
    valid: Bool[Tensor, "N H W"],
    image: Float[Tensor, "N H W 3"],
    intrinsics: Float[Tensor, "N 3 3"],
    cam_to_world: Float[Tensor, "N 4 4"],
) -> float | None:
    """The factor with which each view looks most like its neighbours seen through its depth.

    The cameras' baseline is what gives the unit. For each candidate, pixels go through the scaled
    depth into the views before and after, and windows around them are correlated (zero-mean,
    normalised). None where no factor stands out: one view, cameras in one place, no texture, or
    depth that is wrong.

    Args:
        image: RGB in [0, 1].
    """
    if len(depth) < 2 or not valid.any():
        return None
    baseline = _baseline(cam_to_world)
    middle = float(depth[valid].double().median())
    if baseline <= 0:
        return None
    low, high = (baseline * ratio / middle for ratio in DEPTHS)
    factors = torch.logspace(0, 1, CANDIDATES, base=high / low, dtype=torch.float32) * low
    views = _small(depth, valid, image, intrinsics, cam_to_world)
    scores = _scores(*views, factors)
    best = int(scores.argmax())
    if not _stands_out(scores, factors, best):
        return None
    fine = factors[best] * (factors[1] / factors[0]) ** torch.linspace(-1, 1, 17)
    return float(fine[_scores(*views, fine).argmax()])


def _baseline(cam_to_world: Float[Tensor, "N 4 4"]) -> float:
    """The median distance of neighbours."""
    centres = cam_to_world[:, :3, 3].double()
    return float((centres[1:] - centres[:-1]).norm(dim=-1).median())


def _stands_out(scores: Float[Tensor, " S"], factors: Float[Tensor, " S"], best: int) -> bool:
    contrast = float(scores[best] - scores.min())
    alike = factors[scores >= scores[best] - 0.2 * contrast]
    inside = 0 < best < len(factors) - 1
    return inside and contrast >= CONTRAST and float(alike.max() / alike.min()) <= SHARPNESS


def _small(
    depth: Float[Tensor, "N H W"],
    valid: Bool[Tensor, "N H W"],
    image: Float[Tensor, "N H W 3"],
    intrinsics: Float[Tensor, "N 3 3"],
    cam_to_world: Float[Tensor, "N 4 4"],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """All in float32 and grey, no side longer than LONGEST."""
    height, width = depth.shape[1:]
    shrink = min(1.0, LONGEST / max(height, width))
    size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    grey = image.float().mean(dim=-1)
    grey = interpolate(grey[:, None], size=size, mode="bilinear", antialias=True)[:, 0]
    depth, valid, _ = resample(depth.float(), valid, intrinsics.float(), size)
    intrinsics = scale_intrinsics(intrinsics.float(), size[1] / width, size[0] / height)
    return depth, valid, grey, intrinsics, cam_to_world.float()


def _scores(
    depth: Float[Tensor, "N H W"],
    valid: Bool[Tensor, "N H W"],
    grey: Float[Tensor, "N H W"],
    intrinsics: Float[Tensor, "N 3 3"],
    cam_to_world: Float[Tensor, "N 4 4"],
    factors: Float[Tensor, " S"],
) -> Float[Tensor, " S"]:
    """The mean correlation of each factor, over pixels with texture that both views see."""
    total, count = torch.zeros_like(factors), torch.zeros_like(factors)
    steps = range(1, min(NEIGHBOURS, len(depth) - 1) + 1)
    pairs = [(i, i + step) for step in steps for i in range(len(depth) - step)]
    for one, other in pairs + [pair[::-1] for pair in pairs]:
        pose = relative_pose(cam_to_world[other], cam_to_world[one])
        turn = intrinsics[other] @ pose[:3, :3] @ torch.linalg.inv(intrinsics[one])
        shift = intrinsics[other] @ pose[:3, 3]
        pixels = pixel_grid(*depth.shape[1:], like=depth)
        pixels = torch.cat([pixels, torch.ones_like(pixels[..., :1])], dim=-1)
        along = depth[one][..., None] * (pixels @ turn.T)
        points = factors[:, None, None, None] * along + shift  # (S, H, W, 3)
        found, seen = _look(grey[other], points)
        likeness, textured = _correlation(grey[one], found)
        counted = seen & textured & valid[one]
        total += (likeness * counted).sum(dim=(1, 2))
        count += counted.sum(dim=(1, 2))
    enough = count > 0.05 * len(pairs) * 2 * depth[0].numel()
    return torch.where(enough, total / count.clamp_min(1), 0.0)


def _look(
    grey: Float[Tensor, "H W"], points: Float[Tensor, "S H W 3"]
) -> tuple[Float[Tensor, "S H W"], Bool[Tensor, "S H W"]]:
    """What stands where `points`, in homogeneous pixels, fall; and which fall in the frame."""
    height, width = grey.shape
    z = points[..., 2]
    pixels = points[..., :2] / torch.where(z > 0, z, 1)[..., None]
    grid = 2 * pixels / pixels.new_tensor([width, height]) - 1
    seen = (z > 0) & (grid.abs() < 1).all(dim=-1)
    maps = grey.expand(len(points), 1, height, width)
    found = grid_sample(maps, grid.clamp(-2, 2), align_corners=False, padding_mode="border")
    return found[:, 0], seen


def _correlation(
    one: Float[Tensor, "H W"], others: Float[Tensor, "S H W"]
) -> tuple[Float[Tensor, "S H W"], Bool[Tensor, "S H W"]]:
    """Of the windows around each pixel, in [-1, 1]; and where `one` has any texture."""

    def mean(maps: Tensor) -> Tensor:
        return avg_pool2d(maps[:, None], WINDOW, 1, WINDOW // 2, count_include_pad=False)[:, 0]

    one = one[None]
    means = mean(one), mean(others)
    spread = (mean(one**2) - means[0] ** 2).clamp_min(0), (mean(others**2) - means[1] ** 2)
    together = mean(one * others) - means[0] * means[1]
    likeness = together / (spread[0] * spread[1].clamp_min(0) + 1e-12).sqrt()
    return likeness.clamp(-1, 1), (spread[0] > TEXTURE**2).expand_as(others)


STILL = 1e-4  # of a scene's extent; cameras closer than this have no distance to go by


def depth_scale(depth: Float[Tensor, " n"], target: Float[Tensor, " n"]) -> float:
    """The median ratio of known depths to these, of pixels valid in both."""
    return median(target.double() / depth.double())


def baseline_scale(cam_to_world: Float[Tensor, "N 4 4"], target: Float[Tensor, "N 4 4"]) -> float:
    """The median ratio of distances between known camera centres to these, over pairs of views."""
    if len(target) < 2:
        return math.nan
    first, second = torch.combinations(torch.arange(len(target))).unbind(dim=1)
    ours, known = (
        (poses[first, :3, 3] - poses[second, :3, 3]).double().norm(dim=-1)
        for poses in (cam_to_world, target)
    )
    moved = (ours > STILL * ours.max()) & (known > STILL * known.max())
    return median(known[moved] / ours[moved])
