"""Presentation of the target `ablations`: the paper's tables for our arms, with its values."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl

from spatialsv.io.atomic import write_text
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.report.data import Row, Tables, read_tables, unique, where
from spatialsv.report.figures import arm_order, quality_figure
from spatialsv.report.findings import correlation_finding
from spatialsv.report.labels import arm_label
from spatialsv.report.result_tables import DETECTABLE, TESTED
from spatialsv.report.style import RC, Drawing, as_svg, write_figures
from spatialsv.report.tables import (
    UNKNOWN,
    Table,
    as_markdown,
    as_text,
    format_mean,
    format_test,
)

POOLS = {"mindcube": "MindCube settings", "vsi_choice": "VSI choices"}  # the paper has them as well
OTHERS = {"spatial": "all spatial", "recognition": "recognition"}


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
    sentences = [correlation_finding(row) for row in tables["quality_correlation"]]
    write_text(folder / "table.md", "\n\n".join([*map(as_markdown, words), *sentences]) + "\n")
    texts = [f"{as_text(table)}\n\n{table.note}" for table in words]
    sys.stdout.write("\n\n".join([*texts, *sentences]) + "\n")
    drawings = ablation_figures(tables)
    write_figures(folder, {name: as_svg(d.figure) for name, d in drawings.items()}, drawings)
    names = ["table.md", *(f"{name}.{kind}" for name in drawings for kind in ("svg", "png"))]
    payload = dict(written.payload) | {name: digest_path(folder / name) for name in names}
    presented = replace(written, payload=payload)
    write_manifest(manifest, presented)
    return presented


@mpl.rc_context(RC)
def ablation_figures(tables: Tables) -> dict[str, Drawing]:
    """Draw lifted depth error against accuracy over the arms, where two arms or more lift depth."""
    if len(tables["quality_by_arm"]) < 2:
        return {}
    return {"lift_accuracy": quality_figure("lift", tables, arm_order(tables))}


def ablation_tables(tables: Tables) -> list[Table]:
    """Return the tables of words, one per ablation."""
    return [
        _table(
            where(tables["ablation_arms"], table=name), where(tables["ablation_scores"], table=name)
        )
        for name in unique(tables["ablation_arms"], "table")
    ]


def _table(arms: Sequence[Row], scores: Sequence[Row]) -> Table:
    """One of the paper's tables: our scores, the paper's, and the test of each row."""
    against = arm_label(arms[0]["against"])
    cells = {(row["arm"], row["pool"]): row for row in scores}
    has_paper = any(row["paper_row"] for row in arms)
    head = ["", *(["the paper's row"] if has_paper else [])]
    for pool, words in (POOLS | OTHERS).items():
        count = cells[arms[0]["arm"], pool]["n"]
        head.append(f"{words} (n {count})" if count else words)
        head += ["paper"] if pool in POOLS else []
    head += ["AbsRel / mean depth", f"difference to {against}", "p (Holm)", "at 5 %"]
    rows = []
    for row in arms:
        line = [arm_label(row["arm"]), *([row["paper_row"] or UNKNOWN] if has_paper else [])]
        for pool in POOLS | OTHERS:
            cell = cells[row["arm"], pool]
            line.append(format_mean(cell))
            line += [_format_paper(cell["paper"])] if pool in POOLS else []
        ratio = row["lifted_ratio"]
        line.append(UNKNOWN if ratio is None else f"{ratio:.2f}")
        rows.append((*line, *format_test(row)))
    note = (
        f"Per cent correct, means over seeds ± their standard deviation ({_seeds(arms)} training"
        " seeds). Numbers, which score mean relative accuracy, are part of all spatial only. Each"
        f" row is compared with {against}: in brackets the 95 % interval, ± the standard deviation"
        f" over seeds. {TESTED} {DETECTABLE}{_before(cells)} The paper's values are of"
        " Qwen2.5-VL-3B on MindCube-Tiny and VSI-Bench, other questions and another model: compare"
        " differences between rows, not levels."
    )
    head.append("minimum detectable difference")
    return Table(title=arms[0]["title"], head=tuple(head), rows=tuple(rows), note=note)


def _seeds(arms: Sequence[Row]) -> str:
    """The number of seeds of trained arms, or its range."""
    counts = {row["seeds"] for row in arms if row["is_trained"]} or {1}
    return str(max(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"


def _before(cells: dict[tuple[str, str], Row]) -> str:
    """The scores of the base before training, which show whether general ability is retained."""
    before = [
        f"{words} {format_mean(cells['base', pool])}"
        for pool, words in OTHERS.items()
        if cells.get(("base", pool), {}).get("n")
    ]
    return f" Before training: {', '.join(before)}." if before else ""


def _format_paper(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f}"
