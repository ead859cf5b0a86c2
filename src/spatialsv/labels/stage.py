"""One shard of scenes in, a store of geometry labels out, with the teacher's errors where known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from spatialsv.config import to_mapping
from spatialsv.labels.errors import label_errors
from spatialsv.manifest import Manifest, digest_path, read_manifest, write_json, write_manifest
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import read_groups, write_groups
from spatialsv.teachers.load import load_teacher
from spatialsv.teachers.teacher import told


@dataclass(frozen=True, kw_only=True)
class LabelsConfig:
    """How scenes become labels."""

    drop_percent: float = 10.0  # of each scene's pixels, the least confident; ties stay
    batch_size: int = 8  # scenes

    def __post_init__(self) -> None:
        if not 0 <= self.drop_percent < 100:
            raise ValueError(f"drop_percent {self.drop_percent}: expected 0 to below 100")


def run(
    scenes: Path, teacher: str, config: LabelsConfig, out: Path, commercial: bool = False
) -> Manifest:
    """Label the scenes of one manifest; write the store, then `out` and, beside it, the metrics.

    Raises:
        ValueError: an unknown teacher, missing scenes or weights, or, where `commercial`, a licence
            that is not known to allow that.
    """
    seen = read_groups(read_manifest(scenes).find(".zarr"))
    knows = load_teacher(teacher, config.batch_size, commercial)
    labels = [drop_unsure(knows.label(group), config.drop_percent) for group in seen]
    out.parent.mkdir(parents=True, exist_ok=True)
    store = out.with_suffix(".zarr")
    digest = write_groups(store, labels)
    metrics = out.with_suffix(".metrics.json")
    write_json(metrics, label_errors(labels, seen))
    manifest = Manifest(
        stage="labels",
        payload={store.name: digest, metrics.name: digest_path(metrics)},
        counts={
            "scenes": sum(map(len, labels)),
            "pixels": sum(group.valid.size for group in labels),
            "valid": sum(int(group.valid.sum()) for group in labels),
        },
        config=to_mapping(config),
        about=told(knows, labels[0]),
    )
    write_manifest(out, manifest)
    return replace(manifest, path=out)


def drop_unsure(labels: Scenes, percent: float) -> Scenes:
    """`labels` with each scene's least confident `percent` of valid pixels no longer valid."""
    if labels.confidence is None or percent == 0:
        return labels
    sure = np.zeros_like(labels.valid)
    for row, (confidence, valid) in enumerate(zip(labels.confidence, labels.valid, strict=True)):
        if valid.any():
            sure[row] = confidence >= np.percentile(confidence[valid], percent)
    return replace(labels, valid=labels.valid & sure)
