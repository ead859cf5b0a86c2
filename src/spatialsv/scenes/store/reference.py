"""`SceneRef`: scenes in a store whose images and maps are read on demand, scene by scene."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import zarr

from spatialsv.scenes.scene import (
    ATTRIBUTES,
    CAMERAS,
    DEPTH,
    VARIABLES,
    Cameras,
    Rows,
    Scenes,
    SceneSet,
    describe_ids,
    select_ids,
)
from spatialsv.scenes.store.chunks import REMEDY, Chunks
from spatialsv.scenes.store.completeness import (
    ROOT,
    group_prefixes,
    listed_files,
    open_array,
    open_complete,
    read_ids,
)
from spatialsv.scenes.store.encoding import DIMS, SMALL

T = TypeVar("T")


class SceneRef(SceneSet):
    """The scenes of one shape in a store: ids, shape and cameras in memory, the rest on disk.

    It takes little memory and can be pickled for another process.

    Args:
        ids: names of the scenes.
        small: variables in memory: cameras, scales, frame names.
        chunks: readers of all other variables.
        rows: the rows of these scenes in the store's group.
        attributes: ATTRIBUTES of the group.

    Raises:
        ValueError: the store lacks a part of the cameras or of the geometry.
    """

    def __init__(
        self,
        *,
        ids: tuple[str, ...],
        small: Mapping[str, np.ndarray],
        chunks: Mapping[str, Chunks],
        rows: np.ndarray,
        **attributes: Any,
    ) -> None:
        super().__init__(ids, **attributes)
        self.small, self.chunks, self.rows = small, chunks, rows
        self.check_complete()

    @property
    def shape(self) -> tuple[int, int, int]:
        """N, H and W of the geometry, or of the images where there is none."""
        views, height, width = self.variable_shape("depth" if self.has("depth") else "image")[:3]
        return views, height, width

    def variable_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of one scene's array."""
        return self.chunks[name].shape[1:]

    def has(self, name: str) -> bool:
        """Return whether the store has a variable."""
        return name in self.chunks or name in self.small

    @property
    def cameras(self) -> Cameras | None:
        """The cameras; None where the scenes have none."""
        return Cameras(**{n: self.small[n] for n in CAMERAS}) if self.has_cameras else None

    def select(self, rows: Rows) -> SceneRef:
        """Return a reference to the scenes at `rows`."""
        return SceneRef(
            ids=select_ids(self.ids, rows),
            small={name: array[rows] for name, array in self.small.items()},
            chunks=self.chunks,
            rows=self.rows[rows],
            **{name: getattr(self, name) for name in ATTRIBUTES},
        )

    def load(self, *variables: str) -> Scenes:
        """Return the scenes with `variables` (default: all) in memory.

        Args:
            variables: of VARIABLES; those that the store lacks are skipped. Cameras always come
                along, and `depth` and `valid` come together.

        Returns:
            The loaded scenes.

        Raises:
            ValueError: an unknown variable, or the store was deleted or replaced since it was
                opened.
        """
        return self._load(variables or VARIABLES)

    def _load(self, variables: Collection[str]) -> Scenes:
        if unknown := set(variables) - set(VARIABLES):
            raise ValueError(
                f"{sorted(unknown)[0]}: unknown variable. Known are {', '.join(VARIABLES)}."
            )
        wanted = {*CAMERAS, *variables, *(DEPTH if {*DEPTH} & {*variables} else ())}
        arrays = {name: array for name, array in self.small.items() if name in wanted}
        for name in self.chunks.keys() & wanted:
            arrays[name] = self.chunks[name].scenes(self.rows)
        return Scenes.from_arrays(
            arrays,
            not_loaded=(self.chunks.keys() | self.small.keys()) - arrays.keys(),
            shape=self.shape,
            ids=self.ids,
            **{name: getattr(self, name) for name in ATTRIBUTES},
        )


def open_store(path: Path) -> list[SceneRef]:
    """Open a store and check that it is complete, without reading images and maps.

    Args:
        path: the store's folder.

    Returns:
        One reference for the scenes of each shape.

    Raises:
        ValueError: `path` is missing, is not a store of scenes, or is incomplete.
    """

    def open_store() -> list[SceneRef]:
        root = open_complete(path)
        return [_open_group(path, root, prefix) for prefix in group_prefixes(root)]

    return _retry_if_replaced(path, open_store)


def load_store(path: Path, variables: Iterable[str] | None = None) -> Scenes:
    """Load the scenes of a store that holds one shape.

    Args:
        path: the store's folder.
        variables: see `SceneRef.load`; None loads all.

    Returns:
        The scenes.

    Raises:
        ValueError: as `open_store`, or the store holds scenes of several shapes.
    """
    groups = load_groups(path, variables)
    if len(groups) > 1:
        shapes = sorted(scenes.shape for scenes in groups)
        raise ValueError(
            f"{path}: expected scenes of one shape, found (views, height, width) {shapes}."
        )
    return groups[0]


def load_groups(path: Path, variables: Iterable[str] | None = None) -> list[Scenes]:
    """Load the scenes of a store, one stack a shape; see `load_store`."""
    wanted = VARIABLES if variables is None else tuple(variables)
    return _retry_if_replaced(path, lambda: [ref._load(wanted) for ref in open_store(path)])


def _open_group(path: Path, root: zarr.Group, prefix: str) -> SceneRef:
    """Open the group whose names start with `prefix`.

    Returns:
        A reference to its scenes.

    Raises:
        ValueError: a part of its cameras or geometry is missing.
    """
    ids = read_ids(root, prefix)
    small: dict[str, np.ndarray] = {}
    chunks: dict[str, Chunks] = {}
    for variable in DIMS:
        if f"{prefix}{variable}" not in root:
            continue
        array = open_array(root, f"{prefix}{variable}")
        if variable in SMALL:
            small[variable] = np.asarray(array[...])
            continue
        listed = f"{prefix}{variable}/c/{'/'.join('0' * array.ndim)}"
        file = path / listed if listed in listed_files(root) else None
        chunks[variable] = Chunks.of(array, file, f"{path}: {variable} of {describe_ids(ids)}")
    attributes: dict[str, Any] = dict(
        cast(zarr.Group, root[prefix.rstrip("/")]).attrs if prefix else root.attrs
    )
    try:
        return SceneRef(
            ids=ids,
            small=small,
            chunks=chunks,
            rows=np.arange(len(ids)),
            **{name: attributes[name] for name in ATTRIBUTES},
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error} {REMEDY}") from None


def _retry_if_replaced(path: Path, read: Callable[[], T]) -> T:
    """Return the result of `read`, repeated if the store was replaced meanwhile."""
    while True:
        before = _version(path)
        try:
            result = read()
        except (ValueError, OSError, RuntimeError):
            if _version(path) == before:
                raise
        else:
            if _version(path) == before:
                return result


def _version(path: Path) -> tuple[int, int] | None:
    try:
        stat = (path / ROOT).stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns
