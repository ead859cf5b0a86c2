"""Check that a store is complete: its root lists its files and their sizes.

Zarr reads a missing chunk as zeros, so an incomplete store is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import zarr

from spatialsv.scenes.scene import describe_ids
from spatialsv.scenes.store.encoding import FORMAT

ROOT = "zarr.json"  # holds the list, and is written last
REMEDY = "Force the rule that made it."


def list_files(path: Path) -> None:
    """Write the names and sizes of the store's files into its root."""
    files = {
        str(file.relative_to(path)): file.stat().st_size
        for file in sorted(path.rglob("*"))
        if file.is_file() and file != path / ROOT
    }
    zarr.open_group(path, mode="r+", use_consolidated=False).attrs["files"] = files


def listed_files(root: zarr.Group) -> dict[str, int]:
    """Return the names and sizes that `list_files` wrote."""
    return cast(dict[str, int], root.attrs["files"])


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


def open_complete(path: Path) -> zarr.Group:
    """Open a store after checking that all its files are present.

    Args:
        path: the store's folder.

    Returns:
        The root group.

    Raises:
        ValueError: `path` is missing or no store of scenes, or a file is missing or has another
            size; the message names the variable and, where they can be read, the scenes.
    """
    if not (path / ROOT).is_file():
        raise ValueError(
            f"{path}: no Zarr store found. Force the rule that the manifest next to it names."
        )
    try:
        root = zarr.open_group(path, mode="r", use_consolidated=False)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path / ROOT}: damaged ({error}). {REMEDY}") from None
    if (found := root.attrs.get("format")) != FORMAT:
        raise ValueError(f"{path}: expected format {FORMAT!r}, found {found!r}. {REMEDY}")
    if "files" not in root.attrs:
        raise ValueError(f"{path}: was never finished. {REMEDY}")
    if damaged := dict(_damaged_files(path, root)):
        name, damage = next(iter(damaged.items()))
        more = f", and {len(damaged) - 1} more files are damaged" if len(damaged) > 1 else ""
        raise ValueError(
            f"{path}: {name} {damage}{more}: {_variable_of(name)} of"
            f" {_describe_scenes(root, name, damaged)} cannot be read. {REMEDY}"
        )
    return root


def _damaged_files(path: Path, root: zarr.Group) -> Iterator[tuple[str, str]]:
    """Yield each listed file that is missing or of another size, with its damage.

    Yields:
        Name and damage.
    """
    for name, size in listed_files(root).items():
        try:
            found = (path / name).stat().st_size
        except FileNotFoundError:
            yield name, "is missing"
        else:
            if found != size:
                yield name, f"has {found} bytes of {size}"


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
