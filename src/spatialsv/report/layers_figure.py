"""The figure of quality over layers, as SVG: a panel a task, a line an arm, controls in grey."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from spatialsv.report.curves import nice_ticks
from spatialsv.report.jobs import arm_label
from spatialsv.report.palette import arm_class, arm_style

WIDTH, HEIGHT = 340, 216  # of a panel, in SVG units
LEFT, RIGHT, TOP, BOTTOM = 40, 84, 30, 34  # margins; controls are named on the right
COLUMNS = 2  # of panels in the figure as one file
APART = 10  # between two names of controls
LABELS = 12  # layers, at most, that are named on the axis
TITLES = {
    "depth": "Depth RMSE, nothing aligned",
    "rays": "Ray error, degrees",
    "pose": "Pose AUC, 30 degrees",
    "points": "Point error",
    "matches": "Matches within 10 %",
}
CONTROLS = {"position": "place only", "shuffled": "other scenes", "random": "random weights"}

DASHES = {"position": "", "shuffled": "2 3", "random": "7 3"}

Number = Mapping[str, float | None]


def arm_order(results: Mapping[str, Any]) -> list[str]:
    """The page's order of colours, and behind it the arms that were probed only."""
    shown = [row["arm"] for row in results["rows"]]
    return shown + [arm for arm in results["layers"]["arms"] if arm not in shown]


def layers_figure(results: Mapping[str, Any]) -> str:
    """All panels as one SVG, with a key."""
    record, order = results["layers"], arm_order(results)
    marks = []
    for number, task in enumerate(record["headlines"]):
        down, across = divmod(number, COLUMNS)
        place = f'<svg x="{across * WIDTH}" y="{down * HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        marks.append(panel(task, record, order).replace("<svg", place, 1))
    down, across = divmod(len(record["headlines"]), COLUMNS)
    for row, arm in enumerate(record["arms"]):
        x, y = across * WIDTH + LEFT, down * HEIGHT + TOP + 18 * row
        marks.append(
            f'<line {arm_style(arm, order)} x1="{x}" x2="{x + 28}" y1="{y}" y2="{y}"/>'
            f'<text x="{x + 36}" y="{y + 3.5}">{escape(arm_label(arm))}</text>'
        )
    size = f"{COLUMNS * WIDTH} {(down + 1) * HEIGHT}"
    return (
        f'<svg viewBox="0 0 {size}" role="img" aria-label="Quality of linear probes over layers">'
        f"{''.join(marks)}</svg>"
    )


def panel(task: str, record: Mapping[str, Any], order: Sequence[str]) -> str:
    """One task over the layers: a line an arm, and in grey the controls of the first arm."""
    metric, layers = record["headlines"][task], record["layers"]
    arms = {arm: found["curves"]["probe"][metric] for arm, found in record["arms"].items()}
    first = next(iter(record["arms"].values()))["curves"]
    controls = {name: first[name][metric] for name in CONTROLS if name in first}
    shown = [number for line in (*arms.values(), *controls.values()) for number in line]
    edges = [n[end] for n in shown for end in ("mean", "low", "high") if n[end] is not None]
    if not edges:
        return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="nothing measured"/>'
    ticks = nice_ticks(min(edges), max(edges))

    def x(place: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * place / max(1, len(layers) - 1)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (ticks[-1] - value) / (ticks[-1] - ticks[0])

    marks = [_axes(ticks, layers, record["taps"], x, y)]
    marks.append(_controls(controls, len(layers), x, y))
    for arm, line in arms.items():
        marks.append(_line(line, arm_style(arm, order), x, y))
        marks.append(_dots(arm_label(arm), line, layers, arm_class(arm, order), x, y))
    better = "higher" if task in ("pose", "matches") else "lower"
    ends = ", ".join(
        f"{arm_label(arm)} {line[-1]['mean']:.3g}"
        for arm, line in arms.items()
        if line[-1]["mean"] is not None
    )
    title = escape(TITLES[task])
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title} over layers; at the'
        f' last {escape(ends)}"><text class="title" x="0" y="12">{title} <tspan class="tick">'
        f"({better} is better)</tspan></text>{''.join(marks)}</svg>"
    )


