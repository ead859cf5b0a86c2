"""Presentation of the target `ablations`: the paper's tables for our arms, with its values."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from spatialsv.io.atomic import write_text
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.report.data import Row, Tables, read_tables, unique, where
from spatialsv.report.figures import arm_order, quality_figure
from spatialsv.report.findings import findings
from spatialsv.report.style import RC, write_figures
from spatialsv.report.tables import (
    UNKNOWN,
    Table,
    as_markdown,
    as_text,
    format_mean,
    format_test,
)
from spatialsv.report.texts import arm_label, make_table, task_label

IN_PAPER = ("mindcube", "vsi_choice")  # pools that the paper has as well
POOLS = (*IN_PAPER, "spatial", "recognition")


def present(manifest: str | Path) -> Manifest:
    """Write table.md and the figure of the target `ablations` next to its tables; print them.

    Args:
        manifest: path of the target's manifest, which lists the tables.

    Returns:
        The manifest with the new files.
    """
    written = read_manifest(manifest)
    folder = Path(manifest).parent
    tables = read_tables(written)
    words = ablation_tables(tables)
    sentences = findings("correlation", tables)
    write_text(folder / "table.md", "\n\n".join([*map(as_markdown, words), *sentences]) + "\n")
    texts = [f"{as_text(table)}\n\n{table.note}" for table in words]
    sys.stdout.write("\n\n".join([*texts, *sentences]) + "\n")
    names = ["table.md", *write_figures(folder, ablation_figures(tables))]
    payload = dict(written.payload) | {name: digest_path(folder / name) for name in names}
    presented = replace(written, payload=payload)
    write_manifest(manifest, presented)
    return presented


@mpl.rc_context(RC)
def ablation_figures(tables: Tables) -> dict[str, Figure]:
    """Draw lifted depth error against accuracy over the arms, where two arms or more lift depth."""
    if len(tables["quality_by_arm"]) < 2:
        return {}
    return {"lift_accuracy": quality_figure("lift", tables, arm_order(tables))}


def ablation_tables(tables: Tables) -> list[Table]:
    """Return the tables of words, one per ablation."""
    names = unique(tables["ablation_arms"], "table")
    parts = ("ablation_arms", "ablation_scores")
    return [_table(*(where(tables[part], table=name) for part in parts)) for name in names]


def _table(arms: Sequence[Row], scores: Sequence[Row]) -> Table:
    """One of the paper's tables: our scores, the paper's, and the test of each row."""
    against = arm_label(arms[0]["against"])
    cells = {(row["arm"], row["pool"]): row for row in scores}
    has_paper = any(row["paper_row"] for row in arms)
    head = ["", *(["the paper's row"] if has_paper else [])]
    for pool in POOLS:
        count = cells[arms[0]["arm"], pool]["n"]
        head.append(task_label(pool) + (f" (n {count})" if count else ""))
        head += ["paper"] if pool in IN_PAPER else []
    head += ["AbsRel / mean depth", f"difference to {against}", "p (Holm)", "at 5 %"]
    rows = []
    for row in arms:
        line = [arm_label(row["arm"]), *([row["paper_row"] or UNKNOWN] if has_paper else [])]
        for pool in POOLS:
            cell = cells[row["arm"], pool]
            line.append(format_mean(cell))
            if pool in IN_PAPER:
                line.append(UNKNOWN if cell["paper"] is None else f"{cell['paper']:.1f}")
        ratio = row["lifted_ratio"]
        rows.append((*line, UNKNOWN if ratio is None else f"{ratio:.2f}", *format_test(row)))
    seeds = sorted({row["seeds"] for row in arms if row["is_trained"]} or {1})
    before = [  # the base's scores show whether general ability is retained
        f"{task_label(pool)} {format_mean(cells['base', pool])}"
        for pool in POOLS[2:]
        if cells.get(("base", pool), {}).get("n")
    ]
    return make_table(
        "ablation",
        (*head, "minimum detectable difference"),
        rows,
        title=arms[0]["title"],
        against=against,
        seeds=" to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1])))),
        before=f" Before training: {', '.join(before)}." if before else "",
    )
