"""Figures of what models see beside what they answer, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from spatialsv.report.curves import nice_ticks
from spatialsv.report.jobs import arm_label
from spatialsv.report.palette import arm_class, arm_style
from spatialsv.report.results import task_label

WIDTH, HEIGHT = 640, 310  # of a figure with two axes, in SVG units
LEFT, RIGHT, TOP, BOTTOM = 44, 128, 26, 38  # margins; arms are named on the right
APART = 12  # between two names
ROW, NAMES, VALUES = 22, 172, 24  # of the figure by tasks: rows, and its margins
SHAPES = {
    "exact": "exact geometry",
    "lifted_cameras": "mean depth, lifted cameras",
    "lifted": "lifted geometry",
    "reply": "reply",
}

Place = Callable[[float], float]


def error_figure(record: Mapping[str, Any], order: Sequence[str], title: str, words: str) -> str:
    """Accuracy over an error: a small dot a seed, a ring an arm.

    Args:
        record: `probe` or `lift` of `build_interpretability`.
        words: what stands below the horizontal axis.
    """
    x, across = _scale([p["error"] for p in record["points"]], LEFT, WIDTH - RIGHT)
    scores = [p["accuracy"] for p in record["points"]]
    ends = [arm[end] for arm in record["arms"] for end in ("low", "high") if arm[end] is not None]
    y, up = _scale([*scores, *ends], HEIGHT - BOTTOM, TOP)
    marks, names = [_axes(title, words, x, across, y, up)], []
    for arm in record["arms"]:
        colour, label = arm_class(arm["arm"], order), arm_label(arm["arm"])
        own = [p for p in record["points"] if p["arm"] == arm["arm"]]
        if len(own) > 1:
            marks += [
                f'<circle class="{colour}" fill="none" cx="{x(p["error"]):.1f}"'
                f' cy="{y(p["accuracy"]):.1f}" r="1.6"/>'
                for p in own
            ]
        at, height = x(arm["error"]), y(arm["accuracy"])
        marks.append(_whisker(arm, at, y, colour))
        marks.append(
            f'<circle class="dot {colour}" cx="{at:.1f}" cy="{height:.1f}" r="4"><title>'
            f"{escape(label)}: {words} {arm['error']:.3g}, {100 * arm['accuracy']:.1f} %</title>"
            "</circle>"
        )
        names.append((height, at, label))
    return _svg(WIDTH, HEIGHT, f"{title}; the table has the numbers", [*marks, _names(names)])


def bins_figure(arm: str, record: Mapping[str, Any], order: Sequence[str]) -> str:
    """Accuracy in bins of scenes, the best lifted on the right, beside another model's."""
    lines = [(arm, "own")] + ([(record["other"], "other")] if record["other"] else [])
    values = [
        edge
        for part in record["bins"]
        for _, key in lines
        for edge in part[key].values()
        if edge is not None
    ]
    y, up = _scale(values, HEIGHT - BOTTOM, TOP)
    step = (WIDTH - RIGHT - LEFT) / len(record["bins"])

    def x(number: float | int) -> float:
        return LEFT + step * (number + 0.5)

    edges = [part["error"] for part in record["bins"]]
    told = {float(i): f"{low:.2g}-{high:.2g}" for i, (low, high) in enumerate(edges)}
    words = "lifted depth RMSE of the scenes in four bins, worst to best"
    title = f"Scenes by how well {arm_label(arm)} sees them"
    marks = [_axes(title, words, x, told, y, up, lines=False)]
    names = []
    for place, (name, key) in enumerate(lines):
        shift = 5 * (2 * place - len(lines) + 1)
        spots = [(x(i) + shift, y(part[key]["mean"])) for i, part in enumerate(record["bins"])]
        path = " ".join(f"{at:.1f},{height:.1f}" for at, height in spots)
        colour = arm_class(name, order)
        marks.append(f'<polyline {arm_style(name, order)} points="{path}"/>')
        for part, (at, height) in zip(record["bins"], spots, strict=True):
            marks.append(_whisker(part[key], at, y, colour))
            marks.append(
                f'<circle class="dot {colour}" cx="{at:.1f}" cy="{height:.1f}" r="3"><title>'
                f"{escape(arm_label(name))}: {100 * part[key]['mean']:.1f} % of {part['n']}"
                f" questions about {part['scenes']} scenes</title></circle>"
            )
        names.append((spots[-1][1], spots[-1][0], arm_label(name)))
    return _svg(WIDTH, HEIGHT, f"{title}; the table has the numbers", [*marks, _names(names)])


