"""All figures of the report, from the tidy tables of the stage `analysis`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from spatialsv.report.data import Row, Tables, unique, where
from spatialsv.report.examples import examples_figure
from spatialsv.report.style import (
    COLOURS,
    DASHES,
    RC,
    add_arm_legend,
    arm_colour,
    arm_marker,
    arm_style,
    new_figure,
)
from spatialsv.report.texts import arm_label, task_label, texts

POOLS = ("spatial", "spatial_choice", "spatial_number", "spatial_text")  # of the scores
POINTS = 120  # per curve: steps are averaged into at most this many bins
FIRST_TERMS = ("loss", "total", "text", "distill")  # panels in this order, then by name
AXES = {
    "probe": ("Frozen probe: depth error against accuracy", "depth RMSE of the probe"),
    "lift": ("Lifted depth: error against accuracy", "RMSE of lifted depth"),
}
MARKERS = {"exact": "|", "lifted_cameras": "s", "lifted": "o", "response": "x"}


@mpl.rc_context(RC)
def draw_figures(
    tables: Tables, browser: Mapping[str, Any], clouds: Mapping[str, Any]
) -> dict[str, Figure]:
    """Draw each figure that there is data for, by file name; examples are in the viewers' data."""
    every = all_arms(tables)
    figures: dict[str, Figure] = {"scores": score_figure(tables["scores"], every)}
    if tables["gate_sweeps"]:
        figures["gate"] = gate_figure(tables)
    if tables["layers"]:
        figures["layers"] = layer_figure(tables["layers"], every)
    if tables["curves"]:
        figures["training"] = curve_figure(tables["curves"], every)
    for stage in AXES:
        if len(where(tables["quality_by_arm"], stage=stage)) > 1:
            figures[f"{stage}_accuracy"] = quality_figure(stage, tables, every)
    for arm in unique(tables["quality_bins"], "arm"):
        figures[f"bins_{arm}"] = bin_figure(arm, where(tables["quality_bins"], arm=arm), every)
    for arm in unique(tables["solver_scores"], "arm"):
        rows = where(tables["solver_scores"], arm=arm, is_pool=False)
        figures[f"solver_{arm}"] = solver_figure(arm, rows, every)
    examples = where(tables["disagreements"], is_example=True)
    for arm in unique(examples, "arm"):
        rows = where(examples, arm=arm)
        figures[f"disagreements_{arm}"] = examples_figure(rows, browser, clouds)
    return figures


def all_arms(tables: Tables) -> list[str]:
    """Return the arms of a page: those with scores, then all others."""
    names = ("scores", "curves", "layers", "quality_by_arm")
    return list(dict.fromkeys(row["arm"] for name in names for row in tables.get(name, ())))


def score_figure(scores: Sequence[Row], every: Sequence[str]) -> Figure:
    """Draw scores with intervals: a panel per pool, a row per arm."""
    pools = [pool for pool in POOLS if where(scores, task=pool)]
    arms = unique(scores, "arm")
    figure, axes = new_figure(0.9 + 0.24 * len(arms), columns=len(pools) or 1, sharey=True)
    for ax, pool in zip(axes, pools, strict=False):
        rows = where(scores, task=pool)
        for row in rows:
            y = arms.index(row["arm"])
            colour = arm_colour(row["arm"], every)
            ax.errorbar(row["mean"], y, xerr=_reach(row), fmt="o", color=colour)
            ax.text(1.15, y, f"{100 * row['mean']:.1f}", va="center", ha="right", fontsize=7)
        if (chance := rows[0]["chance"]) is not None:
            ax.axvline(chance, color=COLOURS["ink"], linestyle=(0, (4, 3)), linewidth=0.9)
        ax.set(title=task_label(pool), xlim=(0, 1.15), ylim=(len(arms) - 0.5, -0.5))
        ax.set_yticks(range(len(arms)), list(map(arm_label, arms)))
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1])
        ax.grid(False, axis="y")
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def label_figure(points: Sequence[Row]) -> Figure:
    """Draw accuracy over the number of labelled scenes: a line per method."""
    figure, (ax,) = new_figure(3.2)
    for number, method in enumerate(unique(points, "method"), start=1):
        rows = sorted(where(points, method=method), key=lambda row: row["labels"])
        ax.errorbar(
            [row["labels"] for row in rows],
            [row["mean"] for row in rows],
            yerr=[row["deviation"] or 0 for row in rows],
            color=COLOURS[f"c{number}"],
            linestyle=DASHES[number],
            marker="o",
            label=", ".join(arm_label(row["arm"]) for row in rows),
        )
    ticks = sorted({row["labels"] for row in points})
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.minorticks_off()
    ax.set(xlabel="labelled scenes", ylabel="accuracy")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.legend()
    return figure


