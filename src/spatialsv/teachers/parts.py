"""Labelling in parts, so that an interrupted job resumes."""

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
from spatialsv.scenes.scene import Scenes, SceneSet, find_invalid_value
from spatialsv.scenes.scene_list import stack
from spatialsv.scenes.store import load_store, write_store

PART_SIZE = 32  # scenes; the work that an interruption can lose


def label_once(
    source: Manifest, teacher: object, config: Any, out: Path, make: Callable[[Path], Manifest]
) -> Manifest:
    """Run a labelling job and write its manifest, unless another process has just done so.

    Parts that an interrupted job labelled are reused, even with other settings of the stage: the
    teacher's labels depend on scenes, teacher and batch size only. While another process runs the
    same job, this one waits.

    Args:
        source: Manifest of the scenes.
        teacher: Name, checkpoint directory, or teacher.
        config: The stage's settings, with a `batch_size`.
        out: Path of the manifest.
        make: Labels the scenes, given a directory for parts.

    Returns:
        The manifest.
    """
    made_from = {
        "scenes": {name: digest for name, digest in source.payload.items() if ".zarr" in name},
        "teacher": _identity(teacher),
        "config": to_mapping(config),
    }
    work = out.with_name(f".{out.stem}.work")
    with exclusive_lock(out.with_name(f".{out.stem}.lock")) as waited:
        may_be_done = waited or work.exists()  # by another process, or but for the cleaning up
        if may_be_done and out.is_file() and read_manifest(out).about.get("made_from") == made_from:
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
    """Label `groups` in parts, reusing those that an earlier run left in `folder`.

    Args:
        groups: Scenes by shape.
        label: Labels scenes independently of each other.
        batch: Scenes that `label` processes at a time. Parts are cut between batches, so that
            labels do not depend on the cuts.
        folder: Work directory of this job; see `open_work_directory`.

    Returns:
        Labels of each group.

    Raises:
        ValueError: a teacher's depth, camera or feature is not finite.
    """
    return [
        stack([_part(group.select(cut), label, folder / f"{number}.{cut.start}") for cut in cuts])
        for number, group in enumerate(groups)
        for cuts in [list(_cuts(len(group), batch))]
    ]


def _cuts(scenes: int, batch: int) -> Iterator[slice]:
    """Yield the rows of each part."""
    size = batch * max(1, PART_SIZE // batch)
    return (slice(start, start + size) for start in range(0, scenes, size))


def _part(scenes: SceneSet, label: Callable[[Scenes], Scenes], store: Path) -> Scenes:
    """Return the labels in `store`, after making them if it is missing or incomplete."""
    try:
        return load_store(store)
    except ValueError:
        delete(store)
    labels = label(scenes.load())
    if error := find_invalid_value(labels):
        raise ValueError(f"The teacher's output cannot be used as a label: {error}.")
    write_store(store, labels)
    return labels
