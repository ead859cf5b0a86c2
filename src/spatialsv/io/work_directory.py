"""Directories of unfinished work, reused by the next run if it depends on the same inputs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from spatialsv.io.atomic import write_json


def open_work_directory(folder: Path, identity: dict[str, Any]) -> Path:
    """Return `folder`, emptied first if it belongs to a run with another identity.

    Args:
        folder: where a run keeps checkpoints and partial results; it is created.
        identity: everything the result depends on, JSON-serialisable.
    """
    recorded, current = folder / "run.json", folder.with_name(f"{folder.name}.json")
    write_json(current, identity)
    if not recorded.is_file() or recorded.read_bytes() != current.read_bytes():
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    current.replace(recorded)
    return folder
