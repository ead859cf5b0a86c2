"""Errors of probes as numbers over layers: means, intervals and selectivity.

Shapes: S test scenes, C columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from spatialsv.probe.layers import ProbeResult
from spatialsv.stats.intervals import percentile_interval, resample_ratios

SCHEMA = "spatialsv-layers/1"
TASKS = {  # and the main metric of each
    "depth": "raw_rmse",
    "rays": "ray_error",
    "pose": "pose_auc30",
    "points": "points_error",
    "matches": "pck10",
}
SELECT_BY = {"rays": "directions", "pose": "directions"}  # the outputs that select a task's layer
Number = dict[str, float | None]


def higher_is_better(metric: str) -> bool:
    """Return whether a metric is a share of correct results, not an error."""
    return metric.startswith("pck") or "delta" in metric or "auc" in metric


def layer_curves(
    layers: Sequence[int],
    probes: Sequence[ProbeResult],
    controls: Mapping[str, Sequence[ProbeResult]],
) -> dict[str, Any]:
    """Return the record of all layers, ready for JSON.

    Args:
        layers: the layers.
        probes: of each layer.
        controls: likewise, by name; `position`, which does not depend on the layer, has one.

    Returns:
        `curves`: for `probe` and each control, by metric, a number for each layer: the `mean` over
        seeds and test scenes, its 95 % interval over scenes, `low` to `high`, and the `deviation`
        between seeds. `selectivity`: by control and metric, how much better the probe is.
        `best`: for each task the LLM layer that the training scenes select, or any layer if none of
        the LLM was probed. Undefined numbers are null.
    """
    errors = {"probe": _seed_means(probes)}
    errors |= {name: _seed_means(results) for name, results in controls.items()}
    curves = {
        name: _curves(columns, _seed_deviations(controls.get(name, probes)))
        for name, columns in errors.items()
    }
    selectivity = {
        name: _curves(
            {
                metric: (control - errors["probe"][metric])
                * (-1 if higher_is_better(metric) else 1)
                for metric, control in columns.items()
            }
        )
        for name, columns in errors.items()
        if name != "probe"
    }
    best = {task: _best_layer(layers, probes, SELECT_BY.get(task, task)) for task in TASKS}
    return {
        "schema": SCHEMA,
        "layers": list(layers),
        "curves": curves,
        "selectivity": selectivity,
        "best": best,
        "headlines": TASKS,
    }


def best_metrics(record: Mapping[str, Any]) -> dict[str, float | int]:
    """Return the main metrics at each task's best layer: `linear_NAME`, CONTROL_`linear_NAME`."""
    metrics: dict[str, float | int] = {}
    for task, metric in TASKS.items():
        layer = record["best"][task]
        index = record["layers"].index(layer)
        metrics[f"linear_{task}_layer"] = layer
        for name, curves in record["curves"].items():
            mean = curves[metric][index if len(curves[metric]) > 1 else 0]["mean"]
            if mean is not None:
                prefix = "" if name == "probe" else f"{name}_"
                metrics[f"{prefix}linear_{metric}"] = mean
    return metrics


def metric_intervals(errors: Mapping[str, Float[Tensor, " S"]]) -> dict[str, Number]:
    """Return the mean and interval of each metric of one probe."""
    columns = np.stack([values.double().numpy() for values in errors.values()], axis=1)
    return dict(zip(errors, intervals(columns), strict=True))


def intervals(columns: Float[np.ndarray, "S C"]) -> list[Number]:
    """Return each column's mean and 95 % interval over resampled scenes, without NaN entries."""
    known = np.isfinite(columns)
    sums, counts = np.where(known, columns, 0), known.astype(float)
    with np.errstate(invalid="ignore"):
        means = sums.sum(axis=0) / counts.sum(axis=0)
    ends = np.full((2, columns.shape[1]), np.nan)
    some = np.flatnonzero(counts.sum(axis=0) > 1)
    draws = resample_ratios(sums[:, some], counts[:, some])
    for column, drawn in zip(some, draws.T, strict=True):
        ends[:, column] = percentile_interval(drawn, float(counts[:, column].sum()))
    return [
        {"mean": _or_null(mean), "low": _or_null(low), "high": _or_null(high)}
        for mean, low, high in zip(means, *ends, strict=True)
    ]


def _seed_means(results: Sequence[ProbeResult]) -> dict[str, Float[np.ndarray, "S layers"]]:
    return {
        metric: np.stack([r.errors[metric].mean(dim=0).double().numpy() for r in results], axis=1)
        for metric in results[0].errors
    }


def _seed_deviations(results: Sequence[ProbeResult]) -> dict[str, list[float | None]]:
    """Return the standard deviation of each layer's seeds; null for a single seed."""
    return {
        metric: [
            _or_null(float(r.errors[metric].nanmean(dim=1).std()))
            if len(r.errors[metric]) > 1
            else None
            for r in results
        ]
        for metric in results[0].errors
    }


def _curves(
    columns: Mapping[str, Float[np.ndarray, "S layers"]],
    deviations: Mapping[str, Sequence[float | None]] | None = None,
) -> dict[str, list[Number]]:
    numbers = iter(intervals(np.concatenate(list(columns.values()), axis=1)))
    curves = {metric: [next(numbers) for _ in column.T] for metric, column in columns.items()}
    for metric, values in (deviations or {}).items():
        for number, deviation in zip(curves[metric], values, strict=True):
            number["deviation"] = deviation
    return curves


def _best_layer(layers: Sequence[int], probes: Sequence[ProbeResult], task: str) -> int:
    unexplained = {
        layer: probe.unexplained[task] for layer, probe in zip(layers, probes, strict=True)
    }
    return min([layer for layer in layers if layer > 0] or layers, key=unexplained.__getitem__)


def _or_null(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
