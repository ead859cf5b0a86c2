"""How many pixels the gate of pseudo-labels keeps, and how accurate these are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from spatialsv.analysis.tables import Row
from spatialsv.io.manifest import Manifest, read_manifest
from spatialsv.io.text import load_json
from spatialsv.scenes.scene import GateReason
from spatialsv.stats.intervals import percentile_interval, resample_ratios

Counts = dict[str, Float[np.ndarray, " scenes"]]  # pixels, right, error
TABLES = ("gate_scenes", "gate_summary", "gate_pixels", "gate_sweeps")


def gate_tables(paths: Iterable[str | Path], resamples: int, seed: int) -> dict[str, list[Row]]:
    """Build the gate's tables over all shards of pseudo-labels.

    Accuracy needs true depth in at least two scenes. Without it, `gate_pixels` has only the share
    of each reason, and `gate_sweeps` is empty.

    Args:
        paths: manifests of the stage `pseudo`.
        resamples: of the bootstrap over scenes.
        seed: of the bootstrap.

    Returns:
        The rows of TABLES; empty without pseudo-labels.

    Raises:
        ValueError: shards were measured at different thresholds.
    """
    manifests = [read_manifest(path) for path in paths]
    if not manifests:
        return {name: [] for name in TABLES}
    kept = {scene: share for m in manifests for scene, share in m.about["kept"].items()}
    excluded = {scene: why for m in manifests for scene, why in m.about["excluded"].items()}
    scenes = dict.fromkeys([*kept, *excluded])
    summary: Row = {
        "scenes": len(kept),
        "excluded_scenes": len(excluded),
        "kept_mean": float(np.mean(list(kept.values()))),
        "kept_min": min(kept.values()),
    }
    measured, pixels, sweeps = _measure(manifests, resamples, seed)
    return {
        "gate_scenes": [
            {"scene": s, "kept_share": kept.get(s), "excluded_because": excluded.get(s)}
            for s in scenes
        ],
        "gate_summary": [summary | measured],
        "gate_pixels": pixels or _pixel_shares(manifests),
        "gate_sweeps": sweeps,
    }


def _pixel_shares(manifests: Sequence[Manifest]) -> list[Row]:
    """The share of each reason in all scenes, whose accuracy is unknown."""
    names = [reason.name.lower() for reason in GateReason]
    pixels = {name: sum(m.counts[f"pixels_{name}"] for m in manifests) for name in names}
    total = sum(pixels.values())
    return [{"pixels": name} | _unknown(count / total) for name, count in pixels.items()]


def _measure(
    manifests: Sequence[Manifest], resamples: int, seed: int
) -> tuple[Row, list[Row], list[Row]]:
    """The measured part of the summary, the rows by pixels, and the rows by threshold."""
    measured = [m for m in manifests if any(name.endswith(".gate.json") for name in m.payload)]
    records = [load_json(m.find(".gate.json")) for m in measured]
    scenes = sum(len(record["scenes"]) for record in records)
    if scenes < 2:
        columns = ("tolerance", "difference", "difference_low", "difference_high")
        unknown = dict.fromkeys((*columns, "single_threshold", "single_precision"))
        return {"measured_scenes": 0} | unknown, [], []
    first = records[0]
    if any(_grid(record) != _grid(first) for record in records):
        raise ValueError(
            "Pseudo-labels were measured at different thresholds. Force the stage `pseudo`."
        )
    reasons = {name: _concatenate(r["reasons"][name] for r in records) for name in first["reasons"]}
    total, kept = _sum(reasons.values()), reasons.pop("kept")
    dropped = _sum(reasons.values())
    parts = {"all": total, "kept": kept, "dropped": dropped, **reasons}
    sweeps = [
        {"threshold": name, "value": value}
        | _row(_concatenate(r["sweeps"][name][i] for r in records), total, resamples, seed)
        for name, values in _grid(first).items()
        if name != "tolerance"
        for i, value in enumerate(values)
    ]
    summary = {"measured_scenes": scenes, "tolerance": first["tolerance"]}
    summary |= _difference("difference", kept, dropped, resamples, seed)
    pixels = [{"pixels": n} | _row(part, total, resamples, seed) for n, part in parts.items()]
    return summary | _best_single(pixels[1]["share"], sweeps), pixels, sweeps


def _best_single(share: float, sweeps: Sequence[Row]) -> Row:
    """The single threshold with the best precision, if set to keep this share of pixels."""
    best: Row = {"single_threshold": None, "single_precision": None}
    for name in dict.fromkeys(row["threshold"] for row in sweeps):
        rows = [row for row in sweeps if row["threshold"] == name and row["gain"]]
        rows.sort(key=lambda row: row["share"])
        shares, precisions = ([row[column] for row in rows] for column in ("share", "precision"))
        if rows and shares[0] <= share <= shares[-1]:
            precision = float(np.interp(share, shares, precisions))
            if precision > (best["single_precision"] or 0):
                best = {"single_threshold": name, "single_precision": precision}
    return best


def _grid(record: Mapping[str, Any]) -> dict[str, Any]:
    """What shards must share to be added up: thresholds and tolerance."""
    values = {name: [row["at"] for row in rows] for name, rows in record["sweeps"].items()}
    return values | {"tolerance": record["tolerance"]}


def _concatenate(parts: Iterable[Mapping[str, Sequence[float]]]) -> Counts:
    parts = list(parts)
    return {
        name: np.concatenate([np.asarray(part[name], dtype=float) for part in parts])
        for name in ("pixels", "accurate", "error")
    }


def _sum(parts: Iterable[Counts]) -> Counts:
    parts = list(parts)
    return {name: np.sum([part[name] for part in parts], axis=0) for name in parts[0]}


def _unknown(share: float) -> Row:
    columns = ("abs_rel", "precision", "low", "high", "gain", "gain_low", "gain_high")
    return {"share": share} | dict.fromkeys(columns)


def _row(counts: Counts, total: Counts, resamples: int, seed: int) -> Row:
    """Share and accuracy of these pixels; accuracy is None where there are none."""
    pixels = counts["pixels"].sum()
    share = float(pixels / total["pixels"].sum())
    if not pixels:
        return _unknown(share)
    low, high = percentile_interval(_precisions(counts, resamples, seed), len(counts["pixels"]))
    return {
        "share": share,
        "abs_rel": float(counts["error"].sum() / pixels),
        "precision": float(counts["accurate"].sum() / pixels),
        "low": low,
        "high": high,
    } | _difference("gain", counts, total, resamples, seed)


def _difference(name: str, first: Counts, second: Counts, resamples: int, seed: int) -> Row:
    """Difference of two precisions over the same draws of scenes; None where one has no pixels."""
    columns = (name, f"{name}_low", f"{name}_high")
    pair = (first, second)
    if not all(counts["pixels"].sum() for counts in pair):
        return dict.fromkeys(columns)
    means = [counts["accurate"].sum() / counts["pixels"].sum() for counts in pair]
    draws = [_precisions(counts, resamples, seed) for counts in pair]
    interval = percentile_interval(draws[0] - draws[1], len(first["pixels"]))
    return dict(zip(columns, (float(means[0] - means[1]), *interval), strict=True))


def _precisions(counts: Counts, resamples: int, seed: int) -> Float[np.ndarray, " resamples"]:
    return resample_ratios(counts["accurate"], counts["pixels"], resamples, seed)
