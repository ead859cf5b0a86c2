"""Tables of what models see beside what they answer: trends, and what geometry says by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spatialsv.report.jobs import arm_label
from spatialsv.report.own_geometry import SOURCES
from spatialsv.report.results import task_label
from spatialsv.report.tables import Table

TRENDS = {
    "raw": "nothing controlled",
    "controlled": "task, scene and {other}'s answers controlled",
    "beyond": "lead over {other}, task and scene controlled",
}
RIGHT = {
    "right": "task controlled",
    "right_controlled": "task and {other}'s score controlled",
    "right_beyond": "lead over {other}, task controlled",
}


def interpretability_tables(results: Mapping[str, Any]) -> list[Table]:
    """Bins, trends, and what geometry answers; absent parts have none."""
    record, tables = results["interpretability"], []
    if rows := _trend_rows(record):
        note = (
            "Points of accuracy from the worst lifted scene to the best, or from where geometry is"
            " wrong to where it is right. Intervals and sign-flip tests are clustered by scene, p"
            " corrected over the table (Holm). Controlled: task, another model's score of the"
            " question and of the scene's others, the scene's mean depth and number of things."
            " Another model's answers are a noisy measure of difficulty and, of a few questions a"
            " scene, take out little of it; the lead over them takes out what makes both err"
            " alike, known or not, if it does so by as many points. Go by the lead."
        )
        head = ("", "points", "p", "p (Holm)", "at 5 %", "questions")
        tables.append(Table(title="Seeing and answering", head=head, rows=rows, note=note))
    for arm, part in record["geometry"].items():
        tables += [_geometry_table(arm, part), _agreement_table(arm, part)]
    return tables


def _trend_rows(record: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    rows = []
    parts = [(record["bins"], TRENDS, "quality"), (record["geometry"], RIGHT, "geometry right")]
    for found, names, what in parts:
        for arm, part in found.items():
            other = arm_label(part["other"]) if part["other"] else ""
            for name, words in names.items():
                if told := part["trends"][name]:
                    label = f"{arm_label(arm)}, {what}: {words.format(other=other)}"
                    rows.append((label, *_told(told)))
    return tuple(rows)


def _told(found: Mapping[str, Any]) -> tuple[str, ...]:
    points = (100 * found[name] for name in ("slope", "low", "high"))
    return (
        "{:+.1f} [{:.1f}, {:.1f}]".format(*points),
        f"{found['p']:.3f}",
        f"{found['p_holm']:.3f}",
        "significant" if found["significant"] else "not significant",
        str(found["n"]),
    )


def _geometry_table(arm: str, part: Mapping[str, Any]) -> Table:
    columns = (*SOURCES, "reply", "chance")
    pools = {"choice": "all such choices", "number": "all such numbers"}
    lines = [(pools[name], pool) for name, pool in part["pools"].items()]
    lines += [(task_label(task["name"]), task) for task in part["tasks"]]
    rows = tuple(
        (f"{label} (n {line['n']})", *(_cell(line.get(name)) for name in columns))
        for label, line in lines
    )
    left = ", ".join(task_label(name) for name in part["unanswered"] if name != "choice")
    note = (
        "Per cent right; numbers score mean relative accuracy. Boxes of things from the points that"
        " their true masks cover, up and one length a scene from the truth; then the questions' own"
        " rules. Mean depth: of the other rooms. Not asked of geometry,"
        f" since masks alone tell: {left}."
    )
    if part["lost"]:
        note += f" Left out, since masks show too little: {part['lost']}."
    if told := part["trends"]["number"]:
        note += (
            f" Numbers replied follow those of geometry, task and truth controlled, by"
            f" {told['slope']:.2f} [{told['low']:.2f}, {told['high']:.2f}] of it: 1 if a reply is"
            " off as geometry is, 0 if it has nothing to do with it."
        )
    head = ("", *SOURCES.values(), "reply", "chance")
    title = f"What the geometry of {arm_label(arm)} answers by itself"
    return Table(title=title, head=head, rows=rows, note=note)


def _agreement_table(arm: str, part: Mapping[str, Any]) -> Table:
    rows = []
    for told in part["agreement"]:
        kappa, same = told["kappa"], told["same_mistake"]
        agreed = f"{kappa['kappa']:.2f}{_ends(kappa, 1, 2)}" if kappa else "-"
        alike = [_cell(same), f"{100 * same['chance']:.1f}", str(same["n"])] if same else ["-"] * 3
        rows.append((arm_label(told["arm"]), agreed, *alike))
    head = ("replies of", "kappa", "same mistake", "by chance", "both wrong")
    note = (
        "Cohen's kappa of replies with what the geometry says, by kinds of choices; 0 is chance."
        " Same mistake: of three options or more, where both are wrong, how often they chose the"
        " same one, in per cent. Other models' replies are the yardstick: they never saw it."
    )
    title = f"Do replies say what the geometry of {arm_label(arm)} says?"
    return Table(title=title, head=head, rows=tuple(rows), note=note)


def _cell(number: Mapping[str, Any] | None) -> str:
    return "-" if number is None else f"{100 * number['mean']:.1f}{_ends(number, 100, 1)}"


def _ends(number: Mapping[str, Any], factor: float, digits: int) -> str:
    if number["low"] is None:
        return ""
    low, high = (factor * number[end] for end in ("low", "high"))
    return f" [{low:.{digits}f}, {high:.{digits}f}]"
