"""The results as tables of words: one structure, rendered as text, Markdown or HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from spatialsv.report.jobs import UNTRAINED, arm_label

GEOMETRY = {"lift": "Lifted geometry", "probe": "Frozen depth probe"}  # stages and titles
HEADLINES = {  # of metrics.json, as far as a stage has them
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
TESTED = (
    "Tests are two-sided, on all spatial questions, paired by question and clustered by scene, and"
    " corrected together (Holm): t tests that count the luck of training where there are several"
    " seeds, else permutations, which take the trained models as given."
)
POOLS = {"mindcube": "MindCube settings", "vsi_choice": "VSI choices"}  # the paper has them, too
OTHERS = {"spatial": "all spatial", "recognition": "recognition"}
COULD_SHOW = (
    "The last column is the true difference, in points, that would be found so at least four times"
    " out of five."
)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A titled table; the first column names the rows, all others are numbers."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def results_tables(results: Mapping[str, Any]) -> list[Table]:
    """All tables of a results record; parts that are absent have none."""
    tables = [pooled_table(results), task_table(results)]
    if results["tests"]:
        tables.append(tests_table(results))
    tables += [
        geometry_table(results[stage], GEOMETRY[stage]) for stage in GEOMETRY if results[stage]
    ]
    return tables


def full_geometry_tables(results: Mapping[str, Any]) -> list[Table]:
    """Every metric of the geometry stages, under the names of their metrics.json."""
    return [
        geometry_table(results[stage], f"{title}: all metrics", every=True)
        for stage, title in GEOMETRY.items()
        if results[stage]
    ]


def pooled_table(results: Mapping[str, Any]) -> Table:
    """Arms by pools of tasks, with intervals."""
    columns = [task for task in results["tasks"] if task["group"]]
    rows = [_score_row(row, columns) for row in results["rows"]]
    if results["chance"]:
        chance = {"label": "chance", "scores": {}}
        chance["scores"] = {name: {"mean": mean} for name, mean in results["chance"].items()}
        rows.append(_score_row(chance, columns))
    head = ("", *(f"{task['label']} (n {task['n']})" for task in columns))
    note = (
        "Per cent right; numbers score mean relative accuracy. In brackets the 95 % interval, "
        "resampled by scene. Chance: a random option, or the constant that fits training best."
    )
    return Table(title="Answers, pooled", head=head, rows=tuple(rows), note=note)


def task_table(results: Mapping[str, Any]) -> Table:
    """Tasks by arms: more rows than columns, so that it fits a terminal."""
    columns = [task for task in results["tasks"] if not task["group"]]
    rows = []
    for task in columns:
        cells = [_cell(row["scores"].get(task["name"]), digits=0) for row in results["rows"]]
        rows.append((f"{task['label']} (n {task['n']})", *cells))
    head = ("", *(row["label"] for row in results["rows"]))
    return Table(
        title="Answers by task", head=head, rows=tuple(rows), note="Per cent, and 95 % interval."
    )


def tests_table(results: Mapping[str, Any]) -> Table:
    """Paired comparisons, with their verdict in words."""
    rows = []
    for test in results["tests"]:
        pair = f"{arm_label(test['first'])} - {arm_label(test['second'])}"
        points, *verdict = _tested(test)
        rows.append((pair, points, _p(test["p"]), *verdict))
    head = ("all spatial questions", "points", "p", "p (Holm)", "at 5 %", "could show")
    note = f"{TESTED} {COULD_SHOW}"
    return Table(title="Paired tests", head=head, rows=tuple(rows), note=note)


def geometry_table(
    arms: Mapping[str, Mapping[str, Mapping[str, Any]]], title: str, every: bool = False
) -> Table:
    """A geometry stage's metrics by arm: the headline ones in words, or every one by its name."""
    found = dict.fromkeys(name for metrics in arms.values() for name in metrics)
    names = {name: words for name, words in HEADLINES.items() if name in found}
    if every or not names:
        names = {name: name for name in found}
    rows = [
        (words, *(_number(metrics.get(name)) for metrics in arms.values()))
        for name, words in names.items()
    ]
    return Table(title=title, head=("", *map(arm_label, arms)), rows=tuple(rows))


def ablation_table(result: Mapping[str, Any]) -> Table:
    """One of the paper's tables: our scores, the paper's beside them, and the test of each row."""
    first, against = result["rows"][0], arm_label(result["against"])
    told = any("row" in row["paper"] for row in result["rows"])
    head = ["", *(["the paper's row"] if told else [])]
    for name, words in (POOLS | OTHERS).items():
        asked = first["scores"][name]
        head.append(words if asked is None else f"{words} (n {asked['questions']})")
        head += ["paper"] if name in POOLS else []
    head += ["AbsRel / mean depth", f"against {against}", "p (Holm)", "at 5 %", "could show"]
    rows = []
    for row in result["rows"]:
        cells = [arm_label(row["arm"]), *([row["paper"].get("row", "-")] if told else [])]
        for name in POOLS | OTHERS:
            cells.append(per_cent(row["scores"][name]))
            cells += [_printed(row["paper"].get(name))] if name in POOLS else []
        cells.append("-" if row["lifted"] is None else f"{row['lifted']['mean']:.2f}")
        rows.append((*cells, *_tested(row["test"], row["by_seed"])))
    note = (
        "Per cent right, means over seeds ± their standard deviation"
        f" ({_seeds(result['rows'])} of training)."
        " Numbers, which score mean relative accuracy, are in all spatial only. Each row"
        f" is compared with {against}. {TESTED} The ± of a difference is its standard deviation"
        f" over seeds. {COULD_SHOW}{_before(result['before'])} The paper's values are of"
        " Qwen2.5-VL-3B, on MindCube-Tiny and VSI-Bench: other questions and another model, so"
        " compare differences between rows, not levels."
    )
    return Table(title=result["title"], head=tuple(head), rows=tuple(rows), note=note)


