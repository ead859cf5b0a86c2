"""Training curves as inline SVG: small panels, one a loss term."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from spatialsv.report.jobs import arm_label
from spatialsv.report.palette import arm_style

WIDTH, HEIGHT = 300, 176  # of a panel, in SVG units
LEFT, RIGHT, TOP, BOTTOM = 42, 10, 26, 26  # margins
COLUMNS, APART, KEY = 3, 24, 18  # of panels in one figure; between them; a line of the key
FIRST_TERMS = ("loss", "total", "text", "distill")  # panels in this order, then by name
POINTS = 120  # a curve: steps are averaged into at most so many bins
# What a line of the log says besides losses.
NO_LOSS = ("step", "epoch", "learning_rate", "grad_norm")

Curve = tuple[list[float], list[float]]  # steps and values


def read_curves(log: Path) -> dict[str, Curve]:
    """Each loss term over the steps of a training log: JSON lines with "step" and numbers.

    Nested records are read as terms of their own.

    Raises:
        ValueError: a line that is not JSON.
    """
    curves: dict[str, Curve] = {}
    for number, line in enumerate(log.read_text().splitlines(), start=1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{log}:{number}: not JSON ({error}); force the train stage") from None
        if isinstance(step := record.get("step"), int | float):
            for name, value in _numbers(record):
                steps, values = curves.setdefault(name, ([], []))
                steps.append(float(step))
                values.append(value)
    return curves


def curves_by_term(logs: Mapping[str, Path]) -> dict[str, dict[str, Curve]]:
    """Each loss term of several arms: term -> arm -> curve. An arm without a log is left out."""
    terms: dict[str, dict[str, Curve]] = {}
    for arm, log in logs.items():
        for term, curve in (read_curves(log) if log.is_file() else {}).items():
            terms.setdefault(term, {})[arm] = curve
    return terms


def _numbers(record: Mapping[str, Any]) -> list[tuple[str, float]]:
    found = []
    for name, value in record.items():
        if isinstance(value, Mapping):
            found += _numbers(value)
        elif isinstance(value, int | float) and math.isfinite(value) and name not in NO_LOSS:
            found.append((name, float(value)))
    return found


def smooth(curve: Curve) -> Curve:
    """Averages of neighbouring steps, at most POINTS of them."""
    parts = min(POINTS, len(curve[0]))
    return tuple([float(part.mean()) for part in np.array_split(axis, parts)] for axis in curve)


def panel(title: str, curves: Mapping[str, Curve], order: Sequence[str]) -> str:
    """One term's curves, a line an arm; `order` fixes each arm's colour and dashes."""
    right = max([1.0, *(step for curve in curves.values() for step in curve[0])])
    curves = {arm: smooth(curve) for arm, curve in curves.items() if curve[0]}
    values = [value for curve in curves.values() for value in curve[1]]
    ticks = nice_ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / right

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    marks = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
        f'<text class="tick" x="{LEFT - 6}" y="{y(t) + 3.5:.1f}" text-anchor="end">{t:g}</text>'
        for t in ticks
    ]
    marks.append(f'<text class="tick" x="{LEFT}" y="{HEIGHT - 8}">0</text>')
    marks.append(
        f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">'
        f"{right:g} steps</text>"
    )
    for arm, (at, value) in curves.items():
        points = " ".join(f"{x(a):.1f},{y(v):.1f}" for a, v in zip(at, value, strict=True))
        style = arm_style(arm, order)
        marks.append(f'<polyline {style} points="{points}"><title>{escape(arm)}</title></polyline>')
    ends = ", ".join(f"{arm} {curve[1][-1]:.3g}" for arm, curve in curves.items())
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)} over training steps; at the end {escape(ends)}">'
        f'<text class="title" x="0" y="12">{escape(title)}</text>{"".join(marks)}</svg>'
    )


def terms_in_order(curves: Mapping[str, Mapping[str, Curve]]) -> list[str]:
    """The loss terms that have a panel, those of all arms first."""
    found = [term for term in curves if not (term == "loss" and "total" in curves)]  # the same
    first = [term for term in FIRST_TERMS if term in found]
    return first + sorted(set(found) - set(first))


def curves_figure(curves: Mapping[str, Mapping[str, Curve]], order: Sequence[str]) -> str:
    """All panels as one SVG, under a key of the arms."""
    terms = terms_in_order(curves)
    arms = list(dict.fromkeys(arm for term in terms for arm in curves[term]))
    keys, marks = -(-len(arms) // COLUMNS), []
    for number, arm in enumerate(arms):
        down, across = divmod(number, COLUMNS)
        x, y = across * (WIDTH + APART), 10 + KEY * down
        marks.append(
            f'<line {arm_style(arm, order)} x1="{x}" x2="{x + 28}" y1="{y}" y2="{y}"/>'
            f'<text x="{x + 36}" y="{y + 3.5}">{escape(arm_label(arm))}</text>'
        )
    for number, term in enumerate(terms):
        down, across = divmod(number, COLUMNS)
        place = f'x="{across * (WIDTH + APART)}" y="{keys * KEY + 14 + down * (HEIGHT + APART)}"'
        size = f'width="{WIDTH}" height="{HEIGHT}"'
        marks.append(panel(term, curves[term], order).replace("<svg", f"<svg {place} {size}", 1))
    width = COLUMNS * (WIDTH + APART) - APART
    height = keys * KEY + 14 + -(-len(terms) // COLUMNS) * (HEIGHT + APART)
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Losses over training">'
        f"{''.join(marks)}</svg>"
    )


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers that enclose [low, high], about `count` intervals of them."""
    span = (high - low) or abs(high) or 1.0
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, max(last, first + 1) + 1)]
