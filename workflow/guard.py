"""Refusals that Snakemake itself does not make, each within seconds and with its remedy.

A second run in one clone, artefacts of unknown make, and a run that lacks what no rule can make.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

# Modes that start no job: they may look on while another run works.
LOOKING = re.compile(
    r"-[a-z]*n[a-z]*|--dry-?run|--lint|--list.*|-l|--lt|--summary|-S|--detailed-summary|-D"
    r"|--dag|--rulegraph|--filegraph|--d3dag|--report|--lc|--li|--lp|--lv"
)
ADOPTING = re.compile(r"-t|--touch|--cleanup-metadata|--unlock|--delete-all-output|--lint")


def claim(root: Path, arguments: Sequence[str]) -> TextIO | None:
    """Claim the clone for this run; the kernel gives the claim back when the process ends.

    Snakemake's own lock outlives a killed run and must then be removed by hand. This one does
    not; whoever holds it knows that locks lying about are left over, and clears them.

    Returns: the open lock file, to be kept for as long as the run lasts; None for a look.

    Raises:
        RuntimeError: another run is at work here; the message names its process.
    """
    folder = root / ".snakemake"
    folder.mkdir(exist_ok=True)
    handle = (folder / "run.lock").open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if _looks(arguments):
            return None
        handle.seek(0)
        raise RuntimeError(
            f"another run is at work in {root} (process {handle.read().strip() or 'unknown'}); "
            "this one leaves. Wait for it, or work in a clone of your own."
        ) from None
    for stale in (folder / "locks").glob("*.lock"):
        stale.unlink()
    if _looks(arguments):
        handle.close()
        return None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def check_provenance(root: Path, stages: Sequence[str], arguments: Sequence[str]) -> None:
    """Refuse to go on when artefacts are here and Snakemake does not know how they were made.

    After `dvc pull` or a copy of `data/` alone, either everything would run again, or, worse, a
    later edit would be missed without a word.

    Raises:
        RuntimeError: manifests exist and `.snakemake/metadata` is empty.
    """
    if any(ADOPTING.fullmatch(argument) for argument in arguments):
        return
    # A job leaves its mark in `incomplete` when it starts and in `metadata` when it ends, so a run
    # that was killed at its first job is known too.
    records = (root / ".snakemake" / name for name in ("metadata", "incomplete"))
    if any(path.is_file() for folder in records for path in folder.rglob("*")):
        return
    found = next(_artefacts(root / "data", stages), None)
    if found is not None:
        raise RuntimeError(
            f"{found.relative_to(root)} exists, but .snakemake/metadata does not say how it was "
            "made, so that a later edit could be missed. `make pull` adopts what dvc.lock vouches "
            "for; `snakemake --cores 1 --touch --forceall all` adopts data/ as it is; "
            "`make clean` deletes it."
        )


def check_overlay(
    root: Path, overlay: str, stages: Sequence[str], arguments: Sequence[str]
) -> None:
    """Refuse to replace another overlay's run: all write to one `data/`, and clear it of leftovers.

    Raises:
        RuntimeError: artefacts of the last run's overlay are here, which was another.
    """
    if _looks(arguments) or any(ADOPTING.fullmatch(argument) for argument in arguments):
        return
    record = root / ".snakemake/overlay"
    last = record.read_text().strip() if record.is_file() else overlay
    if last != overlay and next(_artefacts(root / "data", stages), None):
        raise RuntimeError(
            f"data/ holds a run of overlay {last!r}, and one of {overlay!r} would replace it. "
            f"`git clone . ../{overlay}` keeps both; `make clean` deletes the old one; "
            f"`rm {record.relative_to(root)}` goes on over it, and takes over what is the same."
        )
    record.parent.mkdir(exist_ok=True)
    record.write_text(overlay)


def drop_torn(root: Path, stages: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """Delete a stage's own manifest where one that it lists is gone.

    A job that was forced and failed has lost its manifest, and Snakemake would not make that one
    again as long as the stage's own still stands.

    Returns: what was found, a line each; a look deletes nothing.
    """
    found = []
    for stage in stages:
        own = root / "data" / stage / "manifest.json"
        if not own.is_file():
            continue
        listed = json.loads(own.read_text()).get("payload", {})
        gone = [name for name in listed if not (own.parent / name).exists()]
        if gone:
            if not _looks(arguments):
                own.unlink()
            first = own.relative_to(root).parent / gone[0]
            found.append(f"{first} is gone, though its stage lists it: a run makes it again")
    return found


def check_needs(
    root: Path,
    needs: Mapping[str, Mapping[str, str]],
    lacks: Sequence[str],
    arguments: Sequence[str],
) -> None:
    """Refuse to start what would fail hours later for want of something that no rule makes.

    Args:
        needs: what must lie where: name -> `path`, from `root`, and `get`, how to come by it.
        lacks: what this version cannot do, in sentences.

    Raises:
        RuntimeError: something is missing; the message lists all of it, not only the first.
    """
    if _looks(arguments):
        return
    missing = [
        f"{name}: no {need['path']}\n    {need['get']}"
        for name, need in needs.items()
        if not (root / need["path"]).exists()
    ]
    if told := [*missing, *lacks]:
        listed = "".join(f"\n  {number}. {one}" for number, one in enumerate(told, start=1))
        raise RuntimeError(f"this run needs what is not here (`-n` plans it all the same):{listed}")


def _looks(arguments: Sequence[str]) -> bool:
    """Whether Snakemake was asked for a look only, which starts no job."""
    return any(LOOKING.fullmatch(argument) for argument in arguments)


def _artefacts(data: Path, stages: Sequence[str]) -> Iterator[Path]:
    for stage in stages:
        for folder, folders, files in os.walk(data / stage):
            folders[:] = [name for name in folders if not name.endswith(".zarr")]
            yield from (Path(folder, name) for name in files if name.endswith(".json"))
