"""Interventions on visual states, see `spatialsv.probe.causal`, from files of the probe stage."""

from __future__ import annotations

from collections.abc import Sequence

from spatialsv.analysis.jobs import Job
from spatialsv.analysis.tables import Row
from spatialsv.io.text import load_json

COLUMNS = ("kind", "layer", "task", "questions", "followed", "effect", "low", "high")


def causal_tables(probe: Sequence[Job]) -> dict[str, list[Row]]:
    """List the interventions of all arms and seeds; jobs without causal.json are skipped.

    Returns:
        `causal`, by intervention, layer and task; and `causal_readers`, what probes and heads read.
    """
    rows: list[Row] = []
    readers: list[Row] = []
    for job in probe:
        if (path := job.file("causal.json")) is None:
            continue
        record, which = load_json(path), {"arm": job.arm, "seed": job.seed}
        rows += [which | {name: row[name] for name in COLUMNS} for row in record["interventions"]]
        readers += [
            which | {"conclusion": record["conclusion"], "reader": reader} | shares
            for reader, shares in record["explained"].items()
        ]
    return {"causal": rows, "causal_readers": readers}
