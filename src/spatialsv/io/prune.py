"""Deletion of what no manifest lists any more."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from spatialsv.io.manifest import is_manifest
from spatialsv.io.text import load_json


def prune(folder: Path, keep: Iterable[Path]) -> list[Path]:
    """Delete everything in `folder` except `keep` and what manifests in `keep` list.

    Args:
        folder: the directory of a stage; it is searched recursively.
        keep: manifests, whose payload is kept too, and single files.

    Returns:
        The deleted paths.
    """
    kept: set[Path] = set()
    for path in keep:
        kept.add(path.resolve())
        if path.suffix == ".json" and path.is_file():
            record = load_json(path)
            if is_manifest(record):
                kept.update((path.parent / name).resolve() for name in record["payload"])
    return list(_prune(folder.resolve(), kept)) if folder.is_dir() else []


def _prune(folder: Path, kept: set[Path]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path in kept:
            continue
        if path.is_dir() and any(path in other.parents for other in kept):
            yield from _prune(path, kept)
        elif path.is_dir():
            shutil.rmtree(path)
            yield path
        else:
            path.unlink()
            yield path
