"""`Scenes`: images with cameras and geometry, stacked over scenes of equal shape, in memory.

Shapes: S scenes, N views, H W pixels, h w patches of a teacher, C its feature channels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, TypeVar, overload

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8

Unit = Literal["metre", "relative"]
S = TypeVar("S", bound="SceneSet")
Rows = slice | list[int] | np.ndarray

CAMERAS = ("intrinsics", "cam_to_world")
DEPTH = ("depth", "valid")  # always present together, and only with cameras
GEOMETRY = (*CAMERAS, *DEPTH)
ATTRIBUTES = ("unit", "source", "revision", "licence")  # shared by all scenes of a stack
VARIABLES = (  # in the order in which a digest of the content reads them
    *GEOMETRY,
    *("image", "instance", "confidence", "features", "scale", "frame_ids", "reason"),
)


class GateReason(IntEnum):
    """Why a gate keeps or drops a pixel; the first reason that applies."""

    KEPT = 0
    INVALID = 1  # the teacher gives no depth
    UNSURE = 2  # the confidence is below the percentile
    UNSEEN = 3  # too few other views see the point
    INCONSISTENT = 4  # other views see the point and disagree


@dataclass(frozen=True, kw_only=True, eq=False)
class Cameras:
    """Pinhole cameras that look along +z, with x right and y down (OpenCV).

    Intrinsics are for the stored image size. Pixel centres are at half integers: the centre of the
    top-left pixel is at (0.5, 0.5). `cam_to_world` maps camera points to the scene's world.
    """

    intrinsics: Float[np.ndarray, "S N 3 3"]
    cam_to_world: Float[np.ndarray, "S N 4 4"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Geometry:
    """Cameras and z-depth; the optional variables exist in labels only."""

    cameras: Cameras
    depth: Float[np.ndarray, "S N H W"]  # in the scenes' unit, 0 where unknown
    valid: Bool[np.ndarray, "S N H W"]  # of sparse depth (COLMAP): true at its points only
    confidence: Float[np.ndarray, "S N H W"] | None = None
    features: Float[np.ndarray, "S N h w C"] | None = None  # the teacher's final layer
    scale: Float[np.ndarray, " S"] | None = None  # divisor of lengths: in metres, or see `unit`
    reason: UInt8[np.ndarray, "S N H W"] | None = None  # `GateReason` values


class SceneSet(ABC):
    """Scenes of equal shape: in memory (`Scenes`), or still in their store (`SceneRef`)."""

    def __init__(
        self, ids: tuple[str, ...], unit: Unit, source: str, revision: str, licence: str
    ) -> None:
        self.ids, self.unit, self.source = ids, unit, source
        self.revision, self.licence = revision, licence

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self: S) -> Iterator[S]:
        """Iterate over single scenes, each a stack of one."""
        return (self.select(slice(i, i + 1)) for i in range(len(self)))

    def __repr__(self) -> str:
        names = ", ".join(name for name in VARIABLES if self.has(name))
        return f"<{type(self).__name__} {describe_ids(self.ids)} of {self.source}: {names}>"

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """N, H and W of the geometry, or of the images where there is none."""

    @abstractmethod
    def has(self, name: str) -> bool:
        """Return whether the scenes have a variable, whether it is loaded or not."""

    @abstractmethod
    def select(self: S, rows: Rows) -> S:
        """Return the scenes at `rows`."""

    @abstractmethod
    def load(self, *variables: str) -> Scenes:
        """Return the scenes with `variables` (default: all) in memory.

        Cameras always come along, and `depth` and `valid` come together.
        """

    @property
    def has_cameras(self) -> bool:
        """Whether the scenes have cameras."""
        return self.has("cam_to_world")

    @property
    def has_geometry(self) -> bool:
        """Whether the scenes have cameras and depth."""
        return self.has("depth")

    @property
    def has_image(self) -> bool:
        """Whether the scenes have images."""
        return self.has("image")

    @property
    def provenance(self) -> dict[str, str]:
        """Maker and terms of labels, in the form that manifests record."""
        return {"teacher": self.source, "revision": self.revision, "licence": self.licence}

    def check_complete(self) -> None:
        """Raise a ValueError if images and geometry are missing, or a part of the geometry is."""
        lacking = [name for name in GEOMETRY if not self.has(name)]
        if lacking not in ([], list(DEPTH), list(GEOMETRY)) or (lacking and not self.has_image):
            raise ValueError(f"Scenes of {self.source} lack {', '.join(lacking)}.")


class _Variable:
    """A loaded array of `Scenes`; reading one that is not there is an error that names it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, scenes: None, owner: type) -> _Variable: ...
    @overload
    def __get__(self, scenes: Scenes, owner: type) -> np.ndarray: ...
    def __get__(self, scenes: Scenes | None, owner: type) -> _Variable | np.ndarray:
        if scenes is None:
            return self
        if (array := scenes.get(self._name)) is None:
            raise ValueError(
                f"{self._name}: {describe_ids(scenes.ids)} of {scenes.source} have none."
            )
        return array


