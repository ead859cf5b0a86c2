"""Refusals that Snakemake itself does not make, each within seconds and with its remedy.

They cover a second run in one clone, artefacts of unknown origin, another overlay's artefacts, and
required inputs that no rule can make. The Snakefile calls `clear_stale_locks` and
`check_provenance` whenever it is read, and the rest in `onstart`, which dry runs do not reach.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

_claims: list[TextIO] = []  # open as long as this process lives


def claim(root: Path) -> None:
    """Claim the clone for this run, until the process ends.

    Snakemake's own lock outlives a killed run and must then be removed by hand; this one does not.

    Args:
        root: the repository.

    Raises:
        RuntimeError: another run is active here; the message names its process.
    """
    handle = _open_lock(root)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RuntimeError(_active_run(root, handle)) from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    _claims.append(handle)


def clear_stale_locks(root: Path) -> str | None:
    """Delete Snakemake's locks of killed runs.

    Args:
        root: the repository.

    Returns:
        A message where another run is active, whose locks stay; else None.
    """
    with _open_lock(root) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _active_run(root, handle)
        for lock in (root / ".snakemake/locks").glob("*.lock"):
            lock.unlink()
    return None


def check_provenance(root: Path, stages: Sequence[str]) -> None:
    """Refuse artefacts of which Snakemake does not know how they were made.

    After `dvc pull`, or a copy of `data/` without `.snakemake`, either everything would run again,
    or, worse, a later edit would be missed without a message.

    Args:
        root: the repository.
        stages: the folders of data/ to look into.

    Raises:
        RuntimeError: manifests exist and `.snakemake/metadata` is empty.
    """
    # A job leaves its mark in `incomplete` when it starts and in `metadata` when it ends, so that
    # a run which was killed during its first job has a mark as well.
    records = (root / ".snakemake" / name for name in ("metadata", "incomplete"))
    if any(path.is_file() for folder in records for path in folder.rglob("*")):
        return
    artefact = next(_artefacts(root / "data", stages), None)
    if artefact is not None:
        raise RuntimeError(
            f"{artefact.relative_to(root)} exists, but .snakemake/metadata does not say how it was"
            " made, so that a later edit could be missed. `make pull` adopts the artefacts of"
            " dvc.lock. `snakemake --cores 1 --touch --forceall all --config adopt=true` adopts"
            " data/ as it is. `make clean` deletes it."
        )


def check_overlay(root: Path, overlay: str, stages: Sequence[str]) -> None:
    """Refuse to replace another overlay's run: all overlays write to the same `data/`.

    Args:
        root: the repository.
        overlay: the overlay of this run, which is recorded.
        stages: the folders of data/ to look into.

    Raises:
        RuntimeError: the artefacts in data/ belong to another overlay.
    """
    record = root / ".snakemake/overlay"
    last = record.read_text().strip() if record.is_file() else overlay
    if last != overlay and next(_artefacts(root / "data", stages), None):
        raise RuntimeError(
            f"data/ holds a run of overlay {last!r}, which a run of {overlay!r} would replace."
            f" `git clone . ../{overlay}` keeps both. `make clean` deletes the old one."
            f" `rm {record.relative_to(root)}` replaces it and reuses equal artefacts."
        )
    record.parent.mkdir(exist_ok=True)
    record.write_text(overlay)


def check_required(
    root: Path, needs: Mapping[str, Mapping[str, str]], errors: Sequence[str]
) -> None:
    """Refuse a run that would fail hours later because an input is missing that no rule makes.

    Args:
        root: the repository.
        needs: name -> `path`, from `root`, and `get`, how to obtain it.
        errors: further reasons why the run cannot succeed.

    Raises:
        RuntimeError: something is missing; the message lists all of it.
    """
    missing = [
        f"{name}: no {need['path']}\n    {need['get']}"
        for name, need in needs.items()
        if not (root / need["path"]).exists()
    ]
    if problems := [*missing, *errors]:
        lines = "".join(f"\n  {number}. {text}" for number, text in enumerate(problems, start=1))
        raise RuntimeError(f"Required inputs are missing (a dry run, `-n`, is possible):{lines}")


def _open_lock(root: Path) -> TextIO:
    folder = root / ".snakemake"
    folder.mkdir(exist_ok=True)
    return (folder / "run.lock").open("a+")


def _active_run(root: Path, handle: TextIO) -> str:
    """Return the message that another run holds the lock."""
    handle.seek(0)
    return (
        f"another run is active in {root} (process {handle.read().strip() or 'unknown'})."
        " Wait for it, or work in another clone."
    )


def _artefacts(data: Path, stages: Sequence[str]) -> Iterator[Path]:
    """Yield the JSON files below the folders of `stages`, but not those of Zarr stores."""
    for stage in stages:
        for folder, folders, files in os.walk(data / stage):
            folders[:] = [name for name in folders if not name.endswith(".zarr")]
            yield from (Path(folder, name) for name in files if name.endswith(".json"))
