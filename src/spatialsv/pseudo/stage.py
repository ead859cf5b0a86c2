"""Stage `pseudo`: one shard of scenes without questions in, a store of gated labels out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spatialsv.config import to_mapping
from spatialsv.io.atomic import write_json
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest
from spatialsv.pseudo.gate import GateConfig, GateResult, gate_scene
from spatialsv.pseudo.measure import measure_gate
from spatialsv.scenes.scene import GateReason
from spatialsv.scenes.scene_list import SceneList, group_by_shape
from spatialsv.scenes.store import load_groups, write_groups
from spatialsv.teachers.load import load_teacher
from spatialsv.teachers.parts import label_in_parts, label_once
from spatialsv.teachers.teacher import Teacher, describe_teacher


@dataclass(frozen=True, kw_only=True)
class PseudoConfig:
    """Gating of a teacher's labels."""

    gate: GateConfig = field(default_factory=GateConfig)  # which pixels are used
    floor: float = 0.2  # exclude scenes that keep a smaller fraction of their pixels
    max_camera_error: float | None = None  # degrees; exclude scenes above; None: no limit
    batch_size: int = 8  # scenes


def run(
    scenes: Path,
    config: PseudoConfig,
    out: Path,
    teacher: Teacher | str = "rooms",
    commercial: bool = False,
) -> Manifest:
    """Label the scenes of one manifest, gate the labels, and write store, metrics and manifest.

    The store has all scenes with the `GateReason` of each pixel. `valid` is true at kept pixels of
    scenes that are not excluded. `scale` is in the unit of the scenes' geometry, if they have any.
    The manifest's `about` has the kept fraction, scale and camera error of each scene, and the
    excluded scenes with the reason; its `counts` has the pixels of each reason. If the depth of
    scenes is known, the accuracy of the gate is written next to `out`, see `measure_gate`.

    A job that is killed, or that keeps no scene, leaves the teacher's labels for the next one.

    Args:
        scenes: manifest of the scenes.
        config: gate and thresholds.
        out: the manifest to write.
        teacher: a teacher, or the name of one.
        commercial: refuse a teacher without a commercial licence.

    Returns:
        The manifest.
    """
    source = read_manifest(scenes)

    def make(work: Path) -> Manifest:
        if isinstance(teacher, str):
            loaded = load_teacher(teacher, config.batch_size, commercial)
            return _label(source, loaded, config, out, work)
        return _label(source, teacher, config, out, work)

    return label_once(source, teacher, config, out, make)


def _label(
    source: Manifest, teacher: Teacher, config: PseudoConfig, out: Path, work: Path
) -> Manifest:
    """Write the store and the metrics.

    Returns:
        Their manifest.

    Raises:
        ValueError: every scene is excluded.
    """
    groups = load_groups(source.find(".zarr"), ["image", "depth"])
    labels = SceneList(label_in_parts(groups, teacher.label, config.batch_size, work))
    references = SceneList(groups)
    results = [
        gate_scene(label, reference, config.gate, config.floor, config.max_camera_error)
        for label, reference in zip(labels, references, strict=True)
    ]
    _log(results)
    if all(result.exclusion for result in results):
        best = max(results, key=lambda result: result.kept)
        raise ValueError(
            f"{source.path}: every scene is excluded. The best one, {best.labels.ids[0]},"
            f" {best.exclusion}. Lower pseudo.floor or relax pseudo.gate."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    store = out.with_suffix(".zarr")
    payload = {store.name: write_groups(store, group_by_shape(r.labels for r in results))}
    kept = float(np.mean([result.kept for result in results]))
    excluded = float(np.mean([bool(result.exclusion) for result in results]))
    records: dict[str, dict[str, Any]] = {"metrics": {"kept": kept, "excluded": excluded}}
    if accuracy := measure_gate([result.labels for result in results], references, config.gate):
        records["gate"] = accuracy
    for name, record in records.items():
        path = out.with_suffix(f".{name}.json")
        write_json(path, record)
        payload[path.name] = digest_path(path)
    return Manifest(
        stage="pseudo",
        payload=payload,
        counts=_counts(results),
        config=to_mapping(config),
        about=describe_teacher(teacher, labels[0]) | _about(results),
    )


def _counts(results: Sequence[GateResult]) -> dict[str, int]:
    """Count scenes, and the pixels of each reason over all scenes, excluded ones included."""
    reasons = [result.labels.reason for result in results]
    excluded = sum(bool(result.exclusion) for result in results)
    return {"scenes": len(results) - excluded, "scenes_excluded": excluded} | {
        f"pixels_{value.name.lower()}": sum(int((reason == value).sum()) for reason in reasons)
        for value in GateReason
    }


def _about(results: Sequence[GateResult]) -> dict[str, dict[str, float | str]]:
    """Return the known measurements of each scene, by their name and the scene's id."""
    about: dict[str, dict[str, float | str]] = {
        name: {
            result.labels.ids[0]: round(value, 4)
            for result in results
            if (value := getattr(result, name)) is not None
        }
        for name in ("kept", "scale", "camera_error")
    }
    about["excluded"] = {r.labels.ids[0]: r.exclusion for r in results if r.exclusion is not None}
    return about


def _log(results: Sequence[GateResult]) -> None:
    """Print the kept fraction, and each excluded scene."""
    kept = [result.kept for result in results]
    lines = [f"The gate keeps {np.mean(kept):.1%} of the pixels, at least {min(kept):.1%} a scene."]
    lines += [f"Excluded: {r.labels.ids[0]} {r.exclusion}." for r in results if r.exclusion]
    print(*lines, sep="\n", file=sys.stderr)
