"""One shard of unlabelled scenes in, a store of gated labels out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from spatialsv.config import to_mapping
from spatialsv.io.atomic import write_json
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest
from spatialsv.pseudo.gate import GateConfig
from spatialsv.pseudo.judge import Verdict, judge_scene
from spatialsv.pseudo.measure import measure_gate
from spatialsv.scenes.scene import GateReason
from spatialsv.scenes.scene_list import SceneList, group_by_shape
from spatialsv.scenes.store import load_groups, write_groups
from spatialsv.teachers.load import load_teacher
from spatialsv.teachers.parts import label_in_parts, label_once
from spatialsv.teachers.teacher import Teacher, describe_teacher


@dataclass(frozen=True, kw_only=True)
class PseudoConfig:
    """How unlabelled scenes become labels."""

    gate: GateConfig = field(default_factory=GateConfig)
    floor: float = 0.2  # scenes that keep a smaller share of their pixels are left out
    max_camera_error: float | None = None  # degrees; scenes whose known cameras differ more, too
    batch_size: int = 8  # scenes


def run(
    scenes: Path,
    config: PseudoConfig,
    out: Path,
    teacher: Teacher | str = "rooms",
    commercial: bool = False,
) -> Manifest:
    """Label the scenes of one manifest with `teacher`, or the one of that name; gate; write.

    The store has all scenes, each pixel with its `GateReason`; `valid` is what the gate trusts:
    pixels that are kept, of scenes that are not left out. Where the scenes' own cameras or depths
    are known, `scale` is in their unit. `about` has each scene's kept share, scale and camera
    error, and the scenes left out, with the reason; `counts` the pixels of each `GateReason`.
    The metrics lie next to `out` and, where the scenes' depth is known, the gate's accuracy (see
    `measure_gate`).
    A job that is killed, or that keeps nothing, leaves the teacher's answers for the next one.

    Raises:
        ValueError: missing scenes or weights, or no scene that keeps enough.
    """
    source = read_manifest(scenes)

    def make(work: Path) -> Manifest:
        knows = load_teacher(teacher, config.batch_size, commercial) if named else teacher
        return _label(source, knows, config, out, work)

    named = isinstance(teacher, str)
    return label_once(source, teacher, config, out, make)


def _label(
    source: Manifest, teacher: Teacher, config: PseudoConfig, out: Path, work: Path
) -> Manifest:
    """Write store and records; give the manifest that vouches for them."""
    groups = load_groups(source.find(".zarr"), ["image", "depth"])
    labels = SceneList(label_in_parts(groups, teacher.label, config.batch_size, work))
    rules = (config.gate, config.floor, config.max_camera_error)
    seen = SceneList(groups)
    verdicts = [judge_scene(*pair, *rules) for pair in zip(labels, seen, strict=True)]
    _tell(verdicts)
    if all(verdict.left_out for verdict in verdicts):
        best = max(verdicts, key=lambda verdict: verdict.kept)
        raise ValueError(
            f"{source.path}: every scene is left out (the best one, {best.labels.ids[0]},"
            f" {best.left_out}); lower pseudo.floor or loosen pseudo.gate"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    store = out.with_suffix(".zarr")
    payload = {store.name: write_groups(store, group_by_shape(v.labels for v in verdicts))}
    kept = [verdict.kept for verdict in verdicts]
    left_out = [bool(verdict.left_out) for verdict in verdicts]
    records = {"metrics": {"kept": float(np.mean(kept)), "left_out": float(np.mean(left_out))}}
    if measured := measure_gate([verdict.labels for verdict in verdicts], seen, config.gate):
        records["gate"] = measured
    for name, record in records.items():
        path = out.with_suffix(f".{name}.json")
        write_json(path, record)
        payload[path.name] = digest_path(path)
    return Manifest(
        stage="pseudo",
        payload=payload,
        counts=_counts(verdicts),
        config=to_mapping(config),
        about=describe_teacher(teacher, labels[0]) | _about(verdicts),
    )


def _counts(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Scenes, and pixels of each reason over all of them, those left out as well."""
    reasons = [verdict.labels.reason for verdict in verdicts]
    left_out = sum(bool(verdict.left_out) for verdict in verdicts)
    return {"scenes": len(verdicts) - left_out, "scenes_left_out": left_out} | {
        f"pixels_{value.name.lower()}": sum(int((reason == value).sum()) for reason in reasons)
        for value in GateReason
    }


def _about(verdicts: Sequence[Verdict]) -> dict[str, dict[str, float | str]]:
    """What is known of each scene, by its id: `kept`, `scale`, `camera_error`, `left_out`."""
    found = {}
    for name in ("kept", "scale", "camera_error", "left_out"):
        values = {verdict.labels.ids[0]: getattr(verdict, name) for verdict in verdicts}
        found[name] = {
            scene: round(value, 4) if name != "left_out" else value
            for scene, value in values.items()
            if value is not None
        }
    return found


def _tell(verdicts: Sequence[Verdict]) -> None:
    """The log: what is kept, and each scene that is left out."""
    kept = [verdict.kept for verdict in verdicts]
    lines = [f"keeps {np.mean(kept):.1%} of the pixels, of single scenes {min(kept):.1%} or more"]
    lines += [f"leaves out {v.labels.ids[0]}: {v.left_out}" for v in verdicts if v.left_out]
    print(*lines, sep="\n", file=sys.stderr)