def gate_figure(tables: Tables) -> Figure:
    """Draw precision over the share of pixels kept: a line per threshold, a dot per value."""
    (summary,), sweeps = tables["gate_summary"], tables["gate_sweeps"]
    rows = {row["pixels"]: row for row in tables["gate_pixels"]}
    figure, (ax,) = new_figure(4.2)
    chance = rows["all"]["precision"]
    ax.axhline(chance, color=COLOURS["ink"], linestyle=(0, (4, 3)), linewidth=0.9)
    ax.annotate("random dropping", (0, chance), (4, 3), textcoords="offset points", fontsize=7)
    for number, name in enumerate(unique(sweeps, "threshold"), start=1):
        sweep = [row for row in where(sweeps, threshold=name) if row["gain"]]
        style = {"color": COLOURS[f"c{number}"], "linestyle": DASHES[number], "marker": "o"}
        _gain_bars(ax, sweep, label=texts()["thresholds"][name], **style)
        offset = (-4, -10) if number == 2 else (4, 5)
        for row in sweep:
            if row["share"] < 0.97:  # where the lines meet, points have no labels
                place = (row["share"], row["precision"])
                ax.annotate(f"{row['value']:g}", place, offset, textcoords="offset points")
    _gain_bars(ax, [rows["kept"]], color=COLOURS["ink"], fmt="D", label="all three, as set")
    ax.set(
        title=f"Precision of kept pixels: within {100 * summary['tolerance']:g} % of true depth",
        xlabel="share of pixels kept",
        xlim=(0, 1.02),
    )
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    figure.legend(loc="outside upper left", ncols=4, handlelength=3)
    return figure


