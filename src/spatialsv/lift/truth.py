"""Exact geometry at the heads' size, in the frame and unit that the heads were taught.

Shapes: S scenes, N views, H W the heads' output pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.camera import subsample
from spatialsv.geometry.normalise import normalise_scene
from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.manifest import read_manifest
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import read_store


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
    """The geometry that `scenes` carry, at the pixels that heads of this output size stand for.

    Raises:
        ValueError: images whose size is not a multiple of `size`, equal along both axes.
    """
    height, width = scenes.depth.shape[-2:]
    factor = height // size[0]
    if (height, width) != (factor * size[0], factor * size[1]):
        raise ValueError(
            f"images of {height} x {width} pixels cannot be compared with heads of {size[0]} x"
            f" {size[1]}: set train.heads.output_size to an even share of the image"
        )
    depth, poses, K = (
        torch.from_numpy(array).double()
        for array in (scenes.depth, scenes.cam_to_world, scenes.intrinsics)
    )
    depth, poses, _ = normalise_scene(depth, poses, K, torch.from_numpy(scenes.valid))
    depth, valid, K = subsample(depth, torch.from_numpy(scenes.valid), K, factor)
    points = point_map(depth, ray_map(K, poses, *size))
    return Truth(depth=depth, valid=valid, points=points, cam_to_world=poses, intrinsics=K)


def mean_depth(paths: Sequence[Path], size: tuple[int, int]) -> Float[Tensor, "N H W"]:
    """The baseline that looks at nothing: each view's and pixel's mean depth over these scenes.

    A pixel that is never valid gets the mean of all.

    Args:
        paths: manifests of the training scenes.
    """
    total, count = torch.zeros(()), torch.zeros(())
    for path in paths:
        truth = truth_of(read_store(read_manifest(path).find(".zarr"), []), size)
        total = total + truth.depth.where(truth.valid, 0).sum(dim=0)
        count = count + truth.valid.sum(dim=0)
    return torch.where(count > 0, total / count.clamp_min(1), total.sum() / count.sum())
