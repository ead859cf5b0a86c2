"""A label store's geometry, looked up by scene and put in the frame of the views shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.camera import subsample
from spatialsv.geometry.normalise import normalise_scene
from spatialsv.scenes.scene import Scenes


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """The geometry of one sample of N views, in its first view's frame, divided by its scale."""

    depth: Float[Tensor, "N H W"]
    valid: Bool[Tensor, "N H W"]
    intrinsics: Float[Tensor, "N 3 3"]
    cam_to_world: Float[Tensor, "N 4 4"]
    features: Float[Tensor, "N h w C"] | None


class Targets:
    """The labels of `scenes`.

    Args:
        scenes: what the model is shown.
        labels: a label store with a row for each of them, in any order.
        stride: of the pixels that teach; 1 takes all.

    Raises:
        ValueError: scenes without labels, or labels of other views or another image shape.
    """

    def __init__(self, scenes: Scenes, labels: Scenes, stride: int = 1) -> None:
        rows = {name: row for row, name in enumerate(labels.ids)}
        if missing := [name for name in scenes.ids if name not in rows]:
            raise ValueError(
                f"{len(missing)} of {len(scenes)} scenes have no labels by {labels.source}, such as"
                f" {missing[0]!r}: pass the labels manifest of every scenes manifest"
            )
        seen, labelled = scenes.depth.shape[1:], labels.depth.shape[1:]
        if seen[0] != labelled[0] or seen[1] * labelled[2] != seen[2] * labelled[1]:
            raise ValueError(
                f"labels by {labels.source} are of (views, height, width) {labelled}, the scenes"
                f" of {seen}: they were made from other images; force the labels stage"
            )
        self.rows = [rows[name] for name in scenes.ids]
        self.views = seen[0]
        self.depth, self.valid, self.intrinsics = subsample(
            torch.from_numpy(labels.depth),
            torch.from_numpy(labels.valid),
            torch.from_numpy(labels.intrinsics),
            stride,
        )
        self.cam_to_world = torch.from_numpy(labels.cam_to_world)
        self.features = None if labels.features is None else torch.from_numpy(labels.features)

    def __call__(self, row: int, views: Sequence[int]) -> Target | None:
        """The target of these views of the scene at `row` of the scenes; None if nothing is valid.

        A label store's frame is that of all its views; a choice among them has its own.
        """
        row, chosen = self.rows[row], list(views)
        valid = self.valid[row, chosen]
        if not bool(valid.any()):
            return None
        depth, poses = self.depth[row, chosen], self.cam_to_world[row, chosen]
        intrinsics = self.intrinsics[row, chosen]
        if chosen != list(range(self.views)):
            depth, poses, _ = normalise_scene(depth, poses, intrinsics, valid)
        features = None if self.features is None else self.features[row, chosen].float()
        return Target(
            depth=depth,
            valid=valid,
            intrinsics=intrinsics,
            cam_to_world=poses,
            features=features,
        )
