"""The findings of the report in sentences; `findings.txt` has their words."""

from __future__ import annotations

from typing import Any, Literal

from spatialsv.report.data import Tables
from spatialsv.report.texts import environment, texts

Part = Literal["main", "power", "ablations", "quality", "correlation", "gate"]


def findings(part: Part, tables: Tables) -> list[str]:
    """Return the sentences of one part.

    Args:
        part: `main`: comparisons, lifted depth and the no-image baseline; `ablations`: which arms
            of each table differ; `power`: what a test of this size detects; `quality`: geometry
            quality against accuracy, of which `correlation` is the correlation over arms; `gate`:
            what the gate keeps.
        tables: of the stage `analysis`.

    Returns:
        The sentences.
    """
    grouped: dict[str, Any] = {"by_trend": {}, "by_pixels": {}, "by_threshold": {}}
    for row in tables.get("trends", ()):
        grouped["by_trend"].setdefault(row["arm"], {})[row["trend"]] = row
    for row in tables.get("gate_pixels", ()):
        grouped["by_pixels"][row["pixels"]] = row
    for row in tables.get("gate_sweeps", ()):
        grouped["by_threshold"].setdefault(row["threshold"], []).append(row)
    template = environment().get_template("findings.txt")
    text = template.render(part=part, words=texts(), **tables, **grouped)
    return [line for line in text.splitlines() if line.strip()]
