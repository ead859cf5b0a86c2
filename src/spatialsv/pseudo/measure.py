"""How good the gate is where the depth of the scenes is known. Reported, never used.

Relative depth errors |s d / t - 1| of the teacher's pixels, s one median scale a scene over all of
them. A pixel is right where its error is below RIGHT: precision is the share of right ones. Random
dropping keeps the precision of all pixels, so that is what a gate must beat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.geometry.align import median_scale
from spatialsv.pseudo.gate import GateConfig, count_views, judge
from spatialsv.scenes.scene import GateReason, Scenes

RIGHT = 0.05  # a relative depth error below this is right
SWEEPS = {  # thresholds of the gate, each tried with the other two switched off
    "confidence_percentile": (0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0),
    "pixels": (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0),
    "relative_depth": (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
}
OFF = {"confidence_percentile": 0.0, "pixels": math.inf, "relative_depth": math.inf}


def measure_gate(
    labels: Sequence[Scenes], truth: Sequence[Scenes], config: GateConfig
) -> dict[str, Any] | None:
    """Counts of each scene, which add up: over scenes, over shards.

    `reasons` has, by each `GateReason`, and `sweeps` at each threshold of SWEEPS and at the one
    set, the pixels with known depth (of a sweep, those it keeps), the sum of their errors, and how
    many are right: a list over `scenes`. None where no scene's depth is known.

    Args:
        labels: gated, each scene by itself.
        truth: the same scenes.
        config: of the gate.
    """
    pairs = [
        (label, known)
        for label, known in zip(labels, truth, strict=True)
        if known.has_geometry and _measurable(label, known).any()
    ]
    if not pairs:
        return None
    scenes = [_measure_scene(label, known, config) for label, known in pairs]
    return {
        "right": RIGHT,
        "scenes": [label.ids[0] for label, _ in pairs],
        "reasons": {name: _lists([scene[0][name] for scene in scenes]) for name in scenes[0][0]},
        "sweeps": {
            name: [
                {"at": at, **_lists([scene[1][name][place] for scene in scenes])}
                for place, at in enumerate(_thresholds(name, config))
            ]
            for name in SWEEPS
        },
    }


Count = dict[str, int | float]  # pixels, right, error


def _measure_scene(
    label: Scenes, truth: Scenes, config: GateConfig
) -> tuple[dict[str, Count], dict[str, list[Count]]]:
    """Counts by reason, and by sweep and threshold."""
    known = torch.from_numpy(_measurable(label, truth))
    depth, target = (torch.from_numpy(scene.depth).double() for scene in (label, truth))
    scale = median_scale(depth.flatten(), target.flatten(), known.flatten())
    error = (scale * depth / target.where(known, 1) - 1).abs()
    reason = torch.from_numpy(label.reason)
    reasons = {
        value.name.lower(): _count(error, known & (reason == value))
        for value in GateReason
        if value != GateReason.INVALID
    }
    sweeps = {
        name: [_count(error, known & keeps) for keeps in found]
        for name, found in _sweep(label, config).items()
    }
    return reasons, sweeps


def _sweep(label: Scenes, config: GateConfig) -> dict[str, list[Bool[Tensor, "1 N H W"]]]:
    """What each threshold by itself would keep of a scene."""
    valid = torch.from_numpy(label.reason != GateReason.INVALID)
    depth, confidence, intrinsics, poses = (
        torch.from_numpy(array).double()
        for array in (label.depth, label.confidence, label.intrinsics, label.cam_to_world)
    )
    tried = [
        (name, replace(config, **OFF | {name: at}))
        for name in SWEEPS
        for at in _thresholds(name, config)
    ]
    limits = list(dict.fromkeys((one.pixels, one.relative_depth) for _, one in tried))
    seen, counts = count_views(depth, valid, intrinsics, poses, limits)
    confirmed = dict(zip(limits, counts, strict=True))
    kept: dict[str, list[Tensor]] = {}
    for name, one in tried:
        views = confirmed[one.pixels, one.relative_depth]
        keeps = judge(seen, views, valid, confidence, one) == GateReason.KEPT
        kept.setdefault(name, []).append(keeps)
    return kept


def _thresholds(name: str, config: GateConfig) -> list[float]:
    return sorted({*SWEEPS[name], getattr(config, name)})


def _measurable(label: Scenes, truth: Scenes) -> Bool[np.ndarray, "1 N H W"]:
    """Pixels that the teacher gave a depth, and whose depth is known."""
    return (label.reason != GateReason.INVALID) & truth.valid


def _count(error: Float[Tensor, "1 N H W"], chosen: Bool[Tensor, "1 N H W"]) -> Count:
    errors = error[chosen]
    return {
        "pixels": len(errors),
        "right": int((errors < RIGHT).sum()),
        "error": float(errors.sum()),
    }


def _lists(counts: Sequence[Count]) -> dict[str, list[int | float]]:
    return {name: [count[name] for count in counts] for name in counts[0]}
