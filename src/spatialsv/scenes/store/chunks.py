"""Fast reader of one variable's chunks, without zarr's event loop, which costs more than the read.

The layout is that of Zarr's `sharding_indexed` codec: one file of all chunks, one after the other,
then an index of their offsets and sizes. Each chunk and the index end in a CRC-32C. Frames, scenes
and full variables are read this way; everything else in a store is read by zarr.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import zarr
from jaxtyping import Int, Shaped
from numcodecs import blosc

from spatialsv.scenes.store.encoding import unpack

EMPTY = 2**64 - 1  # offset of a chunk that holds only the fill value
ENTRY = 16  # bytes of the index for each chunk
CHECKSUM = 4  # bytes after the index and after each chunk

REMEDY = "Force the rule, or repeat the command, that made it."

blosc.use_threads = False  # chunks are small, and loader processes are forked


@dataclass(frozen=True, eq=False)
class Chunks:
    """A variable (scene, view, ...) of S scenes; a chunk holds one frame, or k full scenes.

    Attributes:
        file: file of all chunks; None where all are empty.
        shape: shape of the variable.
        chunk: shape of a chunk.
        dtype: stored type.
        fill: value of empty chunks.
        attributes: the variable's, for `unpack`.
        owner: variable, store and scenes, for messages.
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
        """Return the chunks of a Zarr array that lie in `file`."""
        return cls(
            file, array.shape, array.chunks, array.dtype, array.fill_value, dict(array.attrs), owner
        )

    def scenes(self, rows: Int[np.ndarray, " s"]) -> Shaped[np.ndarray, "s N *rest"]:
        """Read all views of scenes.

        Args:
            rows: rows of the scenes.

        Returns:
            The unpacked values.
        """
        if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
            return self._range(int(rows[0]), int(rows[-1]) + 1)
        single = [self._range(int(row), int(row) + 1) for row in rows]
        if not single:
            dtype = np.dtype(self.attributes.get("read_as", self.dtype))
            return np.empty((0, *self.shape[1:]), dtype)
        return np.concatenate(single)

    def frame(self, row: int, view: int) -> Shaped[np.ndarray, "*rest"]:
        """Read one view of one scene."""
        scene, offset = divmod(row, self.chunk[0])
        chunks = self._read([(scene, view // self.chunk[1])])
        return unpack(chunks[0][offset, view % self.chunk[1]], self.attributes)

    def _range(self, start: int, stop: int) -> Shaped[np.ndarray, "s N *rest"]:
        """Read the scenes from row `start` to before row `stop`."""
        deep, across = self.chunk[0], self.shape[1] // self.chunk[1]
        first, last = start // deep, (stop - 1) // deep + 1
        grid = [(scene, view) for scene in range(first, last) for view in range(across)]
        out = np.empty(((last - first) * deep, *self.shape[1:]), self.dtype)
        self._read(grid, out.reshape(len(grid), *self.chunk))
        return unpack(out[start - first * deep : stop - first * deep], self.attributes)

    def _read(self, grid: list[tuple[int, int]], out: np.ndarray | None = None) -> np.ndarray:
        """Read the chunks at `grid` (numbers along scenes and views) into `out`, if given.

        Returns:
            The chunks, along the first axis.

        Raises:
            ValueError: the file is damaged, or was deleted or replaced since the store was opened.
        """
        if out is None:
            out = np.empty((len(grid), *self.chunk), self.dtype)
        if self.file is None:
            out[...] = self.fill
            return out
        try:
            handle = os.open(self.file, os.O_RDONLY)
        except FileNotFoundError:
            raise ValueError(
                f"{self.owner}: {self.file} was deleted since the store was opened."
            ) from None
        try:
            index = self._load_index(handle)
            for position, into in zip(grid, out, strict=True):
                offset, size = (int(n) for n in index[position])
                if offset == EMPTY:
                    into[...] = self.fill
                else:
                    raw = os.pread(handle, size, offset)
                    blosc.decompress(self._checked(raw, f"chunk {position}"), into)
        finally:
            os.close(handle)
        return out

    def _load_index(self, handle: int) -> Shaped[np.ndarray, "scenes views 2"]:
        """Read the index once.

        Returns:
            Offset and size of each chunk.

        Raises:
            ValueError: the index is damaged, or the file was replaced since it was read.
        """
        stat = os.fstat(handle)
        version = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if version not in self._index:
            if self._index:
                raise ValueError(
                    f"{self.owner}: {self.file} was replaced since the store was opened."
                )
            across = (self.shape[0] // self.chunk[0], self.shape[1] // self.chunk[1])
            size = ENTRY * math.prod(across)
            raw = os.pread(handle, size + CHECKSUM, stat.st_size - size - CHECKSUM)
            index = np.frombuffer(self._checked(raw, "index"), "<u8")
            self._index[version] = index.reshape(*across, 2)
        return self._index[version]

    def _checked(self, raw: bytes, part: str) -> bytes:
        """Return `raw` without its checksum.

        Raises:
            ValueError: the checksum is that of other bytes.
        """
        content, checksum = raw[:-CHECKSUM], raw[-CHECKSUM:]
        if google_crc32c.value(content).to_bytes(CHECKSUM, "little") != checksum:
            raise ValueError(f"{self.owner}: {self.file} is damaged (checksum of {part}). {REMEDY}")
        return content
