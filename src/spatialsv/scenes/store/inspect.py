"""What is in a store, and whether it is whole: `spatialsv inspect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from spatialsv.scenes.store.contents import ROOT
from spatialsv.scenes.store.encoding import DIMS, SAID
from spatialsv.scenes.store.read import StoredScenes, open_groups

LENGTHS = {"metre": "in metres", "relative": "up to scale"}


def inspect(path: Path) -> dict[str, Any]:
    """What a store holds, ready for JSON; maps are read scene by scene.

    Raises:
        ValueError: `path` is no store, or not whole.
    """
    groups = open_groups(path)
    root = zarr.open_group(path, mode="r", use_consolidated=False)
    files = root.attrs["files"]
    numbers = [f"{number}/" for number in range(len(groups))] if "groups" in root.attrs else [""]
    return {
        "path": str(path),
        "complete": True,  # or it would have been refused
        "bytes": sum(files.values()) + (path / ROOT).stat().st_size,
        "groups": [
            _group(group, root, files, inside)
            for inside, group in zip(numbers, groups, strict=True)
        ],
    }


def _group(
    scenes: StoredScenes, root: zarr.Group, files: dict[str, int], inside: str
) -> dict[str, Any]:
    views, height, width = scenes.shape
    said = {name: getattr(scenes, name) for name in SAID}
    shape = {"scenes": len(scenes), "views": views, "height": height, "width": width}
    variables = {
        name: _variable(root[inside + name], files, f"{inside}{name}/")
        for name in DIMS
        if inside + name in root
    }
    return said | shape | {"ids": list(scenes.ids), "variables": variables} | _geometry(scenes)


def _variable(array: zarr.Array, files: dict[str, int], inside: str) -> dict[str, Any]:
    """Type as read and as stored, shape, unit and bytes of one variable."""
    stored = str(array.dtype)
    return {
        "dtype": array.attrs.get("read_as", stored),
        "stored_as": stored,
        "shape": list(array.shape),
        "units": array.attrs.get("units"),
        "about": array.attrs.get("long_name"),
        "bytes": sum(size for name, size in files.items() if name.startswith(inside)),
    }


def _geometry(scenes: StoredScenes) -> dict[str, Any]:
    """The share of valid pixels, and the range of their depths."""
    if not scenes.has_geometry:
        return {"cameras": scenes.has_cameras, "valid": None, "depth_range": None}
    counts, least, most = 0, np.inf, -np.inf
    for one in scenes:
        seen = one.read("depth", "valid")
        known = seen.depth[seen.valid]
        counts += known.size
        if known.size:
            least, most = min(least, float(known.min())), max(most, float(known.max()))
    return {
        "cameras": True,
        "valid": counts / scenes.valid.size,
        "depth_range": [least, most] if counts else None,
    }


def told(found: dict[str, Any], as_json: bool) -> str:
    """What `inspect` found, for people or for programs."""
    if as_json:
        return json.dumps(found, indent=1)
    lines = [f"{found['path']}: whole, {_size(found['bytes'])}"]
    for group in found["groups"]:
        lines += ["", *_told(group)]
    return "\n".join(lines)


def _told(group: dict[str, Any]) -> list[str]:
    ids = group["ids"]
    few = ", ".join(ids[:3]) + (f", ... {ids[-1]}" if len(ids) > 3 else "")
    source = f"{group['source']} {group['revision']}".strip()
    lines = [
        f"{len(ids)} scenes of {group['views']} views, {group['height']} x {group['width']} pixels"
        f" (height x width): {few}",
        f"source {source}, licence {group['licence']}, lengths {LENGTHS[group['unit']]}",
    ]
    lines.append(_geometry_told(group))
    for name, variable in group["variables"].items():
        stored = variable["stored_as"]
        kind = variable["dtype"] + (f" as {stored}" if stored != variable["dtype"] else "")
        shape, size = " x ".join(map(str, variable["shape"])), _size(variable["bytes"])
        unit = variable["units"] or ""
        lines.append(f"  {name:13}{kind:20}{shape:26}{size:>10}  {unit}".rstrip())
    return lines


def _geometry_told(group: dict[str, Any]) -> str:
    if group["depth_range"]:
        near, far = group["depth_range"]
        unit = " m" if group["unit"] == "metre" else ""
        return f"depth {near:.4g} to {far:.4g}{unit}, {group['valid']:.1%} valid"
    if group["valid"] is None:
        return "cameras are known, depth is not" if group["cameras"] else "no geometry"
    return "no valid depth"


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"
