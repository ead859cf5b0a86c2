"""Compare artefacts with the digests in their manifests: `spatialsv verify`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, is_manifest, read_manifest, recorded_digest
from spatialsv.io.text import load_json
from spatialsv.scenes.store.completeness import ROOT, open_complete


@dataclass
class Verification:
    """What was checked, and what is wrong with it."""

    path: Path
    manifests: int = 0
    entries: int = 0
    stores: int = 0  # that no manifest lists
    errors: list[str] = field(default_factory=list)  # each with its remedy


def verify(path: Path = Path("data")) -> Verification:
    """Check all manifests, what they list, and all stores; every byte is read again.

    Args:
        path: a folder, a manifest or a store

    Returns:
        Counts, and the errors found.

    Raises:
        ValueError: `path` does not exist, or there is nothing to check.
    """
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder.")
    found = Verification(path)
    listed: set[Path] = set()
    others: dict[Path, str] = {}  # JSON files that cannot be read, and stores, with their errors
    for artefact in [path] if path.is_file() else _artefacts(path):
        if artefact.name == ROOT:
            others[artefact.parent] = _store_error(artefact.parent)
            continue
        try:
            record = load_json(artefact)
            manifest = read_manifest(artefact) if is_manifest(record) else None
        except (ValueError, OSError) as error:
            others[artefact] = str(error)
            continue
        if manifest:
            found.manifests += 1
            found.entries += len(manifest.payload)
            listed |= {(artefact.parent / name).resolve() for name in manifest.payload}
            states = entry_states(manifest)
            found.errors += [f"{state} {manifest.remedy}" for state in states.values() if state]
    for other, problem in others.items():
        if listed.isdisjoint([other.resolve(), *other.resolve().parents]):
            found.stores += other.is_dir()
            found.errors += [problem] if problem else []
    if not (found.manifests or found.stores or found.errors):
        raise ValueError(f"{path}: contains no manifest and no store.")
    return found


def entry_states(manifest: Manifest) -> dict[str, str]:
    """Return what is wrong with each entry of a manifest that was read; "" where nothing is."""
    assert manifest.path is not None
    states = {}
    for name, expected in manifest.payload.items():
        path = manifest.path.parent / name
        states[name] = _store_error(path) if (path / ROOT).is_file() else ""
        if not states[name] and (recorded_digest(path) or digest_path(path)) != expected:
            states[name] = f"{path}: its content is not what {manifest.path} lists."
    return states


def format_verification(found: Verification) -> str:
    """Return the errors and a summary in lines of text."""
    counts = f"{found.manifests} manifests, {found.entries} entries, {found.stores} other stores"
    last = f"{counts}, {len(found.errors) or 'no'} errors; {found.path}"
    return "\n".join([*found.errors, last])


def _store_error(path: Path) -> str:
    """Return what is wrong with a store, or ""."""
    try:
        open_complete(path, full=True)
    except (ValueError, OSError) as error:
        return str(error)
    return ""


def _artefacts(root: Path) -> Iterator[Path]:
    """Yield the JSON files and the roots of stores at or below a folder, but for hidden ones."""
    for folder, folders, files in os.walk(root):
        if ROOT in files:
            folders.clear()
            yield Path(folder) / ROOT
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        names = sorted(name for name in files if name.endswith(".json") and name[0] != ".")
        yield from (Path(folder, name) for name in names)
