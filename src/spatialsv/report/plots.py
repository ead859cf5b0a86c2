"""What `dvc plots` draws: scores by arm, and the text loss over the steps, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spatialsv.report.curves import Curve


def scores_csv(results: Mapping[str, Any]) -> str:
    """A row an arm, a column a pool or task: its mean in [0, 1]."""
    return _csv(
        {"arm": row["arm"]} | {name: score["mean"] for name, score in row["scores"].items()}
        for row in results["rows"]
    )


def curves_csv(curves: Mapping[str, Curve]) -> str:
    """A row a step, a column an arm; empty where an arm has no such step.

    Args:
        curves: one loss term by arm.
    """
    rows: dict[float, dict[str, float]] = {}
    for arm, (steps, values) in curves.items():
        for step, value in zip(steps, values, strict=True):
            rows.setdefault(step, {"step": int(step)})[arm] = value
    return _csv((rows[step] for step in sorted(rows)), ["step", *curves])


def _csv(rows: Iterable[Mapping[str, Any]], names: Sequence[str] = ()) -> str:
    rows = list(rows)
    text = io.StringIO()
    columns = list(names) or list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
