"""Check that a store is complete and unchanged: its root lists its files, their sizes and digests.

Zarr reads a missing chunk as zeros, so an incomplete store is refused. The root also has the digest
of the content, which the manifest lists, and a digest of itself. Opening a store checks all but the
chunks of images and maps, whose own checksums are checked when they are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import zarr

from spatialsv.io.digests import digest_bytes, digest_path
from spatialsv.io.text import load_json
from spatialsv.scenes.scene import describe_ids
from spatialsv.scenes.store.chunks import REMEDY
from spatialsv.scenes.store.encoding import DIMS, FORMAT, SMALL

ROOT = "zarr.json"  # holds the list, and is written last
MAPS = DIMS.keys() - SMALL


def seal(path: Path, digest: str) -> None:
    """Write into the store's root the names, sizes and digests of its files, and `digest`.

    Args:
        path: the store's folder.
        digest: of the content.
    """
    files: dict[str, Any] = {
        str(file.relative_to(path)): [file.stat().st_size, digest_path(file)]
        for file in sorted(path.rglob("*"))
        if file.is_file() and file != path / ROOT
    }
    root = zarr.open_group(path, mode="r+", use_consolidated=False)
    root.attrs.update({"files": files, "digest": digest})
    root.attrs["checksum"] = _checksum(load_json(path / ROOT))


def listed_files(root: zarr.Group) -> dict[str, int]:
    """Return the names and sizes that `seal` wrote."""
    files = cast(dict[str, list], root.attrs["files"])
    return {name: size for name, (size, _) in files.items()}


def group_prefixes(root: zarr.Group) -> list[str]:
    """Return the prefix of the names in each group: "0/", "1/", ..., or "" for a single group."""
    count = cast(int | None, root.attrs.get("groups"))
    return [""] if count is None else [f"{number}/" for number in range(count)]


def open_array(root: zarr.Group, name: str) -> zarr.Array:
    """Return the array `name`, which must exist."""
    return cast(zarr.Array, root[name])


def read_ids(root: zarr.Group, prefix: str) -> tuple[str, ...]:
    """Return the ids of the scenes of one group; `prefix` is "" or such as "0/"."""
    ids = cast(Sequence[str], open_array(root, f"{prefix}scene")[...])
    return tuple(str(name) for name in ids)


def open_complete(path: Path, full: bool = False) -> zarr.Group:
    """Open a store after checking that all its files are present and unchanged.

    Args:
        path: the store's folder.
        full: also check the chunks of images and maps, which otherwise are checked when read.

    Returns:
        The root group.

    Raises:
        ValueError: `path` is missing or no store of scenes, or a file is missing or damaged; the
            message names the variable and, where they can be read, the scenes.
    """
    if not (path / ROOT).is_file():
        found = f"no {ROOT} in this folder" if path.is_dir() else "no such folder"
        raise ValueError(f"{path}: no Zarr store found: {found}. Check the path.")
    attributes = _read_attributes(path / ROOT)
    root = zarr.open_group(path, mode="r", use_consolidated=False)
    if damaged := dict(_damaged_files(path, attributes["files"], full)):
        name, damage = next(iter(damaged.items()))
        more = f", and {len(damaged) - 1} more files are damaged" if len(damaged) > 1 else ""
        raise ValueError(
            f"{path}: {name} {damage}{more}: {_variable_of(name)} of"
            f" {_describe_scenes(root, name, damaged)} cannot be read. {REMEDY}"
        )
    return root


def _read_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of a root, after checking its own digest."""
    try:
        record = load_json(path)
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error}). {REMEDY}") from None
    attributes = record.get("attributes") if isinstance(record, dict) else None
    attributes = attributes if isinstance(attributes, dict) else {}
    found = attributes.get("format")
    if found != FORMAT:
        raise ValueError(f"{path.parent}: expected format {FORMAT!r}, found {found!r}. {REMEDY}")
    if "checksum" not in attributes:
        raise ValueError(f"{path.parent}: was never finished. {REMEDY}")
    if attributes["checksum"] != _checksum(record):
        raise ValueError(f"{path}: damaged (checksum). {REMEDY}")
    return attributes


def _checksum(root: dict[str, Any]) -> str:
    """Return a digest of the record of a root, but for the digest itself."""
    attributes = {name: v for name, v in root["attributes"].items() if name != "checksum"}
    return digest_bytes(json.dumps(root | {"attributes": attributes}, sort_keys=True).encode())


def _damaged_files(path: Path, files: Mapping[str, list], full: bool) -> Iterator[tuple[str, str]]:
    """Yield each listed file that is missing or damaged, with its damage.

    Args:
        path: the store's folder.
        files: size and digest by name.
        full: also read the chunks of images and maps.

    Yields:
        Name and damage.
    """
    for name, (size, digest) in files.items():
        try:
            found = (path / name).stat().st_size
            if found != size:
                yield name, f"has {found} bytes of {size}"
            elif (full or not _is_map(name)) and digest_path(path / name) != digest:
                yield name, "is damaged (digest)"
        except FileNotFoundError:
            yield name, "is missing"


def _is_map(name: str) -> bool:
    """Return whether a file has chunks of images or maps, which have checksums of their own."""
    return "/c/" in name and _variable_of(name) in MAPS


def _variable_of(name: str) -> str:
    """Return the variable of a listed file: "depth" for `0/depth/c/0/0/0/0`."""
    return next(part for part in name.split("/") if not part.isdigit())


def _describe_scenes(root: zarr.Group, name: str, damaged: Mapping[str, str]) -> str:
    """Describe the scenes of the group that the file `name` is in, if their ids can be read."""
    number = name.split("/")[0]
    inside = f"{number}/" if number.isdigit() else ""
    if any(other.startswith(f"{inside}scene/") for other in damaged):
        return "scenes whose names are lost"
    return describe_ids(read_ids(root, inside))
