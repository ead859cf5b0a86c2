"""The figure of scores and intervals as inline SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from spatialsv.report.palette import arm_class


def interval_figure(results: Mapping[str, Any], names: Sequence[str]) -> str:
    """Scores with intervals, a block a pool and a row an arm; chance is a vertical line."""
    rows, order = results["rows"], [row["arm"] for row in results["rows"]]
    labels = {task["name"]: task["label"] for task in results["tasks"]}
    names = [name for name in names if name in labels]
    left, width, step, gap = 128, 640, 17, 30
    height = len(names) * (len(rows) * step + gap) + 22

    def x(score: float) -> float:
        return left + (width - left - 44) * score

    marks, top = [], 8
    bottom = height - 18
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        marks.append(
            f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="4" y2="{bottom}"/>'
            f'<text class="tick" x="{x(tick):.1f}" y="{height - 4}" text-anchor="middle">'
            f"{100 * tick:g} %</text>"
        )
    for name in names:
        marks.append(f'<text class="title" x="0" y="{top + 10}">{escape(labels[name])}</text>')
        top += gap - 6
        end = top + len(rows) * step - 6
        if (chance := results["chance"].get(name)) is not None:
            marks.append(
                f'<line class="chance" x1="{x(chance):.1f}" x2="{x(chance):.1f}" y1="{top - 8}" '
                f'y2="{end}"><title>chance {100 * chance:.1f} %</title></line>'
            )
        for row in rows:
            if score := row["scores"].get(name):
                marks.append(_interval(row, score, x, top, arm_class(row["arm"], order)))
            top += step
        top += 6
    return (
        f'<svg class="intervals" viewBox="0 0 {width} {height}" role="img" aria-label="Scores of '
        f'each arm with 95 % intervals; the tables below have the numbers">{"".join(marks)}</svg>'
    )


def _interval(
    row: Mapping, score: Mapping, x: Callable[[float], float], y: int, colour: str
) -> str:
    mean = score["mean"]
    low, high = (mean if score[end] is None else score[end] for end in ("low", "high"))
    label = escape(row["label"])
    return (
        f'<text class="tick" x="120" y="{y + 3.5}" text-anchor="end">{label}</text>'
        f'<line class="line {colour}" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}"/>'
        f'<circle class="dot {colour}" cx="{x(mean):.1f}" cy="{y}" r="3.6"><title>{label}: '
        f"{100 * mean:.1f} % [{100 * low:.1f}, {100 * high:.1f}]</title></circle>"
        f'<text class="value" x="{x(1.0) + 44:.1f}" y="{y + 3.5}" text-anchor="end">'
        f"{100 * mean:.1f}</text>"
    )
