"""Labelling part by part, so that a killed job goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spatialsv.config import to_mapping
from spatialsv.io.atomic import delete
from spatialsv.io.digests import digest_path
from spatialsv.io.locks import exclusive_lock
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.io.work_directory import open_work_directory
from spatialsv.scenes.scene import Scenes, SceneSet
from spatialsv.scenes.scene_list import stack
from spatialsv.scenes.store import load_store, write_store

PART_SIZE = 32  # scenes that a kill can cost; smaller parts take longer to keep


def label_once(
    source: Manifest, teacher: object, config: Any, out: Path, make: Callable[[Path], Manifest]
) -> Manifest:
    """The manifest of one labelling job, written to `out`; `make` is given a folder for its parts.

    What a failed or killed job labelled is kept for the next one, be its settings others: the
    teacher's own answers depend on scenes, teacher and batches alone. If another process is at the
    same job, this one waits, and takes what that one made.

    Args:
        source: of the scenes.
        teacher: a name, a checkpoint's folder, or a teacher.
        config: the stage's, with a `batch_size`.
    """
    made_from = {
        "scenes": {name: digest for name, digest in source.payload.items() if ".zarr" in name},
        "teacher": _identity(teacher),
        "config": to_mapping(config),
    }
    work = out.with_name(f".{out.stem}.work")
    with exclusive_lock(out.with_name(f".{out.stem}.lock")) as waited:
        ended = waited or work.exists()  # elsewhere, or here but for the folder's deletion
        if ended and out.is_file() and read_manifest(out).about.get("made_from") == made_from:
            delete(work)
            return read_manifest(out)
        open_work_directory(work, made_from | {"config": {"batch_size": config.batch_size}})
        manifest = make(work)
        write_manifest(out, replace(manifest, about=manifest.about | {"made_from": made_from}))
        delete(work)
    return read_manifest(out)


def _identity(teacher: object) -> str:
    if not isinstance(teacher, str):
        return type(teacher).__name__
    return digest_path(Path(teacher)) if Path(teacher).is_dir() else teacher


def label_in_parts(
    groups: Sequence[SceneSet], label: Callable[[Scenes], Scenes], batch: int, folder: Path
) -> list[Scenes]:
    """The labels of all `groups`; those that an earlier run left in `folder` are not made again.

    Args:
        label: of some scenes, whose rows do not depend on each other.
        batch: scenes that `label` works on at once; parts are cut where batches are, so that
            numbers do not depend on the cuts.
        folder: of this job alone; see `manifest.open_work_directory`.
    """
    return [
        stack([_part(group.select(cut), label, folder / f"{number}.{cut.start}") for cut in cuts])
        for number, group in enumerate(groups)
        for cuts in [list(_cuts(len(group), batch))]
    ]


def _cuts(scenes: int, batch: int) -> Iterator[slice]:
    size = batch * max(1, PART_SIZE // batch)
    return (slice(start, start + size) for start in range(0, scenes, size))


def _part(scenes: SceneSet, label: Callable[[Scenes], Scenes], kept: Path) -> Scenes:
    """The labels in the store `kept`, made first if it is not there or not whole."""
    try:
        return load_store(kept)
    except ValueError:
        delete(kept)
    labels = label(scenes.load())
    write_store(kept, labels)
    return labels