def layer_figure(layers: Sequence[Row], every: Sequence[str]) -> Figure:
    """Draw the quality of linear probes over layers: a panel per task, controls in grey."""
    tasks, arms = unique(layers, "task"), unique(layers, "arm")
    places = [row["layer"] for row in where(layers, arm=arms[0], task=tasks[0], source="probe")]
    figure, axes = new_figure(0.6 + 2.1 * -(-len(tasks) // 3), -(-len(tasks) // 3), 3)
    for ax, task in zip(axes, tasks, strict=False):
        for number, (name, words) in enumerate(texts()["controls"].items()):
            rows = where(layers, arm=arms[0], task=task, source=name)
            rows = rows * len(places) if len(rows) == 1 else rows
            style = {"color": COLOURS["c6"], "linestyle": DASHES[number], "linewidth": 1}
            if any(row["mean"] is not None for row in rows):
                label = f"control: {words}"
                ax.plot(range(len(places)), _column(rows, "mean"), label=label, **style)
        for arm in arms:
            rows = where(layers, arm=arm, task=task, source="probe")
            style = arm_style(arm, every) | {"marker": "o", "markersize": 3, "elinewidth": 0.8}
            x, means = np.arange(len(rows)), _column(rows, "mean")
            low, high = _column(rows, "low"), _column(rows, "high")
            bars = np.nan_to_num(np.maximum([means - low, high - means], 0))
            ax.errorbar(x, means, yerr=bars, label=arm_label(arm), **style)
        taps = [i for i, row in enumerate(rows) if row["is_tap"]]
        ax.plot(taps, [0] * len(taps), "^", color=COLOURS["ink"], markersize=5, clip_on=False,
                transform=ax.get_xaxis_transform())  # fmt: skip
        step = -(-len(places) // 12)
        named = [(i, p) for i, p in enumerate(places) if p < 1 or p % step == 0]
        ax.set_xticks([i for i, _ in named], [{-1: "enc", 0: "proj"}.get(p, p) for _, p in named])
        better = "higher" if task in ("pose", "matches") else "lower"
        ax.set_title(f"{texts()['probed'][task]} ({better} is better)", fontsize=7.5)
    _spare_for_legend(axes, len(tasks))
    return figure


def curve_figure(curves: Sequence[Row], every: Sequence[str]) -> Figure:
    """Draw the losses over training: a panel per loss term, a line per arm."""
    terms = terms_in_order(unique(curves, "term"))
    figure, axes = new_figure(0.5 + 1.7 * -(-len(terms) // 3), -(-len(terms) // 3), 3)
    for ax, term in zip(axes, terms, strict=False):
        for arm in unique(where(curves, term=term), "arm"):
            rows = where(curves, term=term, arm=arm)
            steps, values = smooth(_column(rows, "step"), _column(rows, "value"))
            marker = "o" if len(steps) == 1 else None
            ax.plot(steps, values, marker=marker, **arm_style(arm, every))
        ax.set_title(term)
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(4))
    for ax in axes[len(terms) :]:
        ax.set_axis_off()
    add_arm_legend(figure, unique(curves, "arm"), every)
    return figure


def quality_figure(stage: str, tables: Tables, every: Sequence[str]) -> Figure:
    """Draw accuracy over depth error: a hollow marker per arm, a dot per seed."""
    title, words = AXES[stage]
    figure, (ax,) = new_figure(3.8)
    for row in where(tables["quality_by_arm"], stage=stage):
        colour = arm_colour(row["arm"], every)
        seeds = where(tables["quality_by_job"], stage=stage, arm=row["arm"])
        if len(seeds) > 1:
            ax.scatter(_column(seeds, "error"), _column(seeds, "accuracy"), 5, color=colour)
        bars = _reach(row | {"mean": row["accuracy"]})
        style: dict[str, Any] = {"mfc": COLOURS["paper"], "markersize": 6, "color": colour}
        style |= {"label": arm_label(row["arm"]), "fmt": arm_marker(row["arm"], every)}
        ax.errorbar(row["error"], row["accuracy"], yerr=bars, **style)
    ax.set(title=title, xlabel=words, ylabel="accuracy on spatial questions")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(loc="outside right upper")
    return figure


def bin_figure(arm: str, bins: Sequence[Row], every: Sequence[str]) -> Figure:
    """Draw accuracy in bins of scenes, those with the best lifted depth on the right."""
    figure, (ax,) = new_figure(3.4)
    lines = [(arm, "")] + ([(r, "reference_")] if (r := bins[0]["reference"]) else [])
    for number, (name, prefix) in enumerate(lines):
        rows = [{end: row[prefix + end] for end in ("mean", "low", "high")} for row in bins]
        x = np.arange(len(bins)) + 0.06 * number
        bars = np.hstack([_reach(row) for row in rows])
        style = arm_style(name, every) | {"marker": "o", "label": arm_label(name)}
        ax.errorbar(x, _column(rows, "mean"), yerr=bars, **style)
    ax.set_xticks(
        range(len(bins)), [f"{row['error_low']:.2g} to {row['error_high']:.2g}" for row in bins]
    )
    title = f"Accuracy by quality of the depth that {arm_label(arm)} lifts"
    ax.set(title=title, xlabel="RMSE of lifted depth, scenes in bins from worst to best")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(loc="outside right upper")
    return figure


def solver_figure(arm: str, scores: Sequence[Row], every: Sequence[str]) -> Figure:
    """Draw what the geometry-only solver and the model score: a row per task."""
    tasks = unique(scores, "task")
    figure, (ax,) = new_figure(0.9 + 0.24 * len(tasks))
    colours = {"exact": COLOURS["ink"], "lifted_cameras": COLOURS["c6"]}
    for row in scores:
        y = tasks.index(row["task"])
        if row["source"] == "chance":
            ax.plot([row["mean"]] * 2, [y - 0.4, y + 0.4], ":", color=COLOURS["ink"], linewidth=1)
    for source, marker in MARKERS.items():
        rows = where(scores, source=source)
        style: dict[str, Any] = {"color": colours.get(source, arm_colour(arm, every))}
        style |= {"markersize": 9, "markeredgewidth": 2} if source == "exact" else {"markersize": 6}
        words = "lifted geometry" if source == "lifted" else texts()["sources"][source]
        places = [tasks.index(row["task"]) for row in rows]
        ax.plot(_column(rows, "mean"), places, marker, label=words, clip_on=False, **style)
    counts = {row["task"]: row["n"] for row in scores}
    ax.set_yticks(range(len(tasks)), [f"{task_label(task)} ({counts[task]})" for task in tasks])
    ax.set(xlim=(0, 1.02), ylim=(len(tasks) - 0.5, -0.5))
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    title = f"Geometry-only solver and responses: {arm_label(arm)}"
    ax.set_title(title)
    figure.legend(loc="outside upper left", ncols=4)
    return figure


def terms_in_order(terms: Sequence[str]) -> list[str]:
    """Return the loss terms that have a panel, those of all arms first."""
    found = [term for term in terms if not (term == "loss" and "total" in terms)]  # the same
    first = [term for term in FIRST_TERMS if term in found]
    return first + sorted(set(found) - set(first))


def smooth(steps: np.ndarray, values: np.ndarray) -> tuple[list[float], list[float]]:
    """Average neighbouring steps, so that at most POINTS remain."""
    parts = min(POINTS, len(steps))
    means = [[float(p.mean()) for p in np.array_split(axis, parts)] for axis in (steps, values)]
    return means[0], means[1]


def _spare_for_legend(axes: Sequence[Axes], used: int) -> None:
    """Put the legend of the first axes into the first unused ones, and hide these."""
    for ax in axes[used:]:
        ax.set_axis_off()
    handles, labels = axes[0].get_legend_handles_labels()
    place = axes[used] if used < len(axes) else axes[0]
    place.legend(handles, labels, loc="upper left" if used < len(axes) else "best", handlelength=3)


def _gain_bars(ax: Axes, rows: Sequence[Row], **style: Any) -> None:
    """Precision with the interval of its gain."""
    below = [row["gain"] - row["gain_low"] for row in rows]
    above = [row["gain_high"] - row["gain"] for row in rows]
    x, y = _column(rows, "share"), _column(rows, "precision")
    ax.errorbar(x, y, yerr=[below, above], elinewidth=0.8, **style)


def _reach(row: Mapping[str, Any]) -> np.ndarray:
    """Lengths of an interval's bars, (2, 1); 0 where it is unknown."""
    if row["low"] is None:
        return np.zeros((2, 1))
    return np.maximum([[row["mean"] - row["low"]], [row["high"] - row["mean"]]], 0)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """A column of numbers; NaN where it is empty."""
    return np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=float)
