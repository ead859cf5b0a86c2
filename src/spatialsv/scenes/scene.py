"""`Scenes`: images with their geometry, stacked over scenes of one shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8


@dataclass(frozen=True, kw_only=True, eq=False)
class Scenes:
    """S scenes of N views, each view H x W pixels.

    Depth is z-depth in `unit`, 0 where unknown. Cameras look along +z with x right and y down
    (OpenCV); `cam_to_world` maps camera points to the scene's world. Intrinsics are for the image
    size delivered here, with pixel centres at half integers: the top-left pixel's centre is at
    (0.5, 0.5). Labels of a teacher are `Scenes` too: their world is the first view's camera, their
    lengths are divided by `scale`, and they need not repeat the image.
    """

    ids: tuple[str, ...]
    intrinsics: Float[np.ndarray, "S N 3 3"]
    cam_to_world: Float[np.ndarray, "S N 4 4"]
    depth: Float[np.ndarray, "S N H W"]
    valid: Bool[np.ndarray, "S N H W"]
    image: UInt8[np.ndarray, "S N H W 3"] | None = None
    instance: Int[np.ndarray, "S N H W"] | None = None  # 0 = background, else the object's number
    confidence: Float[np.ndarray, "S N H W"] | None = None
    features: Float[np.ndarray, "S N h w C"] | None = None  # a teacher's final layer
    scale: Float[np.ndarray, " S"] | None = None  # metres a unit, where lengths were divided
    unit: Literal["metre", "relative"] = "metre"
    source: str = "rooms"  # who made the geometry: a dataset, a teacher
    licence: str = "Apache-2.0"

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, index: slice | list[int] | np.ndarray) -> Scenes:
        """The scenes at `index`."""
        arrays = {
            field.name: value[index]
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray)
        }
        ids = tuple(np.asarray(self.ids)[index].tolist())
        return replace(self, ids=ids, **arrays)

    def __iter__(self) -> Iterator[Scenes]:
        """One scene at a time, each still a stack (of one)."""
        return (self.select(slice(i, i + 1)) for i in range(len(self)))


def fault(scenes: Scenes) -> str | None:
    """The first value that cannot be right, with its scene and view; None where all can.

    Cameras, features and scales must be finite, and so must depths that may be used; those must be
    positive as well.
    """
    for name in ("intrinsics", "cam_to_world", "features", "scale", "depth"):
        values = getattr(scenes, name)
        if values is None:
            continue
        wrong = ~np.isfinite(values)
        if name == "depth":
            wrong = scenes.valid & (wrong | (values <= 0))
        if wrong.any():
            first = tuple(int(i) for i in np.argwhere(wrong)[0])
            view = f", view {first[1]}" if len(first) > 1 else ""
            return f"{name} of scene {scenes.ids[first[0]]!r}{view} holds {values[first]}"
    return None


def stack(parts: list[Scenes]) -> Scenes:
    """One stack of all `parts`, which must agree in shape, unit and source.

    Raises:
        ValueError: no parts, or parts whose shapes, units or sources differ.
    """
    if not parts:
        raise ValueError("no scenes to stack: give at least one store")
    first = parts[0]
    for part in parts[1:]:
        same = (part.unit, part.source, part.depth.shape[1:])
        if same != (first.unit, first.source, first.depth.shape[1:]):
            raise ValueError(
                f"cannot stack {part.source} scenes of shape {part.depth.shape[1:]} in {part.unit}"
                f" onto {first.source} scenes of shape {first.depth.shape[1:]} in {first.unit}"
            )
    arrays = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(first)
        if isinstance(getattr(first, field.name), np.ndarray)
    }
    return replace(first, ids=tuple(i for part in parts for i in part.ids), **arrays)
