"""`Scenes`: images with their geometry, stacked over scenes of one shape.

Scenes of several shapes are several such stacks: groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8

CAMERAS = ("intrinsics", "cam_to_world")
GEOMETRY = (*CAMERAS, "depth", "valid")  # all of it is known, or the cameras alone, or nothing


class Reason(IntEnum):
    """What a gate made of a pixel, the first that applies."""

    KEPT = 0
    INVALID = 1  # the teacher gave no depth
    UNSURE = 2  # confidence below the percentile
    UNSEEN = 3  # too few other views look there
    INCONSISTENT = 4  # other views look there and disagree


@dataclass(frozen=True, kw_only=True, eq=False)
class Scenes:
    """S scenes of N views, each view H x W pixels.

    Depth is z-depth in `unit`, 0 where unknown. Cameras look along +z with x right and y down
    (OpenCV); `cam_to_world` maps camera points to the scene's world. Intrinsics are for the image
    size delivered here, with pixel centres at half integers: the top-left pixel's centre is at
    (0.5, 0.5). Labels of a teacher are `Scenes` too: their world is the first view's camera, their
    lengths are divided by `scale`, and they need not repeat the image. Photos and videos whose
    geometry nobody knows have an image alone, posed ones their cameras as well. Where depth is
    known at a few points only (COLMAP), `valid` is true at their pixels only.

    Raises:
        ValueError: neither image nor depth, or only a part of the cameras or of the geometry.
    """

    ids: tuple[str, ...]
    intrinsics: Float[np.ndarray, "S N 3 3"] | None = None
    cam_to_world: Float[np.ndarray, "S N 4 4"] | None = None
    depth: Float[np.ndarray, "S N H W"] | None = None
    valid: Bool[np.ndarray, "S N H W"] | None = None
    image: UInt8[np.ndarray, "S N H W 3"] | None = None
    instance: Int[np.ndarray, "S N H W"] | None = None  # 0 = background, else the object's number
    confidence: Float[np.ndarray, "S N H W"] | None = None
    features: Float[np.ndarray, "S N h w C"] | None = None  # a teacher's final layer
    scale: Float[np.ndarray, " S"] | None = None  # what lengths were divided by; see store.py
    frame_ids: Shaped[np.ndarray, "S N"] | None = None  # text: each view's name at its source
    reason: UInt8[np.ndarray, "S N H W"] | None = None  # a gate's `Reason`
    unit: Literal["metre", "relative"] = "metre"
    source: str = "rooms"  # who made the geometry: a dataset, a teacher
    revision: str = ""  # of that dataset or teacher
    licence: str = "Apache-2.0"

    def __post_init__(self) -> None:
        lacking = [name for name in GEOMETRY if getattr(self, name) is None]
        known = set(GEOMETRY) - set(lacking)
        if known not in (set(), set(CAMERAS), set(GEOMETRY)) or (lacking and self.image is None):
            raise ValueError(f"scenes of {self.source} lack {', '.join(lacking)}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def has_cameras(self) -> bool:
        return self.cam_to_world is not None

    @property
    def has_geometry(self) -> bool:
        return self.depth is not None

    @property
    def provenance(self) -> dict[str, str]:
        """Of labels: who made them, and on what terms, as manifests say it."""
        return {"teacher": self.source, "revision": self.revision, "licence": self.licence}

    @property
    def shape(self) -> tuple[int, int, int]:
        """N, H and W: of the geometry, or of the images where there is none."""
        shown = self.image if self.depth is None else self.depth
        return tuple(shown.shape[1:4])

    def read(self, *names: str) -> Scenes:
        """With the images and maps of these names, or all, in memory: as they are, but for
        `StoredScenes`."""
        return self

    def select(self, index: slice | list[int] | np.ndarray) -> Scenes:
        """The scenes at `index`."""
        arrays = {
            field.name: value[index]
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray)
        }
        sliced = isinstance(index, slice)
        ids = self.ids[index] if sliced else tuple(np.asarray(self.ids)[index].tolist())
        return replace(self, ids=ids, **arrays)

    def __iter__(self) -> Iterator[Scenes]:
        """One scene at a time, each still a stack (of one)."""
        return (self.select(slice(i, i + 1)) for i in range(len(self)))


def as_frame_ids(names: Iterable[object]) -> Shaped[np.ndarray, "1 N"]:
    """The names of one scene's views at their source, as `Scenes.frame_ids` of a stack of one."""
    return np.array([[str(name) for name in names]], dtype=np.dtypes.StringDType())


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
    """One stack of all `parts`, which must be alike.

    Raises:
        ValueError: no parts, or parts whose shapes, units, sources or variables differ.
    """
    if not parts:
        raise ValueError("no scenes to stack: give at least one store")
    parts = [part.read() for part in parts]
    first = parts[0]
    for part in parts[1:]:
        if _kind(part) != _kind(first):
            raise ValueError(
                f"cannot stack {part.source} scenes of shape {part.shape} in {part.unit}"
                f" onto {first.source} scenes of shape {first.shape} in {first.unit}"
            )
    arrays = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(first)
        if isinstance(getattr(first, field.name), np.ndarray)
    }
    return replace(first, ids=tuple(i for part in parts for i in part.ids), **arrays)


def grouped(parts: Iterable[Scenes]) -> list[Scenes]:
    """`parts` in as few groups as their shapes allow, in the order in which these come up."""
    found: dict[tuple, list[Scenes]] = {}
    for part in parts:
        found.setdefault(_kind(part), []).append(part)
    return [stack(alike) for alike in found.values()]


def bare_ones(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Ones in the place of values that nobody looks at: they take no memory."""
    return np.lib.stride_tricks.as_strided(np.ones(1, dtype), shape, (0,) * len(shape))


def _kind(scenes: Scenes) -> tuple:
    """What scenes must share to stand in one stack."""
    shapes = {
        field.name: value.shape[1:]
        for field in fields(scenes)
        if isinstance(value := getattr(scenes, field.name), np.ndarray)
    }
    return scenes.unit, scenes.source, scenes.revision, scenes.licence, *shapes.items()
