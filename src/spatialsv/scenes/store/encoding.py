"""Encoding of the variables of `Scenes` in a store: dims, units, chunks and lossless packing.

No value is rounded here. Depth that was quantised by a sensor (to millimetres, say) or rounded by
`LabelsConfig.half` takes two bytes a pixel, which hold it exactly. Chunks are compressed by
blosc(lz4hc, shuffle): on rendered and real depth it is smaller than bitshuffle and several times
faster to read than zstd (perf/store.py). Each chunk ends in its CRC-32C, which zarr checks as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Shaped
from zarr.codecs import BloscCodec, Crc32cCodec

from spatialsv.scenes.scene import ATTRIBUTES, GateReason, Scenes

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
    "reason": "a gate's: " + ", ".join(f"{value} = {value.name.lower()}" for value in GateReason),
}
SMALL = {"intrinsics", "cam_to_world", "scale", "frame_ids"}  # all others are images or maps
LENGTHS = {"depth", "cam_to_world"}  # variables measured in the store's unit
PACKED = {"depth", "confidence"}  # variables that two bytes may hold
FORMAT = "spatialsv-scenes/3"
CHUNK_BYTES = 2**16  # much smaller chunks cost more to locate than to read
QUANTA = (1e-3, 2e-4, 1 / 6553.5, 2**-8)  # of sensors: ScanNet and most others, TUM, Replica, KITTI


def to_dataset(scenes: Scenes) -> xr.Dataset:
    """Return `scenes` as an xarray dataset with named dims, coordinates, units and frames."""
    variables: dict[str, tuple[Any, ...]] = {}
    for name, dims in DIMS.items():
        if (value := scenes.arrays.get(name)) is not None:
            attributes = {"long_name": LONG_NAMES[name]}
            if name in LENGTHS:
                attributes["units"] = scenes.unit
            if name in PACKED:
                value, packing = pack(value)
                attributes |= packing
            variables[name] = (dims, value, attributes)
    views, height, width = scenes.shape
    coordinates = {
        "scene": np.asarray(scenes.ids, dtype=np.dtypes.StringDType()),
        "view": np.arange(views),
        "y": ("y", np.arange(height) + 0.5, {"units": "pixel"}),
        "x": ("x", np.arange(width) + 0.5, {"units": "pixel"}),
    }
    attributes = {"format": FORMAT, "camera_axes": "x right, y down, z forward"}
    attributes |= {name: getattr(scenes, name) for name in ATTRIBUTES}
    return xr.Dataset(variables, coordinates, attributes)


def encoding(dataset: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Return xarray's encoding of each variable: one shard, chunks as in `chunk_shape`."""
    codec = BloscCodec(cname="lz4hc", clevel=5, shuffle="shuffle")
    return {
        str(name): {
            "chunks": chunk_shape(variable.shape, variable.dtype.itemsize),
            "shards": variable.shape,
            "compressors": (codec, Crc32cCodec()),
        }
        for name, variable in dataset.data_vars.items()
    }


def chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return a chunk's shape: one frame, or as many small frames as make up CHUNK_BYTES.

    Args:
        shape: the variable's shape; the first axes are scenes and views.
        itemsize: bytes of a value.

    Returns:
        The shape; a chunk of several frames holds full scenes if they fit.
    """
    if len(shape) < 2:
        return shape
    frames = max(1, CHUNK_BYTES // (itemsize * math.prod(shape[2:])))
    if frames < shape[1]:
        return (1, 1, *shape[2:])
    scenes = max(k for k in range(1, shape[0] + 1) if shape[0] % k == 0 and k * shape[1] <= frames)
    return (scenes, *shape[1:])


def pack(
    values: Shaped[np.ndarray, "*shape"],
) -> tuple[Shaped[np.ndarray, "*shape"], dict[str, Any]]:
    """Pack values losslessly into the smallest type that holds every bit of them.

    Float32 becomes uint16 where all values are multiples of a sensor's quantum (`scale_factor`,
    which xarray applies when reading), or float16 where that is exact. Otherwise it stays float32.

    Args:
        values: depth, say.

    Returns:
        The packed values, and the attributes that `unpack` needs.
    """
    if values.dtype != np.float32:
        return values, {}
    with np.errstate(all="ignore"):  # values that do not fit compare as unequal
        for quantum in QUANTA:
            codes = np.rint(values / quantum)
            if values.size and codes.min() >= 0 and codes.max() <= np.iinfo(np.uint16).max:
                attributes = {"scale_factor": quantum, "read_as": "float32"}
                packed = codes.astype(np.uint16)
                if _same_bits(unpack(packed, attributes), values):
                    return packed, attributes
        half = values.astype(np.float16)
        if _same_bits(half.astype(np.float32), values):
            return half, {"read_as": "float32"}
    return values, {}


def unpack(
    values: Shaped[np.ndarray, "*shape"], attributes: Mapping[str, Any]
) -> Shaped[np.ndarray, "*shape"]:
    """Return the values that `pack` was given."""
    if "scale_factor" in attributes:
        values = values * np.float64(attributes["scale_factor"])
    return values.astype(attributes["read_as"]) if "read_as" in attributes else values


def _same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two float32 arrays are equal bit for bit; 0 and -0 differ."""
    return np.array_equal(one.view(np.uint32), other.view(np.uint32))
