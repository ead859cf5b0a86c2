"""Metrics for DVC: a handful of headlines, and all means."""

from __future__ import annotations

from typing import Any

from spatialsv.analysis.jobs import BASELINES, NO_IMAGE
from spatialsv.analysis.scores import FEW
from spatialsv.analysis.tables import Tables


def headline_metrics(rows: Tables) -> dict[str, Any]:
    """Return what `dvc metrics show` lists, for each model and not for baselines.

    Returns:
        `accuracy` on all spatial questions by arm; `lead_over_text`, the difference with its
        `low` and `high` end, by arm; `lifted_depth_ratio`, AbsRel over that of the mean depth.
    """
    metrics: dict[str, Any] = {}
    for row in rows["scores"]:
        if row["task"] == "spatial" and row["arm"] not in (*BASELINES, NO_IMAGE):
            metrics.setdefault("accuracy", {})[row["arm"]] = row["mean"]
    for row in rows["comparisons"]:
        if row["second"] == "text":
            ends = {name: row[name] for name in ("difference", "low", "high")}
            metrics.setdefault("lead_over_text", {})[row["first"]] = ends
    for row in rows["geometry"]:
        if (row["stage"], row["metric"]) == ("lift", "abs_rel_over_mean_depth"):
            metrics.setdefault("lifted_depth_ratio", {})[row["arm"]] = row["mean"]
    return metrics


def flat_metrics(rows: Tables) -> dict[str, Any]:
    """Return all means, by stage, arm and name."""
    metrics: dict[str, Any] = {"evaluate": {}, "lift": {}, "probe": {}, "pseudo": {}}
    for row in rows["scores"]:
        if row["task"] == FEW:
            continue
        metrics["evaluate"].setdefault(row["arm"], {})[row["task"]] = row["mean"]
    for row in rows["geometry"]:
        metrics[row["stage"]].setdefault(row["arm"], {})[row["metric"]] = row["mean"]
    for row in rows["gate_summary"]:
        metrics["pseudo"]["kept_share"] = row["kept_mean"]
        metrics["pseudo"]["excluded_share"] = row["excluded_scenes"] / row["scenes"]
    for row in rows["gate_pixels"]:
        if row["precision"] is not None:
            columns = ("share", "abs_rel", "precision")
            metrics["pseudo"][row["pixels"]] = {name: row[name] for name in columns}
    return metrics | {"quality": _quality_metrics(rows)}


def _quality_metrics(rows: Tables) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    for row in rows["quality_correlation"]:
        if row["rho"] is not None:
            numbers = {"rho": row["rho"], "p": row["p"], "n": row["arms"]}
            metrics[f"{row['stage']}_accuracy"] = numbers
    for row in rows["trends"]:
        metrics.setdefault(row["arm"], {})[row["trend"]] = row["slope"]
    for row in rows["solver_scores"]:
        if row["is_pool"]:
            pools = metrics.setdefault(row["arm"], {})
            pools.setdefault(row["task"], {})[row["source"]] = row["mean"]
    for row in rows["solver_agreement"]:
        if row["arm"] == row["responses_of"] and row["kappa"] is not None:
            metrics.setdefault(row["arm"], {})["kappa"] = row["kappa"]
    return metrics
