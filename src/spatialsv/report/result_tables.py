"""The tables of the report, from the tidy tables of the stage `analysis`."""

from __future__ import annotations

from collections.abc import Sequence

from spatialsv.report.data import Row, Tables, unique, where
from spatialsv.report.labels import SOURCES, arm_label, layer_label, task_label
from spatialsv.report.tables import (
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

GEOMETRY = {"lift": "Lifted geometry", "probe": "Frozen depth probe"}
HEADLINES = {  # metrics of the short geometry tables
    "abs_rel": "depth AbsRel",
    "mean_depth_abs_rel": "... of training's mean depth",
    "abs_rel_over_mean_depth": "... ratio of the two",
    "shuffled_abs_rel": "... of shuffled features",
    "random_abs_rel": "... of a random-weight MLLM",
    "delta1": "depth delta1",
    "rmse": "depth RMSE",
    "points_error": "point error",
    "rotation_error": "rotation error, degrees",
    "pose_auc30": "pose AUC, 30 degrees",
}
PROBED = {
    "depth": "Depth RMSE, no alignment",
    "rays": "Ray error, degrees",
    "pose": "Pose AUC, 30 degrees",
    "points": "Point error",
    "matches": "Matches within 10 %",
}
CONTROLS = {"position": "position only", "shuffled": "other scenes", "random": "random weights"}
GATE = {
    "all": "all",
    "kept": "kept",
    "dropped": "dropped",
    "unsure": "dropped: least confident",
    "unseen": "dropped: too few other views",
    "inconsistent": "dropped: contradicted by other views",
    "invalid": "without depth",
}
TRENDS = {
    "raw": "quality: nothing controlled",
    "controlled": "quality: task, scene and responses of {} controlled",
    "lead": "quality: lead over {}, task and scene controlled",
    "correct": "solver correct: task controlled",
    "correct_controlled": "solver correct: task and score of {} controlled",
    "correct_lead": "solver correct: lead over {}, task controlled",
}
REFERENCE = "text"
TESTED = (
    "Two-sided tests on all spatial questions, paired by question, clustered by scene and corrected"
    " together (Holm). With several seeds: t tests that include the variance across seeds; with one"
    " seed: permutation tests that take the trained models as given."
)
DETECTABLE = "The last column is the minimum detectable difference in points (80 % power)."


def result_tables(tables: Tables) -> list[Table]:
    """Return the main tables; those without data are left out."""
    scores = tables["scores"]
    found = [pool_table(where(scores, is_pool=True)), task_table(where(scores, is_pool=False))]
    if tables["comparisons"]:
        found.append(comparison_table(tables["comparisons"]))
    return found + geometry_tables(tables)


def pool_table(scores: Sequence[Row]) -> Table:
    """Arms by pools of tasks, with intervals."""
    pools = unique(scores, "task")
    arms = [arm_label(arm) for arm in unique(scores, "arm")]
    grid = pivot(scores, "arm", "task", format_score, pools)
    first = where(scores, arm=scores[0]["arm"]) if scores else []
    rows = [(arm, *cells) for arm, cells in zip(arms, grid, strict=True)]
    chance = [format_score({"mean": row["chance"]}) for row in first]
    if any(cell != UNKNOWN for cell in chance):
        rows.append(("chance", *chance))
    return Table(
        title="Accuracy by pool of tasks",
        head=("", *(f"{task_label(row['task'])} (n {row['n']})" for row in first)),
        rows=tuple(rows),
        note="Per cent correct; numbers score mean relative accuracy. In brackets the 95 %"
        " interval, resampled by scene. Chance: a random option, or the training set's best"
        " constant.",
    )


def task_table(scores: Sequence[Row]) -> Table:
    """Tasks by arms: more rows than columns, so that it fits a terminal."""
    grid = pivot(scores, "task", "arm", lambda row: format_score(row, digits=0))
    counts = {row["task"]: row["n"] for row in reversed(scores)}
    names = [f"{task_label(task)} (n {counts[task]})" for task in unique(scores, "task")]
    return Table(
        title="Accuracy by task",
        head=("", *map(arm_label, unique(scores, "arm"))),
        rows=tuple((name, *cells) for name, cells in zip(names, grid, strict=True)),
        note="Per cent correct, and the 95 % interval.",
    )


def comparison_table(comparisons: Sequence[Row]) -> Table:
    """Paired comparisons of arms."""
    rows = []
    for row in comparisons:
        points, *rest = format_test(row)
        pair = f"{arm_label(row['first'])} - {arm_label(row['second'])}"
        rows.append((pair, points, format_p(row["p"]), *rest))
    head = ("all spatial questions", "difference, points", "p", "p (Holm)", "at 5 %")
    return Table(
        title="Paired comparisons",
        head=(*head, "minimum detectable difference"),
        rows=tuple(rows),
        note=f"In brackets the 95 % interval. {TESTED} {DETECTABLE}",
    )


def geometry_tables(tables: Tables, every: bool = False) -> list[Table]:
    """Metrics of each geometry stage by arm: the headlines, or `every` metric by its name."""
    found = []
    for stage, title in GEOMETRY.items():
        rows = where(tables["geometry"], stage=stage)
        names = [name for name in HEADLINES if name in unique(rows, "metric")]
        if every or not names:
            names = unique(rows, "metric")
        arms = unique(rows, "arm")
        grid = pivot(rows, "metric", "arm", format_metric, arms)
        cells = dict(zip(unique(rows, "metric"), grid, strict=True))
        if rows:
            found.append(
                Table(
                    title=f"{title}: all metrics" if every else title,
                    head=("", *map(arm_label, arms)),
                    rows=tuple((n if every else HEADLINES.get(n, n), *cells[n]) for n in names),
                )
            )
    return found


def layer_table(layers: Sequence[Row]) -> Table:
    """Each task at the layer that the training scenes select, and its controls there."""
    arms = unique(layers, "arm")
    rows: list[tuple[str, ...]] = []
    for task in unique(layers, "task"):
        lines: dict[str, list[str]] = {}
        for arm in arms:
            own = where(layers, arm=arm, task=task)
            chosen = [row for row in own if row["is_best"] is not False]
            best = next(row["layer"] for row in chosen if row["is_best"])
            sources = {row["source"]: row for row in chosen}
            lines.setdefault(PROBED[task], []).append(format_number(sources["probe"]))
            lines.setdefault("... at", []).append(layer_label(best))
            for name, words in CONTROLS.items():
                if name in sources:
                    lines.setdefault(f"... {words}", []).append(format_number(sources[name]))
            gains = [row for name, row in sources.items() if name.startswith("selectivity")]
            if known := [row for row in gains if row["mean"] is not None]:
                least = min(known, key=lambda row: row["mean"])
                lines.setdefault("... selectivity", []).append(format_number(least, "+"))
            if "dpt" in sources:
                name = "... of a DPT head on the taps"
                lines.setdefault(name, []).append(format_number(sources["dpt"]))
        rows += [(name, *cells) for name, cells in lines.items()]
    note = (
        "At the LLM layer that is best on held-out training scenes. In brackets the 95 % interval,"
        " resampled by scene. Lengths are in units of a scene's mean distance. Selectivity is the"
        " probe's advantage over its best control, scene by scene (Hewitt & Liang 2019)."
    )
    head = ("", *map(arm_label, arms))
    return Table(title="Linear probes and controls", head=head, rows=tuple(rows), note=note)


def gate_table(tables: Tables) -> Table:
    """Pixels by the gate's decision, and their accuracy where depth is known."""
    (summary,), pixels = tables["gate_summary"], tables["gate_pixels"]
    title = "Gate of pseudo-labels"
    if not summary["measured_scenes"]:
        shares = tuple((GATE[row["pixels"]], f"{100 * row['share']:.1f}") for row in pixels)
        return Table(title=title, head=("", "share, %"), rows=shares)
    rows = [
        (
            GATE[row["pixels"]],
            f"{100 * row['share']:.1f}",
            f"{row['abs_rel']:.4f}",
            format_score(row, name="precision"),
        )
        for row in pixels
        if row["precision"] is not None
    ]
    note = (
        f"All pixels with known depth in {summary['measured_scenes']} scenes; errors after one"
        " median scale per scene. Precision is the share with a relative depth error below"
        f" {100 * summary['tolerance']:g} %; in brackets its 95 % interval, resampled by scene."
        " Neither labels nor gate use the true depth."
    )
    head = ("", "share, %", "depth AbsRel", "precision, %")
    return Table(title=title, head=head, rows=tuple(rows), note=note)


def quality_tables(tables: Tables) -> list[Table]:
    """Trends of accuracy over geometry quality, and the geometry-only solver."""
    found = []
    tested = [row for row in tables["trends"] if row["trend"] in TRENDS]
    if tested:
        rows = [
            (
                f"{arm_label(row['arm'])}, {TRENDS[row['trend']].format(arm_label(REFERENCE))}",
                f"{100 * row['slope']:+.1f}{format_interval(row, 100, 1)}",
                f"{row['p']:.3f}",
                f"{row['p_holm']:.3f}",
                format_significance(row),
                str(row["n"]),
            )
            for row in tested
        ]
        note = (
            "Change of accuracy in points from the scene with the worst lifted depth to that with"
            " the best, or from questions that the geometry-only solver answers wrongly to those it"
            " answers correctly. Intervals and sign-flip tests are clustered by scene; p is"
            " corrected over the table (Holm). Controls: task, another model's score of the"
            " question and of the scene's others, the scene's mean depth and number of objects."
            " That score is a noisy measure of difficulty and removes little of it; the lead over"
            " the other model removes whatever affects both equally. Rely on the lead."
        )
        head = ("", "points", "p", "p (Holm)", "at 5 %", "questions")
        title = "Geometry quality against accuracy"
        found.append(Table(title=title, head=head, rows=tuple(rows), note=note))
    for summary in tables["solver_summary"]:
        found.append(_solver_table(summary, tables))
        found.append(_agreement_table(summary["arm"], tables["solver_agreement"]))
    return found


def _solver_table(summary: Row, tables: Tables) -> Table:
    arm = summary["arm"]
    scores = where(tables["solver_scores"], arm=arm)
    counts = {row["task"]: row["n"] for row in scores}
    grid = pivot(scores, "task", "source", format_score, list(SOURCES))
    names = [f"{task_label(task)} (n {counts[task]})" for task in unique(scores, "task")]
    skipped = ", ".join(map(task_label, (summary["without_solver"] or "").split()))
    note = (
        "Per cent correct; numbers score mean relative accuracy. The solver takes boxes of objects"
        " from the points that their true masks cover, with the true vertical and one true length"
        " per scene, and applies the rules that generated the questions. Mean depth: of the other"
        f" rooms. Not included, since the masks alone give the answer: {skipped}."
    )
    if summary["unsolved"]:
        note += f" Skipped, since masks show too little: {summary['unsolved']} questions."
    for row in where(tables["trends"], arm=arm, trend="log_number"):
        note += (
            " Predicted numbers follow the solver's with a log-log slope of"
            f" {row['slope']:.2f}{format_interval(row, 1, 2)}, task and truth controlled: 1 if"
            " predictions have the geometry's error, 0 if the two are unrelated."
        )
    return Table(
        title=f"Geometry-only solver: {arm_label(arm)}",
        head=("", *SOURCES.values()),
        rows=tuple((name, *cells) for name, cells in zip(names, grid, strict=True)),
        note=note,
    )


def _agreement_table(arm: str, agreement: Sequence[Row]) -> Table:
    rows = []
    for row in where(agreement, arm=arm):
        kappa, chance = row["kappa"], row["chance"]
        rows.append(
            (
                arm_label(row["responses_of"]),
                UNKNOWN if kappa is None else f"{kappa:.2f}{format_interval(row, 1, 2, 'kappa_')}",
                format_score(row, name="same_mistake"),
                UNKNOWN if chance is None else f"{100 * chance:.1f}",
                str(row["both_wrong"]) if row["both_wrong"] else UNKNOWN,
            )
        )
    head = ("responses of", "kappa", "same mistake, %", "by chance, %", "both wrong")
    note = (
        "Cohen's kappa of responses with the solver's answers, by kind of choice; 0 is chance. Same"
        " mistake: of questions with three options or more that both answer wrongly, the share with"
        " the same wrong option. Other models, which never saw this geometry, are the baseline."
    )
    title = f"Agreement of responses with the geometry-only solver: {arm_label(arm)}"
    return Table(title=title, head=head, rows=tuple(rows), note=note)
