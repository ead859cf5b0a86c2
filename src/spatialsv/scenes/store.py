"""The Zarr store of a `Scenes`: the only code that knows Zarr.

A store is a Zarr v3 folder that `xarray.open_zarr(path, consolidated=False)` opens, with dims
(scene, view, y, x) and per-variable units, frames and descriptions. A chunk is one frame, or
several where frames are small; a shard is one variable: few files, and a frame can be read by
itself. Compressed with blosc(zstd, bitshuffle). Ray maps are not stored: they follow from K and
pose. Scenes of several shapes are Zarr groups "0", "1", ... within one store, each as said.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec

from spatialsv.manifest import digest_bytes
from spatialsv.scenes.scene import GEOMETRY, Reason, Scenes, bare_ones

DIMS = {
    "image": ("scene", "view", "y", "x", "channel"),
    "depth": ("scene", "view", "y", "x"),
    "valid": ("scene", "view", "y", "x"),
    "instance": ("scene", "view", "y", "x"),
    "confidence": ("scene", "view", "y", "x"),
    "features": ("scene", "view", "token_y", "token_x", "feature"),
    "intrinsics": ("scene", "view", "row", "column"),
    "cam_to_world": ("scene", "view", "pose_row", "pose_column"),
    "scale": ("scene",),
    "frame_ids": ("scene", "view"),
    "reason": ("scene", "view", "y", "x"),
}
LONG_NAMES = {
    "image": "RGB, sRGB 0-255",
    "depth": "z-depth along the optical axis, 0 = unknown",
    "valid": "pixels whose depth may be used",
    "instance": "0 = background, else the object's number in its scene",
    "confidence": "the label maker's confidence",
    "features": "final-layer features of the label maker",
    "intrinsics": "K in pixels; the top-left pixel's centre is at (0.5, 0.5)",
    "cam_to_world": "OpenCV camera (x right, y down, z forward) to world",
    "scale": "what lengths were divided by, in metres, or in a reference's unit if it has none",
    "frame_ids": "what each view is called at its source; of a video, its frame, from 0",
    "reason": "a gate's: " + ", ".join(f"{value} = {value.name.lower()}" for value in Reason),
}
SMALL = {"intrinsics", "cam_to_world", "scale", "frame_ids"}  # all others are images or maps
SAID = ("unit", "source", "revision", "licence")  # of all scenes of a stack
LENGTHS = {"depth", "cam_to_world"}  # variables measured in the store's unit
FORMAT = "spatialsv-scenes/1"
CHUNK_BYTES = 2**18  # a chunk much smaller costs more to find than to read


def write_store(path: Path, scenes: Scenes) -> str:
    """Write `scenes` to the Zarr folder `path`, replacing it whole. Returns its content digest."""
    return write_groups(path, [scenes])


def write_groups(path: Path, groups: Sequence[Scenes]) -> str:
    """As `write_store`, for scenes of several shapes; of one shape, it is the same store."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    alone = len(groups) == 1
    if not alone:
        root = zarr.open_group(temporary, mode="w", zarr_format=3)
        root.attrs.update({"format": FORMAT, "groups": len(groups)})
    for number, scenes in enumerate(groups):
        dataset = to_dataset(scenes)
        dataset.to_zarr(
            temporary,
            group=None if alone else str(number),
            zarr_format=3,
            consolidated=False,
            encoding=_encoding(dataset),
            mode="w" if alone else "a",
        )
    shutil.rmtree(path, ignore_errors=True)
    temporary.replace(path)
    digests = [digest_scenes(scenes) for scenes in groups]
    return digests[0] if alone else digest_bytes(*(digest.encode() for digest in digests))


def read_store(path: Path, variables: Iterable[str] | None = None) -> Scenes:
    """Read a store, or only `variables` of it beside the geometry, of scenes of one shape.

    Raises:
        ValueError: `path` is missing, is not such a store, or holds scenes of several shapes.
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
        ValueError: `path` is missing, or is not such a store.
    """
    if not (path / "zarr.json").is_file():
        raise ValueError(f"{path}: no Zarr store; the manifest beside it names the rule to force")
    root = zarr.open_group(path, mode="r", use_consolidated=False)
    if root.attrs.get("format") != FORMAT:
        raise ValueError(f"{path}: format {root.attrs.get('format')!r}, expected {FORMAT!r}")
    wanted = set(DIMS) if variables is None else {*GEOMETRY, *variables}
    count = root.attrs.get("groups")
    groups = [root] if count is None else [root[str(number)] for number in range(count)]
    return [_read_group(path, group, wanted, values) for group in groups]


def _read_group(path: Path, group: zarr.Group, wanted: set[str], values: bool) -> Scenes:
    found = {name: group[name] for name in DIMS if name in wanted and name in group}
    arrays = {
        name: array[...] if values or name in SMALL else bare_ones(array.shape, array.dtype)
        for name, array in found.items()
    }
    attributes = dict(group.attrs)
    try:
        return Scenes(
            ids=tuple(str(name) for name in group["scene"][...]),
            **{name: attributes[name] for name in SAID},
            **arrays,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}; force the rule that made it") from None


def to_dataset(scenes: Scenes) -> xr.Dataset:
    """`scenes` as an xarray dataset with named dims, coordinates, units and frames."""
    variables = {}
    for name, dims in DIMS.items():
        value = getattr(scenes, name)
        if value is not None:
            attributes = {"long_name": LONG_NAMES[name]}
            if name in LENGTHS:
                attributes["units"] = scenes.unit
            variables[name] = (dims, value, attributes)
    views, height, width = scenes.shape
    coordinates = {
        "scene": np.asarray(scenes.ids, dtype=np.dtypes.StringDType()),
        "view": np.arange(views),
        "y": ("y", np.arange(height) + 0.5, {"units": "pixel"}),
        "x": ("x", np.arange(width) + 0.5, {"units": "pixel"}),
    }
    attributes = {"format": FORMAT, "camera_axes": "x right, y down, z forward"}
    attributes |= {name: getattr(scenes, name) for name in SAID}
    return xr.Dataset(variables, coordinates, attributes)


def digest_scenes(scenes: Scenes) -> str:
    """A digest of the content, independent of how a store compresses or orders it."""
    told = ["\n".join(scenes.ids), *(getattr(scenes, name) for name in SAID)]
    parts = [text.encode() for text in told]
    for field in fields(scenes):
        value = getattr(scenes, field.name)
        if isinstance(value, np.ndarray):
            text = field.name == "frame_ids"  # an array of text holds pointers
            content = "\0".join(value.ravel()).encode() if text else value.tobytes()
            parts += [f"{field.name}{value.dtype}{value.shape}".encode(), content]
    return digest_bytes(*parts)


def _encoding(dataset: xr.Dataset) -> dict[str, dict]:
    """Each variable one shard; its chunks as `_chunk` has them."""
    codec = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")
    return {
        name: {
            "chunks": _chunk(variable.shape, variable.dtype.itemsize),
            "shards": variable.shape,
            "compressors": (codec,),
        }
        for name, variable in dataset.data_vars.items()
    }


def _chunk(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """One frame, or as many small frames as make up CHUNK_BYTES: whole scenes if they fit."""
    if len(shape) < 2:
        return shape
    frames = max(1, CHUNK_BYTES // (itemsize * math.prod(shape[2:])))
    if frames < shape[1]:
        return (1, 1, *shape[2:])
    scenes = max(k for k in range(1, shape[0] + 1) if shape[0] % k == 0 and k * shape[1] <= frames)
    return (scenes, *shape[1:])
