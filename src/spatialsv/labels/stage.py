"""One shard of scenes in, a store of geometry labels out, with the teacher's errors where known."""

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
from spatialsv.scenes.store import open_store, write_groups
from spatialsv.teachers.load import load_teacher
from spatialsv.teachers.parts import label_in_parts, label_once
from spatialsv.teachers.teacher import Teacher, describe_teacher


@dataclass(frozen=True, kw_only=True)
class LabelsConfig:
    """How scenes become labels."""

    drop_percent: float = 10.0  # of each scene's pixels, the least confident; ties stay
    batch_size: int = 8  # scenes
    half: bool = False  # depth and confidence to 11 bits (0.05 %), which takes half the space

    def __post_init__(self) -> None:
        if not 0 <= self.drop_percent < 100:
            raise ValueError(f"drop_percent {self.drop_percent}: expected 0 to below 100")


def run(
    scenes: Path, teacher: str, config: LabelsConfig, out: Path, commercial: bool = False
) -> Manifest:
    """Label the scenes of one manifest; write the store, then `out` and, beside it, the metrics.

    A killed job goes on where it was. If another process is at the same job, this one waits, and
    takes what that one made.

    Raises:
        ValueError: an unknown teacher, missing scenes or weights, or, where `commercial`, a licence
            that is not known to allow that.
        OSError: no room on the disk, say; what was labelled before is kept.
    """
    source = read_manifest(scenes)

    def make(work: Path) -> Manifest:
        knows = load_teacher(teacher, config.batch_size, commercial)
        return _label(source, knows, config, out, work)

    return label_once(source, teacher, config, out, make)


def _label(
    source: Manifest, knows: Teacher, config: LabelsConfig, out: Path, work: Path
) -> Manifest:
    """Write store and metrics; give the manifest that vouches for them."""
    seen = open_store(source.find(".zarr"))
    whole = label_in_parts(seen, knows.label, config.batch_size, work)
    labels = [drop_unsure(group, config.drop_percent) for group in whole]
    labels = [rounded(group) for group in labels] if config.half else labels
    store, metrics = out.with_suffix(".zarr"), out.with_suffix(".metrics.json")
    digest = write_groups(store, labels)
    truth = (group.load("depth") for group in seen)
    write_json(metrics, label_errors(labels, truth))
    return Manifest(
        stage="labels",
        payload={store.name: digest, metrics.name: digest_path(metrics)},
        counts={
            "scenes": sum(map(len, labels)),
            "pixels": sum(group.valid.size for group in labels),
            "valid": sum(int(group.valid.sum()) for group in labels),
        },
        config=to_mapping(config),
        about=describe_teacher(knows, labels[0]),
    )


def drop_unsure(labels: Scenes, percent: float) -> Scenes:
    """`labels` with each scene's least confident `percent` of valid pixels no longer valid."""
    if not labels.has("confidence") or percent == 0:
        return labels
    sure = np.zeros_like(labels.valid)
    for row, (confidence, valid) in enumerate(zip(labels.confidence, labels.valid, strict=True)):
        if valid.any():
            sure[row] = confidence >= np.percentile(confidence[valid], percent)
    return labels.replace(valid=labels.valid & sure)


def rounded(labels: Scenes) -> Scenes:
    """`labels` with depth and confidence that float16 holds exactly; a store then keeps as much."""
    halves = {
        name: value.astype(np.float16).astype(np.float32)
        for name in ("depth", "confidence")
        if (value := labels.get(name)) is not None
    }
    return labels.replace(**halves)
