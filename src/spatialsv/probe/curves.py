"""What probes measured scene by scene, as numbers over layers: means, intervals, selectivity.

Shapes: S test scenes, C columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from spatialsv.probe.layers import Found
from spatialsv.stats.intervals import percentile_interval, resample_ratios

SCHEMA = "spatialsv-layers/1"
TASKS = {  # and the metric by which each is shown in short
    "depth": "raw_rmse",
    "rays": "ray_error",
    "pose": "pose_auc30",
    "points": "points_error",
    "matches": "pck10",
}
CHOOSES = {"rays": "directions", "pose": "directions"}  # the outputs whose loss chooses a layer
Number = dict[str, float | None]


def higher_is_better(metric: str) -> bool:
    return metric.startswith("pck") or "delta" in metric or "auc" in metric


def layer_curves(
    layers: Sequence[int], probes: Sequence[Found], controls: Mapping[str, Sequence[Found]]
) -> dict[str, Any]:
    """The record of all layers, ready for JSON; what could not be measured is null.

    `curves` has for the `probe` and for each control, by metric, a number a layer: `mean` over
    seeds and test scenes, the 95 % interval `low` to `high` over scenes, and the `deviation` of
    the means of seeds. `selectivity` has, by control and metric, by how much the probe is better,
    scene by scene. `best` is each task's layer of the LLM that the training scenes choose; of all,
    where none of the LLM's was probed.

    Args:
        probes: of each layer.
        controls: the same; `position`, which no layer changes, has one.
    """
    errors = {"probe": _means(probes)} | {name: _means(found) for name, found in controls.items()}
    curves = {
        name: _curves(found, _deviations(controls.get(name, probes)))
        for name, found in errors.items()
    }
    selectivity = {
        name: _curves(
            {
                metric: (control - errors["probe"][metric])
                * (-1 if higher_is_better(metric) else 1)
                for metric, control in found.items()
            }
        )
        for name, found in errors.items()
        if name != "probe"
    }
    best = {task: _least(layers, probes, CHOOSES.get(task, task)) for task in TASKS}
    return {
        "schema": SCHEMA,
        "layers": list(layers),
        "curves": curves,
        "selectivity": selectivity,
        "best": best,
        "headlines": TASKS,
    }


def best_metrics(record: Mapping[str, Any]) -> dict[str, float | int]:
    """The short metrics at each task's best layer, flat: `linear_NAME`, CONTROL_`linear_NAME`."""
    found = {}
    for task, metric in TASKS.items():
        layer = record["best"][task]
        place = record["layers"].index(layer)
        found[f"linear_{task}_layer"] = layer
        for name, curves in record["curves"].items():
            mean = curves[metric][place if len(curves[metric]) > 1 else 0]["mean"]
            if mean is not None:
                prefix = "" if name == "probe" else f"{name}_"
                found[f"{prefix}linear_{metric}"] = mean
    return found


def intervals_of(errors: Mapping[str, Float[Tensor, " S"]]) -> dict[str, Number]:
    """Of each metric of one probe."""
    columns = np.stack([of.double().numpy() for of in errors.values()], axis=1)
    return dict(zip(errors, intervals(columns), strict=True))


def intervals(columns: Float[np.ndarray, "S C"]) -> list[Number]:
    """Each column's mean and 95 % interval, scenes resampled; those not measured do not count."""
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
        {"mean": _number(mean), "low": _number(low), "high": _number(high)}
        for mean, low, high in zip(means, *ends, strict=True)
    ]


def _means(found: Sequence[Found]) -> dict[str, Float[np.ndarray, "S layers"]]:
    """Over seeds, by metric."""
    return {
        metric: np.stack([one.errors[metric].mean(dim=0).double().numpy() for one in found], axis=1)
        for metric in found[0].errors
    }


def _deviations(found: Sequence[Found]) -> dict[str, list[float | None]]:
    """Of each layer's means of seeds; null for one seed, which shows no spread."""
    return {
        metric: [
            _number(float(one.errors[metric].nanmean(dim=1).std()))
            if len(one.errors[metric]) > 1
            else None
            for one in found
        ]
        for metric in found[0].errors
    }


def _curves(
    columns: Mapping[str, Float[np.ndarray, "S layers"]],
    deviations: Mapping[str, Sequence[float | None]] | None = None,
) -> dict[str, list[Number]]:
    numbers = iter(intervals(np.concatenate(list(columns.values()), axis=1)))
    curves = {metric: [next(numbers) for _ in column.T] for metric, column in columns.items()}
    for metric, spread in (deviations or {}).items():
        for number, deviation in zip(curves[metric], spread, strict=True):
            number["deviation"] = deviation
    return curves


def _least(layers: Sequence[int], probes: Sequence[Found], task: str) -> int:
    left = {layer: found.left[task] for layer, found in zip(layers, probes, strict=True)}
    return min([layer for layer in layers if layer > 0] or layers, key=left.__getitem__)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
