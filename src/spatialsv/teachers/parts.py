"""Labelling part by part, so that a killed job goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from spatialsv.manifest import delete
from spatialsv.scenes.scene import Scenes, stack
from spatialsv.scenes.store import read_store, write_store

PART = 32  # scenes that a kill can cost; smaller parts take longer to keep


def label_in_parts(
    groups: Sequence[Scenes], label: Callable[[Scenes], Scenes], batch: int, folder: Path
) -> list[Scenes]:
    """The labels of all `groups`; those that an earlier run left in `folder` are not made again.

    Args:
        label: of some scenes, whose rows do not depend on each other.
        batch: scenes that `label` works on at once; parts are cut where batches are, so that
            numbers do not depend on the cuts.
        folder: of this job alone; see `manifest.work_folder`.
    """
    return [
        stack([_part(group.select(cut), label, folder / f"{number}.{cut.start}") for cut in cuts])
        for number, group in enumerate(groups)
        for cuts in [list(_cuts(len(group), batch))]
    ]


def _cuts(scenes: int, batch: int) -> Iterator[slice]:
    size = batch * max(1, PART // batch)
    return (slice(start, start + size) for start in range(0, scenes, size))


def _part(scenes: Scenes, label: Callable[[Scenes], Scenes], kept: Path) -> Scenes:
    """The labels in the store `kept`, made first if it is not there or not whole."""
    try:
        return read_store(kept)
    except ValueError:
        delete(kept)
    labels = label(scenes.read())
    write_store(kept, labels)
    return labels
