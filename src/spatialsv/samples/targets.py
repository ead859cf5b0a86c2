"""A label store's geometry, looked up by scene and put in the frame of the views shown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.camera import resample, subsample
from spatialsv.geometry.maps import normalise_scene
from spatialsv.scenes.scene import Reason, Scenes
from spatialsv.scenes.singly import ById, labels_of


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
        scenes: what the model is shown, each by itself.
        labels: a stack or groups of labels with one for each of them, in any order.
        stride: of the pixels that teach; 1 takes all.
        size: height and width that the labels are then brought to; None leaves them as they are.
        gated: False teaches what a gate dropped of pseudo labels as well.
        untaught: scenes that teach nothing, though they have labels.

    Raises:
        ValueError: scenes without labels, or labels of other views or another image shape.
    """

    def __init__(
        self,
        scenes: Sequence[Scenes],
        labels: Iterable[Scenes],
        stride: int = 1,
        size: tuple[int, int] | None = None,
        gated: bool = True,
        untaught: Collection[str] = (),
    ) -> None:
        self.labels = ById(labels)
        self.ids = [one.ids[0] for one in scenes]
        self.stride, self.size = stride, size
        self.gated, self.untaught = gated, untaught
        for one, label in zip(scenes, labels_of(self.ids, self.labels), strict=True):
            seen, labelled = one.shape, label.shape
            if seen[0] != labelled[0] or seen[1] * labelled[2] != seen[2] * labelled[1]:
                raise ValueError(
                    f"labels by {label.source} are of (views, height, width) {labelled}, the scenes"
                    f" of {seen}: they were made from other images; force the labels stage"
                )

    def __call__(self, row: int, views: Sequence[int]) -> Target | None:
        """The target of these views of the scene at `row` of the scenes; None if nothing is valid.

        A label store's frame is that of all its views; a choice among them has its own.
        """
        if self.ids[row] in self.untaught:
            return None
        label, chosen = self.labels[self.ids[row]].read(), list(views)
        if label.reason is not None and not self.gated:
            label = replace(label, valid=label.reason != Reason.INVALID)
        depth, valid, intrinsics = self._maps(label, chosen)
        if not bool(valid.any()):
            return None
        poses = torch.from_numpy(label.cam_to_world[0, chosen])
        if chosen != list(range(label.shape[0])):
            depth, poses, _ = normalise_scene(depth, poses, intrinsics, valid)
        features = label.features
        return Target(
            depth=depth,
            valid=valid,
            intrinsics=intrinsics,
            cam_to_world=poses,
            features=None if features is None else torch.from_numpy(features[0, chosen]).float(),
        )

    def _maps(self, label: Scenes, views: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Depth, valid and intrinsics, (N, H, W) twice and (N, 3, 3), of the pixels that teach."""
        arrays = (label.depth, label.valid, label.intrinsics)
        maps = tuple(torch.from_numpy(array[0, views]) for array in arrays)
        maps = subsample(*maps, self.stride)
        return maps if self.size is None else resample(*maps, self.size)
