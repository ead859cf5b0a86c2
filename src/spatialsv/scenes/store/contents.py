"""Whether a store is whole: its root lists its files and their sizes, and none may be missing.

Zarr itself takes a missing file for zeros.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import zarr

from spatialsv.scenes.store.encoding import FORMAT

ROOT = "zarr.json"  # holds the list, and is written last


def list_files(path: Path) -> None:
    """Write the names and sizes of the store's files into its root."""
    files = {
        str(file.relative_to(path)): file.stat().st_size
        for file in sorted(path.rglob("*"))
        if file.is_file() and file != path / ROOT
    }
    zarr.open_group(path, mode="r+", use_consolidated=False).attrs["files"] = files


def open_whole(path: Path) -> zarr.Group:
    """The root of the store `path`.

    Raises:
        ValueError: it is missing or no store, or a file of it is missing or has another size; the
            message names the variable and, where they can be told, the scenes.
    """
    if not (path / ROOT).is_file():
        raise ValueError(f"{path}: no Zarr store; the manifest beside it names the rule to force")
    try:
        root = zarr.open_group(path, mode="r", use_consolidated=False)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path / ROOT}: torn ({error}); force the rule that made it") from None
    if root.attrs.get("format") != FORMAT:
        raise ValueError(
            f"{path}: format {root.attrs.get('format')!r}, expected {FORMAT!r}; force the rule that"
            " made it"
        )
    if "files" not in root.attrs:
        raise ValueError(f"{path}: was never finished; force the rule that made it")
    lost = dict(faults(path, root))
    if lost:
        name = next(iter(lost))
        whose = scenes_told(root, name, lost)
        more = f", and {len(lost) - 1} more files are not whole" if len(lost) > 1 else ""
        raise ValueError(
            f"{path}: {name} {lost[name]}{more}: no {variable_of(name)} of {whose}; force the rule"
            " that made it"
        )
    return root


def faults(path: Path, root: zarr.Group) -> Iterator[tuple[str, str]]:
    """Each listed file that is not what it was, and what is wrong with it."""
    for name, size in root.attrs["files"].items():
        try:
            found = (path / name).stat().st_size
        except FileNotFoundError:
            yield name, "is missing"
        else:
            if found != size:
                yield name, f"has {found} bytes of {size}"


def variable_of(name: str) -> str:
    """The variable that a listed file belongs to: `0/depth/c/0/0/0/0` is of depth."""
    parts = [part for part in name.split("/") if not part.isdigit()]
    return parts[0]


def scenes_told(root: zarr.Group, name: str, lost: dict[str, str]) -> str:
    """The scenes of the group that the file `name` is in, as far as their ids are whole."""
    number = name.split("/")[0]
    inside = f"{number}/" if number.isdigit() else ""
    if any(other.startswith(f"{inside}scene/") for other in lost):
        return "scenes whose names are lost as well"
    return named([str(scene) for scene in root[f"{inside}scene"][...]])


def named(ids: list[str] | tuple[str, ...]) -> str:
    """Scenes, told briefly."""
    if len(ids) == 1:
        return f"scene {ids[0]!r}"
    return f"the {len(ids)} scenes {ids[0]!r} to {ids[-1]!r}"
