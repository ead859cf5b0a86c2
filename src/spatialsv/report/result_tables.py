"""The tables of the report, from the tidy tables of the stage `analysis`."""

from __future__ import annotations

from collections.abc import Sequence

from spatialsv.report.data import Row, Tables, unique, where
from spatialsv.report.tables import (
    TEST_HEAD,
    UNKNOWN,
    Table,
    format_interval,
    format_metric,
    format_number,
    format_p,
    format_score,
    format_significance,
    format_test,
    pivot,
)
from spatialsv.report.texts import arm_label, make_table, task_label, texts

FEW = "few_items"  # the row of all tasks with few questions


def result_tables(tables: Tables) -> list[Table]:
    """Return the main tables; those without data are left out."""
    found = [
        _pool_table(where(tables["scores"], is_pool=True)),
        _task_table(where(tables["scores"], is_pool=False)),
    ]
    if tables["comparisons"]:
        found.append(_comparison_table(tables["comparisons"]))
    if tables.get("shortcuts"):
        found.append(_shortcut_table(tables["shortcuts"]))
    return found + geometry_tables(tables)


def _pool_table(scores: Sequence[Row]) -> Table:
    """Arms by pools of tasks, with intervals."""
    first = where(scores, arm=scores[0]["arm"])
    grid = pivot(scores, "arm", "task", format_score)
    rows = [(arm_label(arm), *cells) for arm, cells in grid.items()]
    if any(row["chance"] is not None for row in first):
        rows.append(
            ("chance", *(format_score(row | {"low": None}, name="chance") for row in first))
        )
    head = ("", *(f"{task_label(row['task'])} (n {row['n']})" for row in first))
    return make_table("pools", head, rows)


def _task_table(scores: Sequence[Row]) -> Table:
    """Tasks by arms: more rows than columns, so that it fits a terminal."""
    rows = [row for row in scores if row["task"] == FEW or row["n"] >= row["min_items"]]
    grid = pivot(rows, "task", "arm", lambda row: format_score(row, digits=0))
    head = ("", *map(arm_label, unique(rows, "arm")))
    few = ", ".join(map(task_label, unique([row for row in scores if row not in rows], "task")))
    note = texts()["few_items"].format(least=scores[0]["min_items"], tasks=few) if few else ""
    return make_table("tasks", head, _with_counts(grid, rows), few=note)


def _comparison_table(comparisons: Sequence[Row]) -> Table:
    rows = []
    for row in comparisons:
        points, *rest = format_test(row)
        pair = f"{arm_label(row['first'])} - {arm_label(row['second'])}"
        rows.append((pair, points, format_p(row["p"]), *rest))
    head = ("all spatial questions", TEST_HEAD[0], "p", *TEST_HEAD[1:])
    return make_table("comparisons", head, rows)


def _shortcut_table(shortcuts: Sequence[Row]) -> Table:
    """Shortcuts by tasks."""
    tasks, named = unique(shortcuts, "task"), texts()["shortcuts"]
    grid = pivot(shortcuts, "shortcut", "task", lambda row: f"{100 * row['accuracy']:.1f}")
    counts = {row["task"]: row["n"] for row in shortcuts}
    head = ("", *(f"{task_label(task)} (n {counts[task]})" for task in tasks))
    return make_table("shortcuts", head, [(named[name], *cells) for name, cells in grid.items()])


def geometry_tables(tables: Tables, every: bool = False) -> list[Table]:
    """Return metrics of each geometry stage by arm: the headlines, or `every` metric by name."""
    found, headlines = [], texts()["metrics"]
    for stage in unique(tables["geometry"], "stage"):
        rows = where(tables["geometry"], stage=stage)
        arms = unique(rows, "arm")
        grid = pivot(rows, "metric", "arm", format_metric, arms)
        names = {name: name for name in grid}
        if not every:
            names = {n: words for n, words in headlines.items() if n in grid} or names
        lines = [(words, *grid[name]) for name, words in names.items()]
        found.append(make_table(stage, ("", *map(arm_label, arms)), lines))
    return found


