"""A store as `Scenes`, all of it or scene by scene."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import zarr

from spatialsv.scenes.scene import GEOMETRY, Scenes, bare_ones
from spatialsv.scenes.store.chunks import Chunks
from spatialsv.scenes.store.contents import ROOT, named, open_whole
from spatialsv.scenes.store.encoding import DIMS, SAID, SMALL

T = TypeVar("T")


def read_store(path: Path, variables: Iterable[str] | None = None) -> Scenes:
    """Read a store, or only `variables` of it beside the geometry, of scenes of one shape.

    Raises:
        ValueError: `path` is missing, is not such a store, is not whole, or holds scenes of several
            shapes.
    """
    groups = read_groups(path, variables)
    if len(groups) > 1:
        shapes = sorted(scenes.shape for scenes in groups)
        raise ValueError(f"{path}: scenes of (views, height, width) {shapes}, expected one shape")
    return groups[0]


def read_groups(
    path: Path, variables: Iterable[str] | None = None, values: bool = True
) -> list[Scenes]:
    """As `read_store`: the scenes of each shape. Scenes without geometry come without it.

    Args:
        values: False reads of images and maps their shapes alone; they are then 1 everywhere, and
            take no memory.

    Raises:
        ValueError: `path` is missing, is not such a store, or is not whole.
    """

    def read() -> list[Scenes]:
        return [group.read() if values else group.bare() for group in open_groups(path, variables)]

    return _undisturbed(path, read)


def open_groups(path: Path, variables: Iterable[str] | None = None) -> list[StoredScenes]:
    """As `read_groups`, but images and maps are read when they are asked for, scene by scene."""
    wanted = set(DIMS) if variables is None else {*GEOMETRY, *variables}

    def opened() -> list[StoredScenes]:
        root = open_whole(path)
        count = root.attrs.get("groups")
        names = [""] if count is None else [str(number) for number in range(count)]
        return [_open_group(path, root, name, wanted) for name in names]

    return _undisturbed(path, opened)


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredScenes(Scenes):
    """Scenes whose images and maps are still in their store; until they are read, all are 1.

    They take no memory, and can be handed to another process.
    """

    rows: np.ndarray  # in the store's group
    chunks: Mapping[str, Chunks]  # by variable

    def read(self, *names: str) -> Scenes:
        """With the images and maps of these names, or with all that were opened.

        Raises:
            ValueError: the store is gone, or was replaced, since it was opened.
        """
        arrays = {name: self.chunks[name].scenes(self.rows) for name in names or self.chunks}
        return replace(self.bare(), **arrays)

    def bare(self) -> Scenes:
        """Without a way back to the store."""
        return Scenes(**{field.name: getattr(self, field.name) for field in fields(Scenes)})


def _open_group(path: Path, root: zarr.Group, name: str, wanted: set[str]) -> StoredScenes:
    group, inside = (root[name], f"{name}/") if name else (root, "")
    ids = tuple(str(scene) for scene in group["scene"][...])
    arrays, chunks = {}, {}
    for variable in DIMS:
        if variable not in wanted or variable not in group:
            continue
        array = group[variable]
        if variable in SMALL:
            arrays[variable] = array[...]
            continue
        owner = f"{path}: {variable} of {named(ids)}"
        listed = f"{inside}{variable}/c/{'/'.join('0' * array.ndim)}"
        file = path / listed if listed in root.attrs["files"] else None
        chunks[variable] = Chunks.of(array, file, owner)
        arrays[variable] = bare_ones(array.shape, chunks[variable].unpacked)
    attributes = dict(group.attrs)
    try:
        return StoredScenes(
            ids=ids,
            rows=np.arange(len(ids)),
            chunks=chunks,
            **{said: attributes[said] for said in SAID},
            **arrays,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}; force the rule that made it") from None


def _undisturbed(path: Path, read: Callable[[], T]) -> T:
    """What `read` gives; anew, if the store was replaced meanwhile."""
    while True:
        before = _version(path)
        try:
            found = read()
        except (ValueError, OSError, RuntimeError):
            if _version(path) == before:
                raise
        else:
            if _version(path) == before:
                return found


def _version(path: Path) -> tuple[int, int] | None:
    try:
        told = (path / ROOT).stat()
    except FileNotFoundError:
        return None
    return told.st_ino, told.st_mtime_ns