class Scenes(SceneSet):
    """S scenes of N views, each view H x W pixels, with all their arrays in memory.

    Labels of a teacher are `Scenes` too: their world is the first view's camera, their lengths are
    divided by `scale`, and they need no image. Photos have an image only; posed ones also cameras.

    Args:
        ids: names of the scenes.
        cameras: of posed images without `geometry`, which has them too.
        geometry: cameras and depth.
        image: sRGB, 0 to 255.
        instance: 0 = background, else the object's number in its scene.
        frame_ids: the name of each view at its source; see `as_frame_ids`.
        unit: unit of lengths.
        source: the dataset or teacher that made the geometry.
        revision: of that dataset or teacher.
        licence: SPDX identifier, or the name of the terms.

    Raises:
        ValueError: image and geometry are both missing, or arrays differ in scenes or views.
    """

    intrinsics = _Variable()  # float (S, N, 3, 3), see `Cameras`
    cam_to_world = _Variable()  # float (S, N, 4, 4)
    depth = _Variable()  # float (S, N, H, W), see `Geometry`
    valid = _Variable()  # bool (S, N, H, W)
    image = _Variable()  # uint8 (S, N, H, W, 3)
    instance = _Variable()  # int (S, N, H, W)
    confidence = _Variable()  # float (S, N, H, W)
    features = _Variable()  # float (S, N, h, w, C)
    scale = _Variable()  # float (S,)
    frame_ids = _Variable()  # text (S, N)
    reason = _Variable()  # uint8 (S, N, H, W)

    def __init__(
        self,
        *,
        ids: tuple[str, ...],
        cameras: Cameras | None = None,
        geometry: Geometry | None = None,
        image: UInt8[np.ndarray, "S N H W 3"] | None = None,
        instance: Int[np.ndarray, "S N H W"] | None = None,
        frame_ids: Shaped[np.ndarray, "S N"] | None = None,
        unit: Unit = "metre",
        source: str = "rooms",
        revision: str = "",
        licence: str = "Apache-2.0",
    ) -> None:
        arrays: dict[str, Any] = {"image": image, "instance": instance, "frame_ids": frame_ids}
        if geometry is not None:
            if cameras is not None:
                raise ValueError("cameras: given twice, since geometry has them.")
            cameras = geometry.cameras
            arrays |= vars(geometry)
        if cameras is not None:
            arrays |= vars(cameras)
        super().__init__(ids, unit, source, revision, licence)
        self._set(arrays)

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, np.ndarray | None],
        *,
        not_loaded: Collection[str] = (),
        shape: tuple[int, int, int] | None = None,
        **attributes: Any,
    ) -> Scenes:
        """Return scenes of arrays by name; `not_loaded` names those that remain in the store."""
        scenes = cls.__new__(cls)
        SceneSet.__init__(scenes, **attributes)
        scenes._set(arrays, not_loaded, shape)
        return scenes

    def _set(
        self,
        arrays: Mapping[str, np.ndarray | None],
        not_loaded: Collection[str] = (),
        shape: tuple[int, int, int] | None = None,
    ) -> None:
        self._arrays = {n: array for n in VARIABLES if (array := arrays.get(n)) is not None}
        self._not_loaded = frozenset(not_loaded) - self._arrays.keys()
        self.check_complete()
        full = self._arrays.get("depth", self._arrays.get("image"))
        if full is not None:
            views, height, width = full.shape[1:4]
            shape = views, height, width
        if shape is None:
            raise ValueError("shape: required if depth and image are not loaded.")
        self._shape = shape
        for name, array in self._arrays.items():
            expected = (len(self), *self.shape[:1])[: array.ndim]
            if array.shape[:2][: len(expected)] != expected:
                raise ValueError(
                    f"{name} of {self.source}: expected {expected} scenes and views, found an"
                    f" array of shape {array.shape}."
                )

    @property
    def shape(self) -> tuple[int, int, int]:
        """N, H and W of the geometry, or of the images where there is none."""
        return self._shape

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """All loaded arrays by name, in the order of VARIABLES."""
        return self._arrays

    @property
    def cameras(self) -> Cameras | None:
        """The cameras; None where the scenes have none."""
        if not self.has_cameras:
            return None
        return Cameras(intrinsics=self.intrinsics, cam_to_world=self.cam_to_world)

    @property
    def geometry(self) -> Geometry | None:
        """Cameras, depth and all other geometry; None where the scenes have none."""
        if (cameras := self.cameras) is None or not self.has_geometry:
            return None
        return Geometry(
            cameras=cameras,
            depth=self.depth,
            valid=self.valid,
            confidence=self.get("confidence"),
            features=self.get("features"),
            scale=self.get("scale"),
            reason=self.get("reason"),
        )

    def has(self, name: str) -> bool:
        """Return whether the scenes have a variable, whether it is loaded or not."""
        return name in self._arrays or name in self._not_loaded

    def get(self, name: str) -> np.ndarray | None:
        """Return a variable, or None if the scenes have none; one not loaded is a ValueError."""
        if name in self._not_loaded:
            raise ValueError(
                f"{name} of {describe_ids(self.ids)} of {self.source} was not loaded."
                f" Load it: SceneRef.load({name!r})."
            )
        return self._arrays.get(name)

    def load(self, *variables: str) -> Scenes:
        """Return these scenes, which are in memory already."""
        return self

    def select(self, rows: Rows) -> Scenes:
        """Return the scenes at `rows`."""
        arrays = {name: array[rows] for name, array in self._arrays.items()}
        return self.replace(ids=select_ids(self.ids, rows), **arrays)

    def replace(self, **changes: Any) -> Scenes:
        """Return a copy with other VARIABLES (None removes one), ATTRIBUTES or `ids`."""
        if unknown := changes.keys() - {"ids", *ATTRIBUTES, *VARIABLES}:
            raise TypeError(f"Scenes have no {', '.join(sorted(unknown))}.")
        header = {n: changes.get(n, getattr(self, n)) for n in ("ids", *ATTRIBUTES)}
        return Scenes.from_arrays(
            {n: changes.get(n, self._arrays.get(n)) for n in VARIABLES},
            not_loaded=self._not_loaded - changes.keys(),
            shape=self._shape,
            **header,
        )


