"""Linear probes of each layer of the frozen models, with their controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spatialsv.analysis.jobs import Job, by_arm
from spatialsv.analysis.tables import Row
from spatialsv.io.text import load_json

TASKS = ("depth", "rays", "pose", "points", "matches")  # order of rows
Number = Mapping[str, float | None]  # mean, low, high


def layer_table(probe: Sequence[Job]) -> list[Row]:
    """List the probes of all arms and layers, on each task's main metric.

    Numbers are means over training's seeds, and so are the ends of intervals, which are over
    scenes. Which layer is best is that of the arm's first seed.

    Returns:
        Rows by arm, task and source: the `probe`, its controls, `dpt` (a DPT head on the taps), and
        `selectivity` over each control. Jobs without layers.json are skipped.

    Raises:
        ValueError: seeds of an arm, or two arms, were probed at different layers.
    """
    rows: list[Row] = []
    layers: list[int] | None = None
    for arm, jobs in by_arm(probe).items():
        records = [load_json(path) for job in jobs if (path := job.file("layers.json"))]
        layers = layers or (records[0]["layers"] if records else None)
        if any(record["layers"] != layers for record in records):
            raise ValueError(
                f"Arm {arm!r} was probed at layers other than {layers}. Force the stage `probe`."
            )
        if records:
            rows += [{"arm": arm} | row for row in _arm_rows(records)]
    return rows


def _arm_rows(records: Sequence[Mapping[str, Any]]) -> list[Row]:
    first, rows = records[0], []
    for task in TASKS:
        metric = first["headlines"][task]
        common = {"task": task, "metric": metric}
        sources = [("", name) for name in first["curves"]]
        sources += [("selectivity over ", name) for name in first["selectivity"]]
        for prefix, name in sources:
            part = "selectivity" if prefix else "curves"
            numbers = zip(*(record[part][name][metric] for record in records), strict=True)
            means = [_mean(seeds) for seeds in numbers]
            places = first["layers"] if len(means) > 1 else [None]  # a control may need no layer
            rows += [
                common | {"source": prefix + name} | _place(first, task, layer) | mean
                for layer, mean in zip(places, means, strict=True)
            ]
        if task == "depth":
            mean = _mean([record["dpt"][""]["raw_rmse"] for record in records])
            rows.append(common | {"source": "dpt"} | _place(first, task, None) | mean)
    return rows


def _place(record: Mapping[str, Any], task: str, layer: int | None) -> Row:
    return {
        "layer": layer,
        "is_tap": None if layer is None else layer in record["taps"],
        "is_best": None if layer is None else layer == record["best"][task],
    }


def _mean(numbers: Sequence[Number]) -> Row:
    means: Row = {}
    for name in ("mean", "low", "high"):
        values = [value for number in numbers if (value := number[name]) is not None]
        means[name] = sum(values) / len(values) if values else None
    return means
