"""Refusals that Snakemake itself does not make, each within seconds and with its remedy.

They cover a second run in one clone, jobs that an earlier run left in a queue, another overlay's
artefacts, and required inputs that no rule can make. Dry runs reach none of them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from spatialsv.io.locks import try_lock


@contextmanager
def claim(root: Path) -> Iterator[None]:
    """Claim the clone for one run, until the block or the process ends.

    Snakemake's own lock outlives a killed run and must then be removed by hand; this one does not.

    Args:
        root: the repository.

    Raises:
        RuntimeError: another run is active here; the message names its process.
    """
    owner = root / ".snakemake/run.pid"
    lock = try_lock(root / ".snakemake/run.lock")
    if lock is None:
        pid = owner.read_text().strip() if owner.is_file() else "unknown"
        raise RuntimeError(
            f"another run is active in {root} (process {pid})."
            " Wait for it, or work in another clone."
        )
    try:
        owner.write_text(str(os.getpid()))
        yield
    finally:
        lock.release()


def check_queue(root: Path) -> None:
    """Refuse to submit jobs to SLURM again that an earlier run left there.

    Args:
        root: the repository.

    Raises:
        RuntimeError: such jobs wait or run; the message names them.
    """
    submitted = set()
    for path in (root / ".snakemake/incomplete").glob("*"):
        try:
            submitted.add(str(json.loads(path.read_text())["external_jobid"]).partition("_")[0])
        except (ValueError, KeyError, TypeError):
            continue  # not of a cluster
    if not (submitted := {job for job in submitted if job.isdigit()}) or not shutil.which("squeue"):
        return
    command = ["squeue", "--noheader", "--me", "--format=%A"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if active := sorted(submitted & set(found.stdout.split()), key=int):
        raise RuntimeError(
            f"jobs of an earlier run are still queued or running: {', '.join(active)}. Wait until"
            f" they have ended: what they make is used. Or stop them: `scancel {' '.join(active)}`."
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


def _artefacts(data: Path, stages: Sequence[str]) -> Iterator[Path]:
    """Yield the JSON files below the folders of `stages`, but not those of Zarr stores."""
    for stage in stages:
        for folder, folders, files in os.walk(data / stage):
            folders[:] = [name for name in folders if not name.endswith(".zarr")]
            yield from (Path(folder, name) for name in files if name.endswith(".json"))
