"""Training logs as a table: each loss term over the steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spatialsv.analysis.jobs import Job, by_arm
from spatialsv.analysis.tables import Row
from spatialsv.io.text import iterate_jsonl

# What a line of the log has besides losses.
NOT_LOSSES = ("step", "epoch", "learning_rate", "grad_norm")


def curve_table(train: Sequence[Job]) -> list[Row]:
    """List the losses of each arm's first seed; an arm without a log has no rows."""
    logs = {arm: jobs[0].file("log.jsonl") for arm, jobs in by_arm(train).items()}
    return [{"arm": arm, **row} for arm, log in logs.items() if log for row in read_log(log)]


def read_log(log: Path) -> list[Row]:
    """Read steps, terms and values of the losses in a training log; nested numbers are terms too.

    Returns:
        Rows of step, term and value.

    Raises:
        ValueError: a line is not JSON.
    """
    rows = []
    for _, record in iterate_jsonl(log):
        if isinstance(step := record.get("step"), int | float):
            rows += [{"step": int(step), "term": t, "value": v} for t, v in _losses(record)]
    return rows


def _losses(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _losses(value)
        elif isinstance(value, int | float) and math.isfinite(value) and name not in NOT_LOSSES:
            yield name, float(value)
