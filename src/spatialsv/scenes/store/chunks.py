"""The chunks of one variable, read without zarr's event loop, which takes longer than the reading.

The layout is that of Zarr's `sharding_indexed` codec: one file of all chunks, one after the other,
then an index of their offsets and sizes, then its checksum. Frames, scenes and whole variables are
read from it; whatever else is in a store is read by zarr.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from jaxtyping import Int, Shaped
from numcodecs import blosc

from spatialsv.scenes.store.encoding import unpack

EMPTY = 2**64 - 1  # the offset of a chunk that holds nothing but the fill value
ENTRY = 16  # bytes of the index a chunk
CHECKSUM = 4  # bytes after the index

blosc.use_threads = False  # chunks are small, and loaders' processes are forked


@dataclass(frozen=True, eq=False)
class Chunks:
    """A variable (scene, view, ...) of S scenes; a chunk holds one frame, or k whole scenes.

    Args:
        file: of all chunks; None where all of them are empty.
        owner: what an error names: the variable, its store and its scenes.
    """

    file: Path | None
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype
    fill: np.generic
    attributes: Mapping[str, Any]
    owner: str
    _index: dict[tuple[int, int, int], np.ndarray] = field(default_factory=dict, init=False)

    @classmethod
    def of(cls, array: zarr.Array, file: Path | None, owner: str) -> Chunks:
        return cls(
            file, array.shape, array.chunks, array.dtype, array.fill_value, dict(array.attrs), owner
        )

    @property
    def unpacked(self) -> np.dtype:
        """The type of the values that are read."""
        return np.dtype(self.attributes.get("read_as", self.dtype))

    def scenes(self, rows: Int[np.ndarray, " s"]) -> Shaped[np.ndarray, "s N *rest"]:
        """All views of these scenes.

        Raises:
            ValueError: the file is gone, or another one, since it was first read.
        """
        if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
            return self._between(int(rows[0]), int(rows[-1]) + 1)
        alone = [self._between(int(row), int(row) + 1) for row in rows]
        return np.concatenate(alone) if alone else np.empty((0, *self.shape[1:]), self.unpacked)

    def frame(self, row: int, view: int) -> Shaped[np.ndarray, "*rest"]:
        """One view of one scene; raises as `scenes` does."""
        scene, views = divmod(row, self.chunk[0])
        found = self._read([(scene, view // self.chunk[1])])
        return self._unpacked(found[0][views, view % self.chunk[1]])

    def _between(self, start: int, stop: int) -> Shaped[np.ndarray, "s N *rest"]:
        """The scenes from `start` on, before `stop`."""
        deep, across = self.chunk[0], self.shape[1] // self.chunk[1]
        first, last = start // deep, (stop - 1) // deep + 1
        grid = [(scene, view) for scene in range(first, last) for view in range(across)]
        out = np.empty(((last - first) * deep, *self.shape[1:]), self.dtype)
        self._read(grid, out.reshape(len(grid), *self.chunk))
        return self._unpacked(out[start - first * deep : stop - first * deep])

    def _unpacked(self, values: np.ndarray) -> np.ndarray:
        return unpack(values, self.attributes)

    def _read(self, grid: list[tuple[int, int]], out: np.ndarray | None = None) -> np.ndarray:
        """The chunks at `grid` (numbers along scenes and views), into `out` where it is given."""
        if out is None:
            out = np.empty((len(grid), *self.chunk), self.dtype)
        if self.file is None:
            out[...] = self.fill
            return out
        try:
            handle = os.open(self.file, os.O_RDONLY)
        except FileNotFoundError:
            raise ValueError(f"{self.owner}: {self.file} is gone since it was opened") from None
        try:
            index = self._indexed(handle)
            for place, into in zip(grid, out, strict=True):
                offset, size = (int(n) for n in index[place])
                if offset == EMPTY:
                    into[...] = self.fill
                else:
                    blosc.decompress(os.pread(handle, size, offset), into)
        finally:
            os.close(handle)
        return out

    def _indexed(self, handle: int) -> Shaped[np.ndarray, "scenes views 2"]:
        """Offset and size of each chunk; read once."""
        told = os.fstat(handle)
        version = (told.st_ino, told.st_size, told.st_mtime_ns)
        if version not in self._index:
            if self._index:
                raise ValueError(f"{self.owner}: {self.file} was replaced since it was opened")
            across = (self.shape[0] // self.chunk[0], self.shape[1] // self.chunk[1])
            size = ENTRY * math.prod(across)
            raw = os.pread(handle, size, told.st_size - size - CHECKSUM)
            self._index[version] = np.frombuffer(raw, "<u8").reshape(*across, 2)
        return self._index[version]
