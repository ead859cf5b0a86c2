"""The table of interventions on visual states, from the tidy tables of the stage `analysis`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from spatialsv.report.data import Row, Tables, unique, where
from spatialsv.report.tables import UNKNOWN, Table
from spatialsv.report.texts import arm_label, make_table, texts


def causal_table(tables: Tables) -> Table:
    """Return whether the answers of each arm use the second camera's pose; means over seeds."""
    rows, readers, words = tables["causal"], tables["causal_readers"], texts()["causal"]
    arms = unique(readers, "arm")
    lines: dict[str, list[str]] = {}
    for arm in arms:
        own = where(readers, arm=arm)
        heads = where(own, reader="heads")
        probes = [row for row in own if row["reader"] != "heads"]
        counts = Counter(by_seed["conclusion"] for by_seed in {r["seed"]: r for r in own}.values())
        cells = {
            words["conclusion"]: ", ".join(f"{name} ({n})" for name, n in counts.items()),
            words["probe"]: _format(_largest(probes, "reader", "position")),
            words["heads"]: _format(_largest(heads, "reader", "position")),
        }
        for kind in ("swap", "pose", "heads"):
            effects = where(rows, arm=arm, task="all", kind=kind)
            cells[words["effects"][kind]] = _format(_largest(effects, "layer", "effect"), "+")
        for label, cell in cells.items():
            lines.setdefault(label, []).append(cell)
    return make_table(
        "causal", ("", *map(arm_label, arms)), [(name, *cells) for name, cells in lines.items()]
    )


def _largest(rows: Sequence[Row], group: str, column: str) -> float | None:
    """Return the largest mean of a column over the rows of a group; None without rows."""
    means = []
    for value in unique(rows, group):
        values = [row[column] for row in where(rows, **{group: value})]
        means.append(sum(values) / len(values))
    return max(means, default=None)


def _format(share: float | None, sign: str = "") -> str:
    """Format a share in per cent."""
    return UNKNOWN if share is None else f"{100 * share:{sign}.1f}"
