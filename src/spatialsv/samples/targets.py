"""Geometry targets: labels of the selected views of a scene, in the first view's frame."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.camera import resample, subsample
from spatialsv.geometry.maps import normalise_scene
from spatialsv.io.digests import digest_bytes
from spatialsv.samples.crop import (
    Crop,
    crop_depth,
    crop_features,
    crop_nearest,
    crop_transform,
)
from spatialsv.scenes.scene import DEPTH, GateReason, SceneSet
from spatialsv.scenes.scene_list import SceneList, check_labelled


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """Geometry of one sample of N views, in its first view's frame, divided by its scale."""

    depth: Float[Tensor, "N H W"]
    valid: Bool[Tensor, "N H W"]
    intrinsics: Float[Tensor, "N 3 3"]
    cam_to_world: Float[Tensor, "N 4 4"]
    features: Float[Tensor, "N h w C"] | None = None
    confidence: Float[Tensor, "N H W"] | None = None  # the teacher's
    border: Bool[Tensor, "N h w"] | None = None  # patches of the features that show no image


class Targets:
    """Targets of scenes from their labels.

    Args:
        scenes: single scenes that the model is shown.
        labels: groups of labels, with one for each of the scenes, in any order.
        stride: in pixels; 1 takes all pixels.
        size: height and width that the labels are then resampled to; None keeps theirs.
        gated: False includes the pixels that a gate dropped from pseudo labels.
        features: include the teacher's features, where the labels have them.
        confidence: include the teacher's confidence.
        unlabelled: ids of scenes whose labels are ignored.
        shuffle: give each scene the labels of another one; the same one in each run.

    Raises:
        ValueError: scenes without labels, or labels of other views or another aspect ratio.
    """

    def __init__(
        self,
        scenes: SceneList[SceneSet],
        labels: Iterable[SceneSet],
        *,
        stride: int = 1,
        size: tuple[int, int] | None = None,
        gated: bool = True,
        features: bool = True,
        confidence: bool = False,
        unlabelled: Collection[str] = (),
        shuffle: bool = False,
    ) -> None:
        self.ids = scenes.ids
        self._labels = SceneList(labels)
        self._rows = {name: row for row, name in enumerate(self._labels.ids)}
        self._stride, self._size, self._gated, self._unlabelled = stride, size, gated, unlabelled
        self._variables = (*DEPTH, *(("features",) if features else ()))
        if not gated:
            self._variables += ("reason",)
        if confidence:
            self._variables += ("confidence",)
        source = self._labels.group(0).source if self._labels else None
        check_labelled(self.ids, self._rows, source)
        for row, name in enumerate(self.ids):
            label = self._labels.group(self._rows[name])
            expected, found = scenes.group(row).shape, label.shape
            if expected[0] != found[0] or expected[1] * found[2] != expected[2] * found[1]:
                raise ValueError(
                    f"Labels by {label.source} have (views, height, width) {found}, the scenes"
                    f" {expected}: they were made from other images. Force the labels stage."
                )
        if shuffle:
            self._rows = _exchange(self._rows, self._labels)

    def __call__(
        self, row: int, views: Sequence[int], crops: Sequence[Crop] | None = None
    ) -> Target | None:
        """Return the target of some views of one scene.

        The frame of stored labels is that of all views; a subset of the views gets its own frame.

        Args:
            row: the scene's row in the list of scenes.
            views: numbers of the views.
            crops: of each of these views; None for full images.

        Returns:
            The target; None where no pixel is valid.
        """
        if self.ids[row] in self._unlabelled:
            return None
        label = self._labels[self._rows[self.ids[row]]].load(*self._variables)
        chosen = list(views)
        if not self._gated and label.has("reason"):
            label = label.replace(valid=label.reason != GateReason.INVALID)
        found = {name: label.get(name) for name in (*self._variables, "intrinsics", "cam_to_world")}
        arrays = {n: torch.from_numpy(a[0, chosen]) for n, a in found.items() if a is not None}
        poses = arrays["cam_to_world"]
        if crops is not None:
            arrays |= _crop(arrays, crops)
        cameras = arrays["valid"], arrays["intrinsics"]
        depth, valid, intrinsics = self._maps(arrays["depth"], *cameras)
        if not bool(valid.any()):
            return None
        if crops is not None or chosen != list(range(label.shape[0])):
            depth, poses, _ = normalise_scene(depth, poses, intrinsics, valid)
        features, confidence = arrays.get("features"), arrays.get("confidence")
        return Target(
            depth=depth,
            valid=valid,
            intrinsics=intrinsics,
            cam_to_world=poses,
            features=None if features is None else features.float(),
            confidence=None if confidence is None else self._maps(confidence.float(), *cameras)[0],
            border=arrays.get("border"),
        )

    def _maps(
        self, values: Tensor, valid: Tensor, intrinsics: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return values, valid and intrinsics, (N, H, W) twice and (N, 3, 3), at the label size."""
        values, valid, intrinsics = subsample(values, valid, intrinsics, self._stride)
        if self._size is None:
            return values, valid, intrinsics
        return resample(values, valid, intrinsics, self._size)


def _crop(arrays: dict[str, Tensor], crops: Sequence[Crop]) -> dict[str, Tensor]:
    """Return the arrays of N views that a crop of each of them changes, and the border."""
    height, width = arrays["depth"].shape[1:]
    transforms = [crop_transform(crop, height, width) for crop in crops]
    views = range(len(crops))
    depth = [crop_depth(arrays["depth"][i], arrays["valid"][i], transforms[i]) for i in views]
    cropped = {name: torch.stack([pair[i] for pair in depth]) for i, name in enumerate(DEPTH)}
    matrices = torch.stack(transforms).to(arrays["intrinsics"].dtype)
    cropped["intrinsics"] = matrices @ arrays["intrinsics"]
    if "confidence" in arrays:
        maps = [crop_nearest(arrays["confidence"][i], transforms[i]) for i in views]
        cropped["confidence"] = torch.stack(maps)
    if "features" in arrays:
        parts = [crop_features(arrays["features"][i], crops[i]) for i in views]
        cropped["features"], shown = (torch.stack(part) for part in zip(*parts, strict=True))
        cropped["border"] = ~shown
    return cropped


def _exchange(rows: dict[str, int], labels: SceneList[SceneSet]) -> dict[str, int]:
    """Return the row of another scene of the same shape for each id.

    Raises:
        ValueError: a scene is the only one of its shape.
    """
    by_shape: dict[tuple[int, ...], list[str]] = {}
    for name in sorted(rows, key=lambda name: digest_bytes(name.encode())):
        by_shape.setdefault(labels.group(rows[name]).shape, []).append(name)
    if single := next((names[0] for names in by_shape.values() if len(names) == 1), None):
        raise ValueError(
            f"shuffle_labels: no other scene has as many views of the same size as {single!r}."
        )
    return {
        name: rows[other]
        for names in by_shape.values()
        for name, other in zip(names, [*names[1:], names[0]], strict=True)
    }