def geometry_figure(arm: str, record: Mapping[str, Any], order: Sequence[str]) -> str:
    """A row a task: what geometry scores by itself, and what is replied."""
    tasks = record["tasks"]
    width, top = WIDTH, 48
    height = top + ROW * len(tasks) + 24

    def x(score: float) -> float:
        return NAMES + (width - NAMES - VALUES) * score

    title = f"What the geometry of {arm_label(arm)} answers by itself, and what it replies"
    marks = [f'<text class="title" x="0" y="12">{escape(title)}</text>']
    for number, (name, words) in enumerate(SHAPES.items()):
        at = NAMES + (0, 105, 265, 375)[number]
        marks.append(_shape(name, at + 5, 29, arm_class(arm, order), words))
        marks.append(f'<text x="{at + 14}" y="32.5">{words}</text>')
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        marks.append(
            f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top - 6}"'
            f' y2="{height - 18}"/><text class="tick" x="{x(tick):.1f}" y="{height - 5}"'
            f' text-anchor="middle">{100 * tick:g} %</text>'
        )
    for number, task in enumerate(tasks):
        y = top + ROW * number + 8
        label = f"{task_label(task['name'])} ({task['n']})"
        marks.append(
            f'<text class="tick" x="{NAMES - 10}" y="{y + 3.5}" text-anchor="end">'
            f"{escape(label)}</text>"
        )
        if "chance" in task:
            at = f"{x(task['chance']['mean']):.1f}"
            marks.append(
                f'<line class="chance" x1="{at}" x2="{at}" y1="{y - 8}" y2="{y + 8}">'
                "<title>chance</title></line>"
            )
        for name, words in SHAPES.items():
            told = f"{words}: {100 * task[name]['mean']:.1f} %"
            marks.append(_shape(name, x(task[name]["mean"]), y, arm_class(arm, order), told))
    return _svg(width, height, f"{title}; the table has the numbers", marks)


def _shape(name: str, x: float | int, y: float | int, colour: str, told: str) -> str:
    """Sources are told apart by shape: a bar, a square, a ring, a cross."""
    title = f"<title>{escape(told)}</title>"
    if name == "exact":
        return (
            f'<line class="line c5" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 6}" y2="{y + 6}">'
            f"{title}</line>"
        )
    if name == "lifted_cameras":
        return (
            f'<rect class="dot c6" x="{x - 3.4:.1f}" y="{y - 3.4:.1f}" width="6.8" height="6.8">'
            f"{title}</rect>"
        )
    if name == "lifted":
        return f'<circle class="dot {colour}" cx="{x:.1f}" cy="{y}" r="4.4">{title}</circle>'
    path = f"M{x - 3.6:.1f},{y - 3.6:.1f}l7.2,7.2m0,-7.2l-7.2,7.2"
    return f'<path class="line {colour}" d="{path}">{title}</path>'


def _scale(values: Sequence[float], start: int, end: int) -> tuple[Place, dict[float, str]]:
    """From a value to its place between `start` and `end`, and ticks that enclose all values."""
    low, high = min(values), max(values)
    room = 0.06 * (high - low or abs(high) or 1)
    ticks = nice_ticks(low - room, high + room)
    first, last = ticks[0], ticks[-1]

    def place(value: float) -> float:
        return start + (end - start) * (value - first) / (last - first)

    return place, {tick: f"{tick:g}" for tick in ticks}


def _axes(
    title: str,
    words: str,
    x: Place,
    across: Mapping[float, str],
    y: Place,
    up: Mapping[float, str],
    lines: bool = True,
) -> str:
    """Ticks of an error and of a share, which is told in per cent."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    marks = [f'<text class="title" x="0" y="12">{escape(title)}</text>']
    for tick in up:
        marks.append(
            f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
            f'<text class="tick" x="{LEFT - 6}" y="{y(tick) + 3.5:.1f}" text-anchor="end">'
            f"{100 * tick:g} %</text>"
        )
    for tick, name in across.items():
        if lines:
            marks.append(
                f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}"'
                f' y2="{bottom}"/>'
            )
        marks.append(
            f'<text class="tick" x="{x(tick):.1f}" y="{bottom + 14}" text-anchor="middle">'
            f"{escape(name)}</text>"
        )
    marks.append(
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(words)}'
        "</text>"
    )
    return "".join(marks)


def _names(names: Sequence[tuple[float, float, str]]) -> str:
    """Arms' names in the right margin, moved apart where they would touch, with a line to each."""
    marks, last = [], -float(APART)
    for height, at, label in sorted(names):
        last = max(height, last + APART)
        edge = WIDTH - RIGHT + 8
        marks.append(
            f'<line class="grid" x1="{at + 6:.1f}" y1="{height:.1f}" x2="{edge - 3}"'
            f' y2="{last:.1f}"/><text x="{edge}" y="{last + 3.5:.1f}">{escape(label)}</text>'
        )
    return "".join(marks)


def _whisker(number: Mapping[str, Any], at: float, y: Place, colour: str) -> str:
    if number["low"] is None or number["high"] is None:
        return ""
    return (
        f'<line class="{colour}" stroke-width="1" x1="{at:.1f}" x2="{at:.1f}"'
        f' y1="{y(number["low"]):.1f}" y2="{y(number["high"]):.1f}"/>'
    )


def _svg(width: int, height: int, label: str, marks: Sequence[str]) -> str:
    return (
        f'<svg class="intervals" viewBox="0 0 {width} {height}" role="img"'
        f' aria-label="{escape(label)}">{"".join(marks)}</svg>'
    )
