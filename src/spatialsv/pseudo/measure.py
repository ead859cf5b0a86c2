"""Accuracy of the gate where the depth of scenes is known. It is reported only, never used.

The error of a pixel is |s d / t - 1|, with the teacher's depth d, true depth t and one median scale
s for each scene over all of its pixels. A pixel is accurate if its error is below TOLERANCE, and
precision is the fraction of accurate pixels. Random dropping keeps the precision of all pixels, so
a gate must exceed that.
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
from spatialsv.pseudo.gate import GateConfig, count_views, score_pixels
from spatialsv.scenes.scene import GateReason, Scenes

TOLERANCE = 0.05  # relative depth error of an accurate pixel
SWEEPS = {  # thresholds of the gate, each with the other two switched off
    "confidence_percentile": (0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0),
    "pixels": (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0),
    "relative_depth": (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
}
OFF = {"confidence_percentile": 0.0, "pixels": math.inf, "relative_depth": math.inf}

Count = dict[str, int | float]  # pixels, accurate, error


def measure_gate(
    labels: Sequence[Scenes], truth: Sequence[Scenes], config: GateConfig
) -> dict[str, Any] | None:
    """Count accurate pixels by gate reason and threshold.

    Args:
        labels: gated labels of single scenes.
        truth: the same scenes.
        config: of the gate.

    Returns:
        Counts that add up over scenes and shards; None where no scene has known depth. `reasons`
        has, for each `GateReason`, and `sweeps` for each threshold of SWEEPS and the configured
        one: the number of (kept) pixels with known depth, the sum of their errors, and the number
        of accurate ones, each a list over `scenes`.
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
        "tolerance": TOLERANCE,
        "scenes": [label.ids[0] for label, _ in pairs],
        "reasons": {name: _lists([scene[0][name] for scene in scenes]) for name in scenes[0][0]},
        "sweeps": {
            name: [
                {"at": threshold, **_lists([scene[1][name][i] for scene in scenes])}
                for i, threshold in enumerate(_thresholds(name, config))
            ]
            for name in SWEEPS
        },
    }


def _measure_scene(
    label: Scenes, truth: Scenes, config: GateConfig
) -> tuple[dict[str, Count], dict[str, list[Count]]]:
    """Count the pixels of one scene.

    Returns:
        Counts by reason, and by threshold of each sweep.
    """
    is_known = torch.from_numpy(_measurable(label, truth))
    depth, target = (torch.from_numpy(scene.depth).double() for scene in (label, truth))
    scale = median_scale(depth.flatten(), target.flatten(), is_known.flatten())
    error = (scale * depth / target.where(is_known, 1) - 1).abs()
    reason = torch.from_numpy(label.reason)
    reasons = {
        value.name.lower(): _count(error, is_known & (reason == value))
        for value in GateReason
        if value != GateReason.INVALID
    }
    sweeps = {
        name: [_count(error, is_known & is_kept) for is_kept in masks]
        for name, masks in _sweep(label, config).items()
    }
    return reasons, sweeps


def _sweep(label: Scenes, config: GateConfig) -> dict[str, list[Bool[Tensor, "1 N H W"]]]:
    """Return the pixels of a scene that each threshold keeps without the others."""
    valid = torch.from_numpy(label.reason != GateReason.INVALID)
    depth, confidence, intrinsics, poses = (
        torch.from_numpy(array).double()
        for array in (label.depth, label.confidence, label.intrinsics, label.cam_to_world)
    )
    gates = [
        (name, _only(config, name, threshold))
        for name in SWEEPS
        for threshold in _thresholds(name, config)
    ]
    limits = list(dict.fromkeys((gate.pixels, gate.relative_depth) for _, gate in gates))
    visible, counts = count_views(depth, valid, intrinsics, poses, limits)
    confirmed = dict(zip(limits, counts, strict=True))
    kept: dict[str, list[Tensor]] = {}
    for name, gate in gates:
        views = confirmed[gate.pixels, gate.relative_depth]
        is_kept = score_pixels(visible, views, valid, confidence, gate) == GateReason.KEPT
        kept.setdefault(name, []).append(is_kept)
    return kept


def _only(config: GateConfig, name: str, threshold: float) -> GateConfig:
    """Return `config` with one threshold, and the other two switched off."""
    thresholds: dict[str, Any] = OFF | {name: threshold}
    return replace(config, **thresholds)


def _thresholds(name: str, config: GateConfig) -> list[float]:
    return sorted({*SWEEPS[name], getattr(config, name)})


def _measurable(label: Scenes, truth: Scenes) -> Bool[np.ndarray, "1 N H W"]:
    """Return the pixels that have the teacher's depth and a known depth."""
    return (label.reason != GateReason.INVALID) & truth.valid


def _count(error: Float[Tensor, "1 N H W"], selected: Bool[Tensor, "1 N H W"]) -> Count:
    errors = error[selected]
    return {
        "pixels": len(errors),
        "accurate": int((errors < TOLERANCE).sum()),
        "error": float(errors.sum()),
    }


def _lists(counts: Sequence[Count]) -> dict[str, list[int | float]]:
    return {name: [count[name] for count in counts] for name in counts[0]}
