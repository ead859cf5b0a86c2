"""Manifests over files that a test wrote."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from spatialsv.io.manifest import Manifest, read_manifest, stored_digest, write_manifest


def manifest_over(path: Path, stage: str, names: Iterable[str], **fields: Any) -> Path:
    """Write the manifest `path` over files and folders next to it; return `path`."""
    payload = {name: stored_digest(path.parent / name) for name in names}
    write_manifest(path, Manifest(stage=stage, payload=payload, **fields))
    return path


def edit_manifest(path: Path, **fields: Any) -> None:
    """Replace fields of the manifest `path`."""
    write_manifest(path, replace(read_manifest(path), **fields))