def layer_table(layers: Sequence[Row]) -> Table:
    """Return each task at the layer that the training scenes select, with its controls there."""
    arms, words = unique(layers, "arm"), texts()
    rows: list[tuple[str, ...]] = []
    for task in unique(layers, "task"):
        lines: dict[str, list[str]] = {}
        for arm in arms:
            chosen = [r for r in where(layers, arm=arm, task=task) if r["is_best"] is not False]
            best = next(row["layer"] for row in chosen if row["is_best"])
            sources = {row["source"]: row for row in chosen}
            cells = {words["probed"][task]: format_number(sources["probe"])}
            cells["... at"] = {-1: "encoder", 0: "projector"}.get(best, f"layer {best}")
            for name, label in words["controls"].items():
                if name in sources:
                    cells[f"... {label}"] = format_number(sources[name])
            gains = [row for name, row in sources.items() if name.startswith("selectivity")]
            if known := [row for row in gains if row["mean"] is not None]:
                least = min(known, key=lambda row: row["mean"])
                cells["... selectivity"] = format_number(least, "+")
            if "dpt" in sources:
                cells["... of a DPT head on the taps"] = format_number(sources["dpt"])
            for label, cell in cells.items():
                lines.setdefault(label, []).append(cell)
        rows += [(label, *line) for label, line in lines.items()]
    return make_table("layers", ("", *map(arm_label, arms)), rows)


def gate_table(tables: Tables) -> Table:
    """Return pixels by the gate's decision, with their accuracy where depth is known."""
    (summary,), pixels, names = tables["gate_summary"], tables["gate_pixels"], texts()["gate"]
    shares = {row["pixels"]: (names[row["pixels"]], f"{100 * row['share']:.1f}") for row in pixels}
    if not summary["measured_scenes"]:
        return make_table("gate_shares", ("", "share, %"), shares.values())
    rows = [
        (*shares[row["pixels"]], f"{row['abs_rel']:.4f}", format_score(row, name="precision"))
        for row in pixels
        if row["precision"] is not None
    ]
    head = ("", "share, %", "depth AbsRel", "precision, %")
    tolerance = 100 * summary["tolerance"]
    return make_table("gate", head, rows, scenes=summary["measured_scenes"], tolerance=tolerance)


def quality_tables(tables: Tables) -> list[Table]:
    """Return trends of accuracy over geometry quality, and the geometry-only solver's tables."""
    found, words = [], texts()["trends"]
    rows = [
        (
            f"{arm_label(row['arm'])}, {words[row['trend']].format(reference=arm_label('text'))}",
            f"{100 * row['slope']:+.1f}{format_interval(row, 100, 1)}",
            f"{row['p']:.3f}",
            f"{row['p_holm']:.3f}",
            format_significance(row),
            str(row["n"]),
        )
        for row in tables["trends"]
        if row["trend"] in words
    ]
    if rows:
        head = ("", "points", "p", "p (Holm)", "at 5 %", "questions")
        found.append(make_table("trends", head, rows))
    for summary in tables["solver_summary"]:
        found.append(_solver_table(summary, tables))
        found.append(_agreement_table(where(tables["solver_agreement"], arm=summary["arm"])))
    return [table for table in found if table.rows]


def _solver_table(summary: Row, tables: Tables) -> Table:
    arm, sources = summary["arm"], texts()["sources"]
    scores = where(tables["solver_scores"], arm=arm)
    grid = pivot(scores, "task", "source", format_score, list(sources))
    unsolved, slope = "", ""
    if summary["unsolved"]:
        unsolved = f" Skipped, since masks show too little: {summary['unsolved']} questions."
    for row in where(tables["trends"], arm=arm, trend="log_number"):
        slope = (
            f" Predicted numbers follow the solver's with a log-log slope of {row['slope']:.2f}"
            f"{format_interval(row, 1, 2)}, task and truth controlled: 1 if predictions have the"
            " geometry's error, 0 if the two are unrelated."
        )
    return make_table(
        "solver",
        ("", *sources.values()),
        _with_counts(grid, scores),
        arm=arm_label(arm),
        skipped=", ".join(map(task_label, (summary["without_solver"] or "").split())),
        unsolved=unsolved,
        slope=slope,
    )


def _agreement_table(agreement: Sequence[Row]) -> Table:
    rows = [
        (
            arm_label(row["responses_of"]),
            UNKNOWN
            if row["kappa"] is None
            else f"{row['kappa']:.2f}{format_interval(row, 1, 2, 'kappa_')}",
            format_score(row, name="same_mistake"),
            format_score({"chance": row["chance"]}, name="chance"),
            str(row["both_wrong"]) if row["both_wrong"] else UNKNOWN,
        )
        for row in agreement
    ]
    head = ("responses of", "kappa", "same mistake, %", "by chance, %", "both wrong")
    return make_table("agreement", head, rows, arm=arm_label(agreement[0]["arm"] if rows else ""))


def _with_counts(grid: dict[str, list[str]], rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The grid's lines, named by task with the number of questions."""
    counts = {row["task"]: row["n"] for row in reversed(rows)}
    return [(f"{task_label(t)} (n {counts[t]})", *cells) for t, cells in grid.items()]
