"""One shard of unlabelled scenes in, a store of gated labels out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from spatialsv.config import to_mapping
from spatialsv.manifest import Manifest, digest_path, read_manifest, write_json, write_manifest
from spatialsv.pseudo.gate import GateConfig, Reason, gate
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import read_groups, write_groups
from spatialsv.teachers.load import load_teacher
from spatialsv.teachers.teacher import Teacher, told


@dataclass(frozen=True, kw_only=True)
class PseudoConfig:
    """How unlabelled scenes become labels."""

    gate: GateConfig = field(default_factory=GateConfig)
    floor: float = 0.2  # scenes that keep a smaller share of their pixels are left out
    batch_size: int = 8  # scenes


def run(
    scenes: Path,
    config: PseudoConfig,
    out: Path,
    teacher: Teacher | str = "rooms",
    commercial: bool = False,
) -> Manifest:
    """Label the scenes of one manifest with `teacher`, or the one of that name; gate; write.

    The store holds the scenes that keep enough. `counts` has the pixels of each `Reason`, and
    the metrics beside `out` the kept share over all scenes; `about` lists the share of each scene
    and the scenes left out.

    Raises:
        ValueError: missing scenes or weights, or no scene that keeps enough.
    """
    seen = read_groups(read_manifest(scenes).find(".zarr"), ["image"])
    if isinstance(teacher, str):
        teacher = load_teacher(teacher, config.batch_size, commercial)
    labels = [teacher.label(group) for group in seen]
    reasons = [gate_labels(group, config.gate) for group in labels]
    kept = np.concatenate([(reason == Reason.KEPT).mean(axis=(1, 2, 3)) for reason in reasons])
    ids = [name for group in labels for name in group.ids]
    if not (kept >= config.floor).any():
        raise ValueError(
            f"{scenes}: no scene keeps {config.floor:.0%} of its pixels (the best keeps"
            f" {kept.max():.0%}); lower pseudo.floor or loosen pseudo.gate"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    store, metrics = out.with_suffix(".zarr"), out.with_suffix(".metrics.json")
    digest = write_groups(store, _chosen(labels, reasons, config.floor))
    write_json(
        metrics, {"kept": float(kept.mean()), "left_out": float(np.mean(kept < config.floor))}
    )
    chosen = int((kept >= config.floor).sum())
    manifest = Manifest(
        stage="pseudo",
        payload={store.name: digest, metrics.name: digest_path(metrics)},
        counts=_counts(reasons) | {"scenes": chosen, "scenes_left_out": len(kept) - chosen},
        config=to_mapping(config),
        about={
            **told(teacher, labels[0]),
            "kept": {name: round(float(k), 4) for name, k in zip(ids, kept, strict=True)},
            "left_out": [ids[i] for i in np.flatnonzero(kept < config.floor)],
        },
    )
    write_manifest(out, manifest)
    return replace(manifest, path=out)


def gate_labels(labels: Scenes, config: GateConfig) -> UInt8[np.ndarray, "S N H W"]:
    """The `Reason` of each pixel of `labels`."""
    reason = gate(
        torch.from_numpy(labels.depth).double(),
        torch.from_numpy(labels.valid),
        torch.from_numpy(labels.confidence).double(),
        torch.from_numpy(labels.intrinsics).double(),
        torch.from_numpy(labels.cam_to_world).double(),
        config,
    )
    return reason.numpy()


def _chosen(
    labels: Sequence[Scenes], reasons: Sequence[UInt8[np.ndarray, "_ _ _ _"]], floor: float
) -> list[Scenes]:
    """The scenes that keep enough, with what they keep as valid; groups without any are left out.

    Args:
        labels: groups of scenes.
        reasons: their pixels', group by group.
    """
    chosen = []
    for group, reason in zip(labels, reasons, strict=True):
        valid = reason == Reason.KEPT
        rows = np.flatnonzero(valid.mean(axis=(1, 2, 3)) >= floor)
        if len(rows):
            chosen.append(replace(group, valid=valid).select(rows))
    return chosen


def _counts(reasons: Sequence[UInt8[np.ndarray, "_ _ _ _"]]) -> dict[str, int]:
    """Pixels of each reason, over all scenes, those left out as well."""
    return {
        f"pixels_{value.name.lower()}": sum(int((reason == value).sum()) for reason in reasons)
        for value in Reason
    }
