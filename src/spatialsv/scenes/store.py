"""The Zarr store of a `Scenes`: the only code that knows Zarr.

A store is a Zarr v3 folder that `xarray.open_zarr(path, consolidated=False)` opens, with dims
(scene, view, y, x) and per-variable units, frames and descriptions. A chunk is one frame, or
several where frames are small; a shard is one variable: few files, and a frame can be read by
itself. Compressed with blosc(zstd, bitshuffle). Ray maps are not stored: they follow from K and
pose.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec

from spatialsv.manifest import digest_bytes
from spatialsv.scenes.scene import Scenes

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
    "scale": "metres in one unit of length",
}
LENGTHS = {"depth", "cam_to_world"}  # variables measured in the store's unit
FORMAT = "spatialsv-scenes/1"
CHUNK_BYTES = 2**18  # a chunk much smaller costs more to find than to read


def write_store(path: Path, scenes: Scenes) -> str:
    """Write `scenes` to the Zarr folder `path`, replacing it whole. Returns its content digest."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    dataset = to_dataset(scenes)
    dataset.to_zarr(
        temporary, zarr_format=3, consolidated=False, encoding=_encoding(dataset), mode="w"
    )
    shutil.rmtree(path, ignore_errors=True)
    temporary.replace(path)
    return digest_scenes(scenes)


def read_store(path: Path, variables: Iterable[str] | None = None) -> Scenes:
    """Read a store, or only `variables` of it beside the geometry that every store has.

    Raises:
        ValueError: `path` is missing, or is not such a store.
    """
    if not (path / "zarr.json").is_file():
        raise ValueError(f"{path}: no Zarr store; the manifest beside it names the rule to force")
    group = zarr.open_group(path, mode="r", use_consolidated=False)
    attributes = dict(group.attrs)
    if attributes.get("format") != FORMAT:
        raise ValueError(f"{path}: format {attributes.get('format')!r}, expected {FORMAT!r}")
    required = {"intrinsics", "cam_to_world", "depth", "valid"}
    wanted = set(DIMS) if variables is None else required | set(variables)
    arrays = {name: group[name][...] for name in DIMS if name in wanted and name in group}
    if missing := required - arrays.keys():
        raise ValueError(f"{path}: lacks {', '.join(sorted(missing))}; force the rule that made it")
    return Scenes(
        ids=tuple(str(name) for name in group["scene"][...]),
        unit=attributes["unit"],
        source=attributes["source"],
        licence=attributes["licence"],
        **arrays,
    )


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
    views = scenes.depth.shape[1]
    coordinates = {
        "scene": np.asarray(scenes.ids, dtype=np.dtypes.StringDType()),
        "view": np.arange(views),
        "y": ("y", np.arange(scenes.depth.shape[2]) + 0.5, {"units": "pixel"}),
        "x": ("x", np.arange(scenes.depth.shape[3]) + 0.5, {"units": "pixel"}),
    }
    attributes = {
        "format": FORMAT,
        "unit": scenes.unit,
        "camera_axes": "x right, y down, z forward",
    }
    attributes |= {"source": scenes.source, "licence": scenes.licence}
    return xr.Dataset(variables, coordinates, attributes)


def digest_scenes(scenes: Scenes) -> str:
    """A digest of the content, independent of how a store compresses or orders it."""
    parts = ["\n".join(scenes.ids).encode(), scenes.unit.encode(), scenes.source.encode()]
    for field in fields(scenes):
        value = getattr(scenes, field.name)
        if isinstance(value, np.ndarray):
            parts += [f"{field.name}{value.dtype}{value.shape}".encode(), value.tobytes()]
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
