"""What the gate of pseudo-labels keeps, and how much truer that is than what it drops."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from spatialsv.io.manifest import Manifest, read_manifest
from spatialsv.report.tables import Table
from spatialsv.scenes.scene import Reason
from spatialsv.stats.intervals import percentile_interval, resample_ratios

WORDS = {
    "all": "all",
    "kept": "kept",
    "dropped": "dropped",
    "unsure": "dropped as least confident",
    "unseen": "dropped as unseen by other views",
    "inconsistent": "dropped as contradicted by other views",
    "invalid": "without depth",
}
THRESHOLDS = {
    "confidence_percentile": "The percentile of confidence",
    "pixels": "The limit of reprojection, in pixels,",
    "relative_depth": "The limit of relative depth",
}


def build_gate(paths: Iterable[str | Path], resamples: int, seed: int) -> dict[str, Any] | None:
    """The gate's record over all shards of pseudo labels; None where there are none.

    `scenes`, `kept` (mean and least share of a scene's pixels) and `left_out` {scene: why} are of
    all; `pixels` has the share of each reason. `measured` is None where the depth of fewer than two
    scenes is known. Else it has `scenes`, `right` (the relative error below which a pixel is),
    `set` (the gate's settings), `rows` {all, kept, dropped, each reason} and `sweeps` {threshold:
    rows with `at`}. A row has share, abs_rel, precision, its interval, and the interval of `gain`:
    its precision minus that of all pixels. `better` is that of kept minus dropped. Intervals are
    95 %, resampled by scene.

    Raises:
        ValueError: shards that were measured at different thresholds.
    """
    manifests = [read_manifest(path) for path in paths]
    if not manifests:
        return None
    kept = [share for m in manifests for share in m.about["kept"].values()]
    names = [reason.name.lower() for reason in Reason]
    pixels = {name: sum(m.counts[f"pixels_{name}"] for m in manifests) for name in names}
    return {
        "scenes": len(kept),
        "kept": {"mean": float(np.mean(kept)), "least": min(kept)},
        "left_out": {scene: why for m in manifests for scene, why in m.about["left_out"].items()},
        "pixels": {name: count / sum(pixels.values()) for name, count in pixels.items()},
        "measured": _measured(manifests, resamples, seed),
    }


def _measured(manifests: Sequence[Manifest], resamples: int, seed: int) -> dict[str, Any] | None:
    found = [m for m in manifests if any(name.endswith(".gate.json") for name in m.payload)]
    records = [json.loads(m.find(".gate.json").read_text()) for m in found]
    if sum(len(record["scenes"]) for record in records) < 2:
        return None
    first = records[0]
    if any(_grid(record) != _grid(first) for record in records):
        raise ValueError("pseudo labels were measured at different thresholds; force their stage")
    reasons = {name: _joined(r["reasons"][name] for r in records) for name in first["reasons"]}
    every, kept = _total(reasons.values()), reasons.pop("kept")
    dropped = _total(reasons.values())

    def row(counts: Counts) -> dict[str, Any]:
        return _row(counts, every, resamples, seed)

    return {
        "scenes": len(every["pixels"]),
        "right": first["right"],
        "set": found[0].config["gate"],
        "rows": {
            name: row(counts)
            for name, counts in {"all": every, "kept": kept, "dropped": dropped, **reasons}.items()
        },
        "better": _difference(kept, dropped, resamples, seed),
        "sweeps": {
            name: [
                {"at": at, **row(_joined(r["sweeps"][name][place] for r in records))}
                for place, at in enumerate(thresholds)
            ]
            for name, thresholds in _grid(first).items()
            if name != "right"
        },
    }


def _grid(record: Mapping[str, Any]) -> dict[str, Any]:
    """What shards must share to be added up: thresholds, and what is right."""
    at = {name: [row["at"] for row in rows] for name, rows in record["sweeps"].items()}
    return at | {"right": record["right"]}


Counts = dict[str, Float[np.ndarray, " scenes"]]  # pixels, right, error


def _joined(parts: Iterable[Mapping[str, Sequence[float]]]) -> Counts:
    parts = list(parts)
    return {
        name: np.concatenate([np.asarray(part[name], dtype=float) for part in parts])
        for name in ("pixels", "right", "error")
    }


def _total(parts: Iterable[Counts]) -> Counts:
    parts = list(parts)
    return {name: np.sum([part[name] for part in parts], axis=0) for name in parts[0]}


def _row(counts: Counts, every: Counts, resamples: int, seed: int) -> dict[str, Any]:
    """What these pixels are worth, beside all pixels; None where there are none."""
    pixels = counts["pixels"].sum()
    share = float(pixels / every["pixels"].sum())
    if not pixels:
        return {"share": share} | dict.fromkeys(("abs_rel", "precision", "low", "high", "gain"))
    low, high = percentile_interval(_precisions(counts, resamples, seed), len(counts["pixels"]))
    return {
        "share": share,
        "abs_rel": float(counts["error"].sum() / pixels),
        "precision": float(counts["right"].sum() / pixels),
        "low": low,
        "high": high,
        "gain": _difference(counts, every, resamples, seed),
    }


def _difference(
    first: Counts, second: Counts, resamples: int, seed: int
) -> dict[str, float] | None:
    """Of two precisions, over the same draws of scenes; None where one has no pixels."""
    pair = (first, second)
    if not all(counts["pixels"].sum() for counts in pair):
        return None
    means = [counts["right"].sum() / counts["pixels"].sum() for counts in pair]
    draws = [_precisions(counts, resamples, seed) for counts in pair]
    low, high = percentile_interval(draws[0] - draws[1], len(first["pixels"]))
    return {"mean": float(means[0] - means[1]), "low": low, "high": high}


def _precisions(counts: Counts, resamples: int, seed: int) -> Float[np.ndarray, " resamples"]:
    return resample_ratios(counts["right"], counts["pixels"], resamples, seed)


def gate_table(gate: Mapping[str, Any]) -> Table:
    """Pixels by what became of them, and how true they are where that is known."""
    measured = gate["measured"]
    if measured is None:
        rows = [(WORDS[name], f"{100 * share:.1f}") for name, share in gate["pixels"].items()]
        return Table(title="The gate", head=("", "share, %"), rows=tuple(rows))
    rows = [
        (
            WORDS[name],
            f"{100 * row['share']:.1f}",
            f"{row['abs_rel']:.4f}",
            f"{100 * row['precision']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]",
        )
        for name, row in measured["rows"].items()
        if row["precision"] is not None
    ]
    note = (
        f"Of all pixels with known depth in {measured['scenes']} scenes; errors after one median"
        " scale a scene. Precision is the share with a relative depth error below"
        f" {100 * measured['right']:g} %; in brackets its 95 % interval, resampled by scene."
        " Neither labels nor gate saw the truth."
    )
    head = ("", "share, %", "depth AbsRel", "precision, %")
    return Table(title="The gate", head=head, rows=tuple(rows), note=note)


def gate_findings(gate: Mapping[str, Any]) -> list[str]:
    """What is kept, whether that is truer than what is dropped, and where it is not."""
    kept, out = gate["kept"], gate["left_out"]
    found = [
        f"Of {gate['scenes']} pseudo-labelled scenes the gate keeps {100 * kept['mean']:.1f} % of"
        f" the pixels, of each single scene {100 * kept['least']:.1f} % or more; it leaves out"
        f" {len(out)} scenes."
    ]
    found += [f"{scene} is left out: it {why}." for scene, why in out.items()]
    if (measured := gate["measured"]) is None:
        return [*found, "Too little of their depth is known to tell how true that is."]
    rows, better, right = measured["rows"], measured["better"], 100 * measured["right"]
    if better is None:
        return [*found, "All pixels of known depth are kept, or all dropped: nothing to compare."]
    kept, dropped = rows["kept"], rows["dropped"]
    chance = rows["all"]["precision"]
    found.append(
        f"Kept pixels are {_verdict(better)} dropped ones: AbsRel {kept['abs_rel']:.3f} against"
        f" {dropped['abs_rel']:.3f}; {100 * kept['precision']:.1f} % of them are within {right:g} %"
        f" of the truth, against {100 * dropped['precision']:.1f} % ({_points(better)})."
        f" Dropping as many at random would leave {100 * chance:.1f} %."
    )
    found += _alone_at(kept, measured["sweeps"])
    found += [
        f"Those {WORDS[name]} are not clearly worse than all pixels:"
        f" {100 * row['precision']:.1f} % within {right:g} % ({_points(row['gain'])})."
        for name, row in rows.items()
        if name.startswith(("unsure", "unseen", "inconsistent"))
        and row["gain"] is not None
        and row["gain"]["high"] >= 0
    ]
    return found + [_sweep_finding(*sweep) for sweep in measured["sweeps"].items()]


def _alone_at(kept: Mapping[str, Any], sweeps: Mapping[str, Sequence[Mapping]]) -> list[str]:
    """What the best single threshold makes of as many pixels, read between its values."""
    reached = {}
    for name, sweep in sweeps.items():
        rows = sorted((r for r in sweep if r["gain"]), key=lambda row: row["share"])
        shares, precisions = ([row[of] for row in rows] for of in ("share", "precision"))
        if rows and shares[0] <= kept["share"] <= shares[-1]:
            reached[name] = float(np.interp(kept["share"], shares, precisions))
    if not reached:
        return []
    best = max(reached, key=reached.get)
    verdict = "add to that" if reached[best] < kept["precision"] else "add nothing to that"
    return [
        f"{THRESHOLDS[best]} alone, set to keep as many, would have {100 * reached[best]:.1f} % of"
        f" them right: the other thresholds {verdict}."
    ]


def _verdict(better: Mapping[str, float]) -> str:
    if better["low"] > 0:
        return "truer than"
    return "less true than" if better["high"] < 0 else "not clearly truer than"


def _sweep_finding(name: str, sweep: Sequence[Mapping[str, Any]]) -> str:
    """The best that one threshold does by itself, and where it buys nothing."""
    rows = [row for row in sweep if row["gain"] is not None]
    best = max(rows, key=lambda row: row["precision"])
    idle = [f"{r['at']:g}" for r in rows if r["share"] < 1 and r["gain"]["low"] <= 0]
    return (
        f"{THRESHOLDS[name]} alone is best at {best['at']:g}: it keeps {100 * best['share']:.0f} %"
        f" of the pixels, and {100 * best['precision']:.1f} % of these are right"
        f" ({_points(best['gain'])} over random dropping)"
        + (f"; at {', '.join(idle)} it is not clearly better than that." if idle else ".")
    )


def _points(difference: Mapping[str, float]) -> str:
    mean, low, high = (100 * difference[name] for name in ("mean", "low", "high"))
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}] points"
