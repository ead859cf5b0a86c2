"""The figure of the gate: what each threshold keeps, and how true that is, as SVG."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from spatialsv.report.curves import nice_ticks
from spatialsv.report.palette import arm_class, arm_style

WIDTH, HEIGHT = 640, 330  # SVG units
LEFT, RIGHT, TOP, BOTTOM = 44, 16, 44, 40  # margins
APART = 24  # between two labelled points
CROWDED = 0.97  # of the pixels: where the lines meet, points have no labels
EDGE = 12  # about a figure that is a file
KEY = 152  # from one entry of the key to the next
LINES = {
    "confidence_percentile": "confidence (percentile)",
    "pixels": "reprojection (pixels)",
    "relative_depth": "relative depth",
}
ORDER = ("", *LINES)  # colours and dashes, the first of which is grey

Place = Callable[[Mapping[str, Any]], tuple[float, float]]


def gate_figure(measured: Mapping[str, Any]) -> str:
    """Precision over the share of pixels kept: a line a threshold, a dot each of its values.

    Args:
        measured: of the record of `build_gate`.
    """
    rows, sweeps = measured["rows"], measured["sweeps"]
    shown = [row for sweep in sweeps.values() for row in sweep if row["gain"]]
    values = [edge for row in [*shown, rows["kept"]] for edge in _reach(row)]
    ticks = nice_ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]

    def x(share: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * share

    def y(precision: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - precision) / (high - low)

    def place(row: Mapping[str, Any]) -> tuple[float, float]:
        return x(row["share"]), y(row["precision"])

    chance = rows["all"]["precision"]
    marks = [_axes(ticks, x, y, measured["right"])]
    at = f"{y(chance):.1f}"
    marks.append(
        f'<line class="chance" x1="{x(0.0)}" x2="{x(1.0)}" y1="{at}" y2="{at}"/>'
        f'<text class="tick" x="{x(0.0) + 4}" y="{y(chance) - 5:.1f}">random dropping</text>'
    )
    for number, (name, sweep) in enumerate(sweeps.items()):
        drawn = [row for row in sweep if row["gain"]]
        marks += [_key(number, name), _line(name, drawn, place, y, below=number == 1)]
    key = LEFT + KEY * len(LINES)
    marks.append(
        f'{_diamond(key + 12.0, 27.0)}<text x="{key + 24}" y="30.5">all three, as set</text>'
    )
    marks.append(_as_set(rows["kept"], place, y))
    told = f"Precision {100 * rows['kept']['precision']:.1f} % of kept pixels, {100 * chance:.1f} %"
    return (
        f'<svg class="intervals" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{told} of'
        f' all; at each threshold by itself, the table has the numbers">{"".join(marks)}</svg>'
    )


def _reach(row: Mapping[str, Any]) -> tuple[float, float]:
    """The interval of its gain, about its precision."""
    middle = row["precision"] - row["gain"]["mean"]
    return middle + row["gain"]["low"], middle + row["gain"]["high"]


def _axes(ticks: Sequence[float], x: Callable, y: Callable, right: float) -> str:
    marks = [
        f'<line class="grid" x1="{x(0.0)}" x2="{x(1.0)}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
        f'<text class="tick" x="{LEFT - 6}" y="{y(t) + 3.5:.1f}" text-anchor="end">'
        f"{100 * t:g} %</text>"
        for t in ticks
    ]
    marks += [
        f'<text class="tick" x="{x(t):.1f}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">'
        f"{100 * t:g} %</text>"
        for t in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    marks.append(
        f'<text x="{x(0.5):.1f}" y="{HEIGHT - 6}" text-anchor="middle">pixels kept</text>'
        f'<text class="title" x="0" y="12">Kept pixels within {100 * right:g} % of the true depth'
        "</text>"
    )
    return "".join(marks)


def _key(number: int, name: str) -> str:
    at = LEFT + KEY * number
    return (
        f'<line {arm_style(name, ORDER)} x1="{at}" x2="{at + 24}" y1="27" y2="27"/>'
        f'<text x="{at + 30}" y="30.5">{escape(LINES[name])}</text>'
    )


def _line(
    name: str, sweep: Sequence[Mapping[str, Any]], place: Place, y: Callable, below: bool
) -> str:
    """A threshold's line, its dots with their intervals, and the values of those that lie apart."""
    points = [place(row) for row in sweep]
    path = " ".join(f"{at:.1f},{height:.1f}" for at, height in points)
    marks, last = [f'<polyline {arm_style(name, ORDER)} points="{path}"/>'], None
    colour = arm_class(name, ORDER)
    for row, (at, height) in zip(sweep, points, strict=True):
        marks.append(_whisker(row, at, y, colour))
        marks.append(
            f'<circle class="dot {colour}" cx="{at:.1f}" cy="{height:.1f}" r="2.6"><title>'
            f"{escape(LINES[name])} {row['at']:g}: keeps {100 * row['share']:.1f} %, precision"
            f" {100 * row['precision']:.1f} %</title></circle>"
        )
        if row["share"] < CROWDED and (last is None or abs(at - last) >= APART):
            beside = f'x="{at - 5:.1f}" y="{height + 13:.1f}" text-anchor="end"'
            if not below:
                beside = f'x="{at + 5:.1f}" y="{height - 6:.1f}"'
            marks.append(f'<text class="tick" {beside}>{row["at"]:g}</text>')
            last = at
    return "".join(marks)


def _whisker(row: Mapping[str, Any], at: float, y: Callable, colour: str) -> str:
    low, high = (y(edge) for edge in _reach(row))
    return (
        f'<line class="{colour}" stroke-width="1" x1="{at:.1f}" x2="{at:.1f}" y1="{low:.1f}"'
        f' y2="{high:.1f}"/>'
    )


def _as_set(kept: Mapping[str, Any], place: Place, y: Callable) -> str:
    """All three thresholds as they were set: a diamond."""
    at, height = place(kept)
    return _whisker(kept, at, y, "c5") + _diamond(at, height)


def _diamond(at: float, height: float) -> str:
    corners = ((at, height - 6), (at + 6, height), (at, height + 6), (at - 6, height))
    points = " ".join(f"{across:.1f},{down:.1f}" for across, down in corners)
    return f'<polygon class="c5" fill="currentColor" points="{points}"/>'


def standing_alone(svg: str) -> str:
    """`svg` as a file: with the page's style in daylight, and colours in plain values."""
    style = files("spatialsv.report").joinpath("style.css").read_text()
    colours: dict[str, str] = {}
    for name, value in re.findall(r"(--\w+): (#\w+)", style):
        colours.setdefault(name, value)
    rules = [line for line in style.splitlines() if re.match(r"svg |\.c\d|\.dot", line)]
    plain = re.sub(r"var\((--\w+)\)", lambda match: colours[match[1]], "\n".join(rules))
    width, height = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg).groups()
    size = f'width="{int(width) + 2 * EDGE}" height="{int(height) + 2 * EDGE}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} color="{colours["--ink"]}"'
    paper = f'<rect x="{-EDGE}" y="{-EDGE}" {size} fill="{colours["--paper"]}"/>'
    wider = f"{-EDGE} {-EDGE} {int(width) + 2 * EDGE} {int(height) + 2 * EDGE}"
    svg = svg.replace(f"0 0 {width} {height}", wider, 1)
    return svg.replace("<svg", head, 1).replace(">", f"><style>{plain}</style>{paper}", 1) + "\n"