def select_ids(ids: tuple[str, ...], rows: Rows) -> tuple[str, ...]:
    """Return the ids at `rows`."""
    return ids[rows] if isinstance(rows, slice) else tuple(np.asarray(ids)[rows].tolist())


def describe_ids(ids: Sequence[str]) -> str:
    """Return a short description of scenes for messages."""
    if not ids:
        return "no scenes"
    if len(ids) == 1:
        return f"scene {ids[0]!r}"
    return f"the {len(ids)} scenes {ids[0]!r} to {ids[-1]!r}"


def as_frame_ids(names: Iterable[object]) -> Shaped[np.ndarray, "1 N"]:
    """Return the names of one scene's views as `Scenes.frame_ids` of a stack of one."""
    return np.array([[str(name) for name in names]], dtype=np.dtypes.StringDType())


def find_invalid_value(scenes: Scenes) -> str | None:
    """Describe the first loaded value that is not finite (or positive, of depth); None: no such."""
    for name in (*CAMERAS, "features", "scale", "depth"):
        if (values := scenes.arrays.get(name)) is None:
            continue
        wrong = ~np.isfinite(values)
        if name == "depth":
            wrong = scenes.valid & (wrong | (values <= 0))
        if wrong.any():
            first = tuple(int(i) for i in np.argwhere(wrong)[0])
            view = f", view {first[1]}" if len(first) > 1 else ""
            return f"{name} of scene {scenes.ids[first[0]]!r}{view} is {values[first]}"
    return None
