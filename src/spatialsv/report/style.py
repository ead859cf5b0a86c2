"""How figures look, and how they become files: matplotlib, the same bytes on every run."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spatialsv.io.atomic import write_bytes, write_text
from spatialsv.report.texts import arm_label

# Colours by their names in style.css, which has others for dark screens.
COLOURS = {
    **{"paper": "#fdfdfb", "ink": "#1d2126", "soft": "#5b636d", "rule": "#dcdfe3"},
    **{"c0": "#6d747d", "c1": "#0b62a8", "c2": "#b26a00", "c3": "#a3246e"},
    **{"c4": "#0f7f86", "c5": "#1d2127", "c6": "#8d95a0", "c7": "#6f5bb5"},
}
ARM_COLOURS = [name for name in COLOURS if name[1:].isdigit()]
DASHES: Sequence[Any] = ((0, (1.2, 2)), (0, (5, 2)), "-", (0, (6, 2, 1.2, 2)), (0, (3, 1.5)), "--")
WIDTH = 9.0  # inches
DPI = 160  # of PNG, and of images inside SVG
RC: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "spatialsv",  # ids of SVG elements are the same in every run
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": COLOURS["rule"],
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": COLOURS["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": COLOURS["rule"],
    "grid.linewidth": 0.6,
    "xtick.color": COLOURS["soft"],
    "ytick.color": COLOURS["soft"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": COLOURS["ink"],
    "figure.facecolor": COLOURS["paper"],
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "errorbar.capsize": 0,
}


def new_figure(
    height: float, rows: int = 1, columns: int = 1, **subplots: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure of the page's width, `height` inches high, and its axes row by row."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **subplots).flat)


def arm_style(arm: str, order: Sequence[str]) -> dict[str, Any]:
    """Return colour and dashes of an arm's lines; dashes serve readers without colour vision."""
    index = list(order).index(arm)
    return {"color": arm_colour(arm, order), "linestyle": DASHES[index % len(DASHES)]}


def arm_colour(arm: str, order: Sequence[str]) -> str:
    """Return an arm's colour."""
    return COLOURS[ARM_COLOURS[list(order).index(arm) % len(ARM_COLOURS)]]


def add_arm_legend(figure: Figure, arms: Sequence[str], order: Sequence[str]) -> None:
    """Add a legend of arms above all axes."""
    lines = [Line2D([], [], label=arm_label(arm), **arm_style(arm, order)) for arm in arms]
    figure.legend(handles=lines, loc="outside upper left", ncols=4, handlelength=3)


@mpl.rc_context(RC)
def as_svg(figure: Figure) -> str:
    """Return a figure as an SVG file, without a date."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", dpi=DPI, metadata={"Date": None})
    return buffer.getvalue()


def as_inline_svg(svg: str, name: str) -> str:
    """Return an SVG file as an element of the page, in its colours, ids prefixed by `name`."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg ") :], flags=re.DOTALL)
    svg = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    for key, value in COLOURS.items():
        svg = svg.replace(value, f"var(--{key})")
    return re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)


@mpl.rc_context(RC)
def write_figures(folder: Path, figures: Mapping[str, Figure]) -> list[str]:
    """Write figures as SVG and PNG, delete those of an earlier run, and return the file names."""
    for path in (*folder.glob("*.svg"), *folder.glob("*.png")):
        if path.stem not in figures:
            path.unlink()
    for name, figure in figures.items():
        write_text(folder / f"{name}.svg", as_svg(figure))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
        write_bytes(folder / f"{name}.png", buffer.getvalue())
    return [f"{name}.{kind}" for name in figures for kind in ("svg", "png")]
