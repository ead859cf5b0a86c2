"""Summarise a store or a manifest and say whether it is complete: `spatialsv inspect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from spatialsv.io.manifest import FIELDS, find_manifest, read_manifest, recorded_digest
from spatialsv.scenes.scene import ATTRIBUTES
from spatialsv.scenes.store.completeness import ROOT, group_prefixes, listed_files, open_array
from spatialsv.scenes.store.encoding import DIMS
from spatialsv.scenes.store.reference import SceneRef, open_store
from spatialsv.scenes.verify import entry_states

LENGTHS = {"metre": "in metres", "relative": "up to scale"}


def inspect(path: Path) -> dict[str, Any]:
    """Summarise a store or a manifest; depth is read scene by scene.

    Args:
        path: the store's folder, or a manifest, of which every entry is read.

    Returns:
        A JSON-ready summary. Of a store: for each group its scenes, variables, share and range of
        valid depth. Of a manifest: what is wrong with each entry, and its other fields.
    """
    if path.is_file():
        manifest = read_manifest(path)
        fields = {name: getattr(manifest, name) for name in FIELDS if name != "payload"}
        return {"path": str(path), "entries": entry_states(manifest)} | fields
    groups = open_store(path)
    root = zarr.open_group(path, mode="r", use_consolidated=False)
    files = listed_files(root)
    return {
        "path": str(path),
        "complete": True,  # or opening it would have failed
        "listed": _compare_with_manifest(path),
        "bytes": sum(files.values()) + (path / ROOT).stat().st_size,
        "groups": [
            _summarise_group(group, root, files, prefix)
            for prefix, group in zip(group_prefixes(root), groups, strict=True)
        ],
    }


def _compare_with_manifest(path: Path) -> str:
    """Return whether the manifest next to a store lists it as it is."""
    manifest = find_manifest(path)
    if manifest is None or path.name not in manifest.payload:
        return "listed by no manifest"
    if manifest.payload[path.name] == recorded_digest(path):
        return f"as {manifest.path} lists it"
    return f"not what {manifest.path} lists. {manifest.remedy}"


def _summarise_group(
    scenes: SceneRef, root: zarr.Group, files: dict[str, int], prefix: str
) -> dict[str, Any]:
    views, height, width = scenes.shape
    attributes = {name: getattr(scenes, name) for name in ATTRIBUTES}
    shape = {"scenes": len(scenes), "views": views, "height": height, "width": width}
    variables = {
        name: _summarise_variable(open_array(root, prefix + name), files, f"{prefix}{name}/")
        for name in DIMS
        if prefix + name in root
    }
    contents = {"ids": list(scenes.ids), "variables": variables}
    return attributes | shape | contents | _summarise_geometry(scenes)


def _summarise_variable(array: zarr.Array, files: dict[str, int], prefix: str) -> dict[str, Any]:
    """Return type as read and as stored, shape, unit and bytes of one variable."""
    stored = str(array.dtype)
    return {
        "dtype": array.attrs.get("read_as", stored),
        "stored_as": stored,
        "shape": list(array.shape),
        "units": array.attrs.get("units"),
        "about": array.attrs.get("long_name"),
        "bytes": sum(size for name, size in files.items() if name.startswith(prefix)),
    }


def _summarise_geometry(scenes: SceneRef) -> dict[str, Any]:
    """Return the share of valid pixels, and the range of their depths."""
    if not scenes.has_geometry:
        return {"cameras": scenes.has_cameras, "valid": None, "depth_range": None}
    valid, pixels, least, most = 0, 0, np.inf, -np.inf
    for scene in scenes:
        loaded = scene.load("depth")
        depth = loaded.depth[loaded.valid]
        valid, pixels = valid + depth.size, pixels + loaded.valid.size
        if depth.size:
            least, most = min(least, float(depth.min())), max(most, float(depth.max()))
    return {
        "cameras": True,
        "valid": valid / pixels,
        "depth_range": [least, most] if valid else None,
    }


def format_inspection(summary: dict[str, Any], as_json: bool) -> str:
    """Return the summary of `inspect` as a table, or as JSON."""
    if as_json:
        return json.dumps(summary, indent=1)
    if "entries" in summary:
        lines = [f"{summary['path']}: manifest of the stage {summary['stage']}"]
        states = summary["entries"]
        lines += [f"  {name}: {state or 'unchanged'}" for name, state in states.items()]
        damaged = sum(map(bool, states.values()))
        lines.append(f"inspect: {len(states)} entries, {damaged} damaged; {summary['path']}")
        return "\n".join(lines)
    size = _format_size(summary["bytes"])
    lines = [f"{summary['path']}: complete, {size}, {summary['listed']}"]
    for group in summary["groups"]:
        lines += ["", *_format_group(group)]
    scenes = sum(len(group["ids"]) for group in summary["groups"])
    lines += ["", f"inspect: {scenes} scenes, {size}; {summary['path']}"]
    return "\n".join(lines)


def _format_group(group: dict[str, Any]) -> list[str]:
    ids = group["ids"]
    names = ", ".join(ids[:3]) + (f", ... {ids[-1]}" if len(ids) > 3 else "")
    source = f"{group['source']} {group['revision']}".strip()
    lines = [
        f"{len(ids)} scenes of {group['views']} views, {group['height']} x {group['width']} pixels"
        f" (height x width): {names}",
        f"source {source}, licence {group['licence']}, lengths {LENGTHS[group['unit']]}",
        _format_geometry(group),
    ]
    for name, variable in group["variables"].items():
        stored = variable["stored_as"]
        kind = variable["dtype"] + (f" as {stored}" if stored != variable["dtype"] else "")
        shape, size = " x ".join(map(str, variable["shape"])), _format_size(variable["bytes"])
        unit = variable["units"] or ""
        lines.append(f"  {name:13}{kind:20}{shape:26}{size:>10}  {unit}".rstrip())
    return lines


def _format_geometry(group: dict[str, Any]) -> str:
    if group["depth_range"]:
        near, far = group["depth_range"]
        unit = " m" if group["unit"] == "metre" else ""
        return f"depth {near:.4g} to {far:.4g}{unit}, {group['valid']:.1%} valid"
    if group["valid"] is None:
        return "cameras without depth" if group["cameras"] else "no geometry"
    return "no valid depth"


def _format_size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"