def _seeds(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many seeds the trained arms have: one number, or from the fewest to the most."""
    found = {row["seeds"] for row in rows if row["arm"] not in UNTRAINED} or {1}
    return str(max(found)) if len(found) == 1 else f"{min(found)} to {max(found)}"


def _before(scores: Mapping[str, Any] | None) -> str:
    """What the base knew before any training: whether general ability is kept."""
    if scores is None:
        return ""
    told = [f"{words} {per_cent(scores[name])}" for name, words in OTHERS.items() if scores[name]]
    return f" Before training: {', '.join(told)}."


def per_cent(score: Mapping[str, Any] | None) -> str:
    """Per cent, with the deviation over seeds where there are several."""
    if score is None:
        return "-"
    return f"{100 * score['mean']:.1f}{_deviation(score)}"


def _deviation(score: Mapping[str, Any] | None) -> str:
    """The deviation over seeds, in points; nothing where there is none."""
    known = score is not None and score["deviation"] is not None
    return f" ± {100 * score['deviation']:.1f}" if known else ""


def _printed(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _tested(
    test: Mapping[str, Any] | None, by_seed: Mapping[str, Any] | None = None
) -> tuple[str, ...]:
    """A test in words: difference in points, corrected p, verdict, the least it could show."""
    if test is None:
        return ("-",) * 4
    found = test["minimum_detectable_difference"]
    return (
        f"{100 * test['difference']:+.1f}{_deviation(by_seed)}",
        _p(test["p_holm"]),
        "significant" if test["significant"] else "not significant",
        "-" if found is None else f"{100 * found:.1f}",
    )


def as_text(table: Table) -> str:
    """Aligned columns, for a terminal; wide tables break their headings over lines."""
    widths = [max(len(row[i]) for row in table.rows) for i in range(len(table.head))]
    heads = [_wrap(head, max(width, 10)) for head, width in zip(table.head, widths, strict=True)]
    widths = [max(width, *map(len, lines)) for width, lines in zip(widths, heads, strict=True)]
    height = max(map(len, heads))
    lines = [table.title, ""]
    for line in range(height):
        cells = [([""] * (height - len(head)) + head)[line] for head in heads]
        lines.append(_line(cells, widths))
    lines.append("-" * (sum(widths) + 2 * len(widths) - 2))
    lines += [_line(row, widths) for row in table.rows]
    return "\n".join([line.rstrip() for line in lines])


def as_markdown(table: Table) -> str:
    """A GitHub table under a heading."""

    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = "|" + "|".join([" :-- ", *[" --: "] * (len(table.head) - 1)]) + "|"
    lines = [f"### {table.title}", "", row(table.head), rule, *map(row, table.rows)]
    return "\n".join([*lines, *(["", table.note] if table.note else [])])


def as_html(table: Table) -> str:
    """A table that scrolls sideways by itself where the screen is narrow."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.head)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{_emphasised(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in table.rows
    )
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    title = escape(table.title)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table>'
        f"<caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        f"</table></div>{note}"
    )


def _emphasised(cell: str) -> str:
    """The interval in smaller type than the value."""
    value, bracket, interval = cell.partition(" [")
    if not bracket:
        return escape(cell)
    return f'{escape(value)} <span class="interval">[{escape(interval)}</span>'


def _score_row(row: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return (row["label"], *(_cell(row["scores"].get(task["name"])) for task in columns))


def _cell(score: Mapping[str, Any] | None, digits: int = 1) -> str:
    """A score in per cent with its interval, as "52.1 [48.0, 56.3]"."""
    if score is None:
        return "-"
    text = f"{100 * score['mean']:.{digits}f}"
    if score.get("low") is not None:
        text += f" [{100 * score['low']:.{digits}f}, {100 * score['high']:.{digits}f}]"
    return text


def _number(metric: Mapping[str, Any] | None) -> str:
    if metric is None:
        return "-"
    mean, deviation = metric["mean"], metric["deviation"]
    known = deviation is not None and deviation > 1e-9 * abs(mean)  # the rest is rounding
    return f"{mean:.4g} ± {deviation:.2g}" if known else f"{mean:.4g}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (
        cell.rjust(width) if column else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *rest])


def _wrap(words: str, width: int) -> list[str]:
    """Break at spaces into lines of at most `width` characters where words allow."""
    lines = [""]
    for word in words.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