def _axes(
    ticks: Sequence[float], layers: Sequence[int], taps: Sequence[int], x: Callable, y: Callable
) -> str:
    marks, bottom = [], HEIGHT - BOTTOM
    for tick in ticks:
        marks.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}"'
            f' y2="{y(tick):.1f}"/><text class="tick" x="{LEFT - 6}" y="{y(tick) + 3.5:.1f}"'
            f' text-anchor="end">{tick:g}</text>'
        )
    step = -(-len(layers) // LABELS)
    for place, layer in enumerate(layers):
        at = f"{x(place):.1f}"
        if layer in taps:
            corners = (
                f"{at},{bottom} {x(place) - 4:.1f},{bottom + 7} {x(place) + 4:.1f},{bottom + 7}"
            )
            marks.append(
                f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP}" y2="{bottom}"/>'
                f'<polygon class="c5" fill="currentColor" points="{corners}"/>'
            )
        if layer < 1 or layer % step == 0:
            name = {-1: "enc", 0: "proj"}.get(layer, str(layer))
            marks.append(
                f'<text class="tick" x="{at}" y="{bottom + 19}" text-anchor="middle">{name}</text>'
            )
    return "".join(marks)


def _controls(
    controls: Mapping[str, Sequence[Number]], layers: int, x: Callable, y: Callable
) -> str:
    """Grey lines, named at their ends; names that would touch are moved apart."""
    marks, names = [], []
    for name, line in controls.items():
        line = line if len(line) > 1 else list(line) * layers
        points = [(x(i), y(n["mean"])) for i, n in enumerate(line) if n["mean"] is not None]
        if not points:
            continue
        path = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
        dashes = f' stroke-dasharray="{DASHES[name]}"' if DASHES[name] else ""
        marks.append(
            f'<polyline class="line c6" style="stroke-width: 1.1"{dashes} points="{path}">'
            f"<title>{CONTROLS[name]}</title></polyline>"
        )
        names.append((points[-1][1], CONTROLS[name]))
    last = -float(APART)
    for height, name in sorted(names):
        last = max(height, last + APART)
        marks.append(f'<text class="tick" x="{WIDTH - RIGHT + 5}" y="{last + 3:.1f}">{name}</text>')
    return "".join(marks)


def _line(line: Sequence[Number], style: str, x: Callable, y: Callable) -> str:
    points = [(x(i), y(n["mean"])) for i, n in enumerate(line) if n["mean"] is not None]
    path = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
    return f'<polyline {style} points="{path}"/>'


def _dots(
    label: str, line: Sequence[Number], layers: Sequence[int], colour: str, x: Callable, y: Callable
) -> str:
    """A dot a layer, with its interval."""
    marks = []
    for place, (layer, number) in enumerate(zip(layers, line, strict=True)):
        if number["mean"] is None:
            continue
        at, told = f"{x(place):.1f}", f"{label}, {layer_name(layer)}: {cell(number)}"
        if number["low"] is not None:
            marks.append(
                f'<line class="{colour}" stroke-width="1" x1="{at}" x2="{at}"'
                f' y1="{y(number["low"]):.1f}" y2="{y(number["high"]):.1f}"/>'
            )
        marks.append(
            f'<circle class="dot {colour}" cx="{at}" cy="{y(number["mean"]):.1f}" r="2.2"><title>'
            f"{escape(told)}</title></circle>"
        )
    return "".join(marks)


def cell(number: Number, sign: str = "") -> str:
    if number["mean"] is None:
        return "-"
    text = f"{number['mean']:{sign}.3g}"
    if number["low"] is None:
        return text
    return f"{text} [{number['low']:.3g}, {number['high']:.3g}]"


def layer_name(layer: int) -> str:
    """A layer in words."""
    return {-1: "encoder", 0: "projector"}.get(layer, f"layer {layer}")
