"""Known geometry at the heads' size, in the frame and unit that the heads were taught.

Shapes: S scenes, N views, H W the heads' output pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from spatialsv.geometry.camera import resample
from spatialsv.geometry.maps import normalise_scene
from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.io.manifest import read_manifest
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import read_groups


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """First view's frame, lengths divided by the mean distance of points to it."""

    depth: Float[Tensor, "S N H W"]
    valid: Bool[Tensor, "S N H W"]
    points: Float[Tensor, "S N H W 3"]
    cam_to_world: Float[Tensor, "S N 4 4"]
    intrinsics: Float[Tensor, "S N 3 3"]

    def rows(self, rows: slice) -> Truth:
        return Truth(**{name: value[rows] for name, value in vars(self).items()})


def truth_of(scenes: Scenes, size: tuple[int, int]) -> Truth:
    """The geometry that `scenes` carry, at the pixels that heads of this output size stand for."""
    depth, poses, K = (
        torch.from_numpy(array).double()
        for array in (scenes.depth, scenes.cam_to_world, scenes.intrinsics)
    )
    depth, poses, _ = normalise_scene(depth, poses, K, torch.from_numpy(scenes.valid))
    depth, valid, K = resample(depth, torch.from_numpy(scenes.valid), K, size)
    points = point_map(depth, ray_map(K, poses, *size))
    return Truth(depth=depth, valid=valid, points=points, cam_to_world=poses, intrinsics=K)


def mean_depth(paths: Sequence[Path], size: tuple[int, int]) -> Float[Tensor, "N H W"]:
    """The baseline that looks at nothing: each view's and pixel's mean depth over these scenes.

    A pixel that is never valid gets the mean of all. N is that of the scenes with most views.

    Args:
        paths: manifests of the training scenes, or of their labels.
    """
    total, count = torch.zeros(0, *size).double(), torch.zeros(0, *size).long()
    for path in paths:
        for group in read_groups(read_manifest(path).find(".zarr"), []):
            truth = truth_of(group, size)
            views = max(len(total), group.shape[0])
            seen = truth.depth.where(truth.valid, 0).sum(dim=0)
            total = of_views(total, views) + of_views(seen, views)
            count = of_views(count, views) + of_views(truth.valid.sum(dim=0), views)
    return torch.where(count > 0, total / count.clamp_min(1), total.sum() / count.sum())


def of_views(maps: Float[Tensor, "M H W"] | Int[Tensor, "M H W"], views: int, beyond: float = 0):
    """The maps of the first `views` views; those that there are not are all `beyond`."""
    return pad(maps, (0, 0, 0, 0, 0, views - len(maps)), value=beyond)
