"""Stage `labels`: one shard of scenes in, a store of a teacher's geometry out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatialsv.config import to_mapping
from spatialsv.io.atomic import write_json
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest
from spatialsv.labels.errors import label_errors
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.scene_list import count_without_depth
from spatialsv.scenes.store import open_store, write_groups
from spatialsv.teachers.load import load_teacher
from spatialsv.teachers.parts import label_in_parts, label_once
from spatialsv.teachers.teacher import Teacher, describe_teacher


@dataclass(frozen=True, kw_only=True)
class LabelsConfig:
    """Processing of a teacher's labels."""

    drop_percent: float = 10.0  # drop each scene's least confident pixels, in percent; ties stay
    batch_size: int = 8  # scenes
    # Round depth and confidence to 11 bits (0.05 %), which halves the store. Normals of labels are
    # then off by 4 degrees at 252 pixels, by 8 at 518.
    half: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.drop_percent < 100:
            raise ValueError(f"drop_percent: expected 0 to below 100, found {self.drop_percent}.")


def run(
    scenes: Path, teacher: str, config: LabelsConfig, out: Path, commercial: bool = False
) -> Manifest:
    """Label the scenes of one manifest, and write store, metrics and manifest.

    A killed job resumes where it stopped. If another process runs the same job, this one waits and
    uses its result.

    Args:
        scenes: manifest of the scenes.
        teacher: name of a teacher.
        config: processing of the labels.
        out: the manifest to write; store and metrics are written next to it.
        commercial: refuse a teacher without a commercial licence.

    Returns:
        The manifest.
    """
    source = read_manifest(scenes)

    def make(work: Path) -> Manifest:
        return _label(
            source, load_teacher(teacher, config.batch_size, commercial), config, out, work
        )

    return label_once(source, teacher, config, out, make)


def _label(
    source: Manifest, teacher: Teacher, config: LabelsConfig, out: Path, work: Path
) -> Manifest:
    """Write the store and the metrics, and return their manifest."""
    scenes = open_store(source.find(".zarr"))
    labels = [
        drop_unsure(group, config.drop_percent)
        for group in label_in_parts(scenes, teacher.label, config.batch_size, work)
    ]
    labels = [round_to_half(group) for group in labels] if config.half else labels
    count, empty = sum(map(len, labels)), sum(map(count_without_depth, labels))
    if empty == count:
        raise ValueError(
            f"{source.path}: {labels[0].source} gave no valid pixel in any of {count} scenes."
            " Check the images, or choose another teacher."
        )
    store, metrics = out.with_suffix(".zarr"), out.with_suffix(".metrics.json")
    digest = write_groups(store, labels)
    write_json(metrics, label_errors(labels, (group.load("depth") for group in scenes)))
    return Manifest(
        stage="labels",
        payload={store.name: digest, metrics.name: digest_path(metrics)},
        counts={
            "scenes": count,
            "pixels": sum(group.valid.size for group in labels),
            "valid": sum(int(group.valid.sum()) for group in labels),
        }
        | ({"scenes_without_valid_depth": empty} if empty else {}),
        config=to_mapping(config),
        about=describe_teacher(teacher, labels[0]),
    )


def drop_unsure(labels: Scenes, percent: float) -> Scenes:
    """Return `labels` without each scene's least confident `percent` of valid pixels."""
    if not labels.has("confidence") or percent == 0:
        return labels
    is_sure = np.zeros_like(labels.valid)
    for row, (confidence, valid) in enumerate(zip(labels.confidence, labels.valid, strict=True)):
        if valid.any():
            is_sure[row] = confidence >= np.percentile(confidence[valid], percent)
    return labels.replace(valid=labels.valid & is_sure)


def round_to_half(labels: Scenes) -> Scenes:
    """Return `labels` with depth and confidence that float16 holds exactly, as a store packs it."""
    halves = {
        name: value.astype(np.float16).astype(np.float32)
        for name in ("depth", "confidence")
        if (value := labels.get(name)) is not None
    }
    return labels.replace(**halves)
