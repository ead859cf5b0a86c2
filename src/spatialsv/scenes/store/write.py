"""`Scenes` into a store, in one piece."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import zarr

from spatialsv.io.atomic import atomic_directory
from spatialsv.io.digests import digest_bytes
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store.contents import list_files
from spatialsv.scenes.store.encoding import FORMAT, SAID, encoding, to_dataset
from spatialsv.scenes.store.read import open_groups


def write_store(path: Path, scenes: Scenes) -> str:
    """Write `scenes` to the Zarr folder `path`, replacing it whole. Returns its content digest."""
    return write_groups(path, [scenes])


def write_groups(path: Path, groups: Sequence[Scenes]) -> str:
    """As `write_store`, for scenes of several shapes; of one shape, it is the same store.

    Raises:
        OSError: no room on the disk, or another fault of it, or what was written reads otherwise;
            a store that was there before is still there.
    """
    alone = len(groups) == 1
    digests = [digest_scenes(scenes) for scenes in groups]
    with atomic_directory(path) as temporary:
        root = zarr.open_group(temporary, mode="w", zarr_format=3)
        for number, scenes in enumerate(groups):
            dataset = to_dataset(scenes)
            dataset.to_zarr(
                temporary,
                group=None if alone else str(number),
                zarr_format=3,
                consolidated=False,
                encoding=encoding(dataset),
                mode="a",
            )
        if not alone:
            root.attrs.update({"format": FORMAT, "groups": len(groups)})
        list_files(temporary)
        for scenes, digest in zip(open_groups(temporary), digests, strict=True):
            if digest_scenes(scenes.read()) != digest:
                raise OSError(errno.EIO, "what was written reads otherwise")
    return digests[0] if alone else digest_bytes(*(digest.encode() for digest in digests))


def digest_scenes(scenes: Scenes) -> str:
    """A digest of the content, independent of how a store compresses or orders it."""
    told = ["\n".join(scenes.ids), *(getattr(scenes, name) for name in SAID)]
    parts = [text.encode() for text in told]
    for field in fields(Scenes):
        value = getattr(scenes, field.name)
        if isinstance(value, np.ndarray):
            text = field.name == "frame_ids"  # an array of text holds pointers
            content = "\0".join(value.ravel()).encode() if text else value.tobytes()
            parts += [f"{field.name}{value.dtype}{value.shape}".encode(), content]
    return digest_bytes(*parts)
