"""Write scenes to a store, atomically."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import zarr

from spatialsv.io.atomic import atomic_directory
from spatialsv.io.digests import digest_bytes
from spatialsv.scenes.scene import ATTRIBUTES, Scenes
from spatialsv.scenes.store.completeness import seal
from spatialsv.scenes.store.encoding import FORMAT, encoding, to_dataset
from spatialsv.scenes.store.reference import open_store


def write_store(path: Path, scenes: Scenes) -> str:
    """Write `scenes` to the Zarr folder `path`, replacing it, and return their content digest."""
    return write_groups(path, [scenes])


def write_groups(path: Path, groups: Sequence[Scenes]) -> str:
    """Write scenes of several shapes; of one shape, the store equals that of `write_store`.

    Args:
        path: the store's folder; an earlier store there is replaced as the last step.
        groups: scenes of each shape.

    Returns:
        A digest of the content.

    Raises:
        OSError: the disk is full or fails, or the written store reads back differently.
    """
    single = len(groups) == 1
    digests = [digest_scenes(scenes) for scenes in groups]
    with atomic_directory(path) as temporary:
        root = zarr.open_group(temporary, mode="w", zarr_format=3)
        for number, scenes in enumerate(groups):
            dataset = to_dataset(scenes)
            dataset.to_zarr(
                temporary,
                group=None if single else str(number),
                zarr_format=3,
                consolidated=False,
                encoding=encoding(dataset),
                mode="a",
            )
        if not single:
            root.attrs.update({"format": FORMAT, "groups": len(groups)})
        digest = digests[0] if single else digest_bytes(*(d.encode() for d in digests))
        seal(temporary, digest)
        for written, expected in zip(open_store(temporary), digests, strict=True):
            if digest_scenes(written.load()) != expected:
                raise OSError(errno.EIO, "the written store reads back differently")
    return digest


def digest_scenes(scenes: Scenes) -> str:
    """Return a digest of the content, which does not depend on compression or order in a store."""
    texts = ["\n".join(scenes.ids), *(getattr(scenes, name) for name in ATTRIBUTES)]
    parts = [text.encode() for text in texts]
    for name, array in scenes.arrays.items():
        is_text = name == "frame_ids"  # an array of text holds pointers
        content = "\0".join(array.ravel()).encode() if is_text else array.tobytes()
        parts += [f"{name}{array.dtype}{array.shape}".encode(), content]
    return digest_bytes(*parts)
