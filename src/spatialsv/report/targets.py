"""Presentation of the targets `ablations` and `paper`: the paper's tables, with our values."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from spatialsv.io.atomic import write_text
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import read_manifest, write_manifest
from spatialsv.report.data import Row, Tables, read_tables, unique, where
from spatialsv.report.figures import all_arms, label_figure, quality_figure
from spatialsv.report.findings import findings
from spatialsv.report.style import RC, write_figures
from spatialsv.report.tables import (
    TEST_HEAD,
    UNKNOWN,
    Table,
    as_markdown,
    as_text,
    format_mean,
    format_test,
)
from spatialsv.report.texts import arm_label, make_table, task_label, texts

IN_PAPER = ("mindcube", "vsi_choice")  # pools that the paper has as well
POOLS = (*IN_PAPER, "single_view", "cross_view", "spatial", "recognition")


def present(path: Path) -> None:
    """Write table.md and figures next to a target's tables, print them, extend its manifest."""
    manifest, folder = read_manifest(path), path.parent
    tables = read_tables(manifest)
    words, sentences, figures = paper_tables(tables), list[str](), dict[str, Figure]()
    if "ablation_arms" in tables:
        words = ablation_tables(tables)
        sentences = findings("correlation", tables)
        figures = ablation_figures(tables)
    write_text(folder / "table.md", "\n\n".join([*map(as_markdown, words), *sentences]) + "\n")
    texts = [f"{as_text(table)}\n\n{table.note}" for table in words]
    sys.stdout.write("\n\n".join([*texts, *sentences]) + "\n")
    names = ["table.md", *write_figures(folder, figures)]
    print(f"\n{manifest.stage}: {len(words)} tables, {len(figures)} figures; {folder}")
    payload = dict(manifest.payload) | {name: digest_path(folder / name) for name in names}
    write_manifest(path, replace(manifest, payload=payload))


@mpl.rc_context(RC)
def ablation_figures(tables: Tables) -> dict[str, Figure]:
    """Draw label curves, and lifted depth error against accuracy where two arms or more lift."""
    curves = tables.get("label_curves", ())
    figures = {
        f"labels_{name}": label_figure(where(curves, curve=name))
        for name in unique(curves, "curve")
    }
    if len(tables["quality_by_arm"]) >= 2:
        figures["lift_accuracy"] = quality_figure("lift", tables, all_arms(tables))
    return figures


def ablation_tables(tables: Tables) -> list[Table]:
    """Return the tables of words, one per ablation and per pair of label curves."""
    names = unique(tables["ablation_arms"], "table")
    parts = ("ablation_arms", "ablation_scores")
    found = [_table(*(where(tables[part], table=name) for part in parts)) for name in names]
    for row in tables.get("label_efficiency", ()):
        found.append(_label_table(where(tables["label_curves"], curve=row["curve"]), row))
    return found


def _table(arms: Sequence[Row], scores: Sequence[Row]) -> Table:
    """One of the paper's tables: our scores, the paper's, and the test of each row."""
    against = arm_label(arms[0]["against"])
    cells = {(row["arm"], row["pool"]): row for row in scores}
    has_paper = any(row["paper_row"] for row in arms)
    first = arms[0]["arm"]
    in_paper = IN_PAPER if has_paper else ()  # pools whose paper's scores have a column
    pools = [pool for pool in POOLS if cells[first, pool]["n"] or pool in in_paper]
    head = ["", *(["the paper's row"] if has_paper else [])]
    for pool in pools:
        count = cells[first, pool]["n"]
        head.append(task_label(pool) + (f" (n {count})" if count else ""))
        head += ["paper"] if pool in in_paper else []
    head += ["AbsRel / mean depth", f"difference to {against}", *TEST_HEAD[1:]]
    rows = []
    for row in arms:
        line = [arm_label(row["arm"]), *([row["paper_row"] or UNKNOWN] if has_paper else [])]
        for pool in pools:
            cell = cells[row["arm"], pool]
            line.append(format_mean(cell))
            if pool in in_paper:
                line.append(UNKNOWN if cell["paper"] is None else f"{cell['paper']:.1f}")
        ratio = row["lifted_ratio"]
        rows.append((*line, UNKNOWN if ratio is None else f"{ratio:.2f}", *format_test(row)))
    seeds = sorted({row["seeds"] for row in arms if row["is_trained"]} or {1})
    before = [  # the base's scores show whether general ability is retained
        f"{task_label(pool)} {format_mean(cells['base', pool])}"
        for pool in pools
        if pool not in IN_PAPER and cells.get(("base", pool), {}).get("n")
    ]
    return make_table(
        "ablation",
        head,
        rows,
        title=arms[0]["title"],
        against=against,
        questions=", ".join(map(task_label, (arms[0].get("tasks") or "").split())) or "all spatial",
        seeds=" to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1])))),
        before=f" Before training: {', '.join(before)}." if before else "",
        paper=f" {texts()['in_paper']}" if has_paper else "",
    )


def _label_table(points: Sequence[Row], efficiency: Row) -> Table:
    """Two methods by numbers of labelled scenes, and the ratio of labels for equal accuracy."""
    cells = {(row["labels"], row["method"]): row for row in points}
    labels = sorted({row["labels"] for row in points})
    rows = []
    for count in labels:
        line = [f"{count:,}"]
        for method in ("first", "second"):
            cell = cells.get((count, method))
            line.append(f"{format_mean(cell)} ({arm_label(cell['arm'])})" if cell else UNKNOWN)
        rows.append(line)
    words = texts()["label_ratio"]["bound" if efficiency["is_bound"] else "measured"]
    return make_table(
        "label_curve",
        ("labelled scenes", "first", "second"),
        rows,
        curve=efficiency["curve"],
        n=points[0]["n"],
        ratio=words.format(**efficiency),
    )


def paper_tables(tables: Tables) -> list[Table]:
    """Return the tables of models and benchmarks.

    A cell has our value, and the paper's in parentheses; "not run" where we have none.

    Returns:
        A table per name in `paper_cells`.
    """
    cells = tables.get("paper_cells", [])
    return [_paper_table(where(cells, table=name)) for name in unique(cells, "table")]


def _paper_table(cells: Sequence[Row]) -> Table:
    """A row per model, a column per benchmark or task."""
    columns = {row["column"]: row for row in cells}
    models = dict.fromkeys((row["base"], row["arm"]) for row in cells)
    rows = []
    for base, arm in models:
        own = where(cells, base=base, arm=arm)
        model, label = own[0]["model"], arm_label(arm)
        rows.append((f"{model}, {label}" if model else label, *map(_format_cell, own)))
    protocols = {row["benchmark"]: row["protocol"] for row in columns.values() if row["protocol"]}
    used = "; ".join(f"{name} {protocol}" for name, protocol in protocols.items())
    head = ("", *map(_heading, columns.values()))
    title = cells[0]["title"]
    return make_table(
        "paper", head, rows, title=title, protocols=used or "no benchmark was run yet"
    )


def _heading(column: Row) -> str:
    theirs, ours = column["paper_items"], column["items"]
    if not ours:
        return column["column"] + (f" (n {theirs})" if theirs else "")
    if theirs and ours != str(theirs):
        return f"{column['column']} (n {ours}, paper {theirs})"
    return f"{column['column']} (n {ours})"


def _format_cell(cell: Row) -> str:
    ours = "not run" if cell["mean"] is None else format_mean(cell)
    return ours if cell["paper"] is None else f"{ours} ({cell['paper']:.1f})"
