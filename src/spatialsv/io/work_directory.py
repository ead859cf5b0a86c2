"""Directories of unfinished work, reused by the next run if it depends on the same inputs."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spatialsv.io.atomic import write_json

RECORD = "run.json"  # in a work directory: the identity of its run
LISTED = 5  # differences that a message lists


def open_work_directory(folder: Path, identity: dict[str, Any], keep: str | None = None) -> Path:
    """Return `folder`, emptied first if it belongs to a run with another identity.

    Args:
        folder: where a run keeps checkpoints and partial results; it is created.
        identity: everything the result depends on, JSON-serialisable.
        keep: pattern of names that are not discarded; None: everything is, with a warning.

    Raises:
        ValueError: `folder` has entries that match `keep`, of a run with another identity. The
            message says what differs and what to do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    differences = list(_differences(_read_identity(folder), json.loads(json.dumps(identity))))
    left = sorted(path.name for path in folder.glob(keep or "*") if path.name != RECORD)
    if differences and left:
        listed = "; ".join(differences[:LISTED])
        if len(differences) > LISTED:
            listed += f"; and {len(differences) - LISTED} more"
        if keep:
            raise ValueError(
                f"{folder}: found {left[-1]} of a run with other inputs ({listed}). Restore these"
                f" to continue that run. To start again without it, delete {folder}."
            )
        warnings.warn(
            f"{folder}: discarded the unfinished work of a run with other inputs ({listed}).",
            stacklevel=2,
        )
    if differences:
        shutil.rmtree(folder)
        write_json(folder / RECORD, identity)
    return folder


def _read_identity(folder: Path) -> Any:
    """Return the recorded identity; None if there is none, or if it is not JSON."""
    try:
        return json.loads((folder / RECORD).read_text())
    except (FileNotFoundError, ValueError):
        return None


def _differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Yield where two identities differ, and their values there."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            path = f"{where}.{key}" if where else key
            yield from _differences(old.get(key), new.get(key), path)
    elif old != new:
        yield f"{where or 'identity'}: {json.dumps(old)} then, {json.dumps(new)} now"
