"""How figures look, and how they become files: matplotlib, the same bytes on every run."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from spatialsv.io.atomic import write_bytes, write_text
from spatialsv.io.digests import digest_bytes
from spatialsv.report.texts import arm_label

# Colours by their names in style.css, which has others for dark screens.
COLOURS = {
    **{"paper": "#fdfdfb", "ink": "#1d2126", "soft": "#5b636d", "rule": "#dcdfe3"},
    **{"c0": "#6d747d", "c1": "#0b62a8", "c2": "#b26a00", "c3": "#a3246e"},
    **{"c4": "#0f7f86", "c5": "#1d2127", "c6": "#8d95a0", "c7": "#6f5bb5"},
    **{"c8": "#3c7a1e", "c9": "#c2382b", "c10": "#7b5a3a"},
}
# Each arm looks the same in every figure and run: these by name, all others by a digest of theirs.
ARM_COLOURS = {
    **{"base": "c0", "text": "c1", "distill": "c2", "spatialsv": "c3"},
    **{"no_image": "c4", "random": "c5", "frequency": "c6"},
}
OTHER_COLOURS = ("c7", "c8", "c9", "c10")
DASHES: Sequence[Any] = ((0, (1.2, 2)), (0, (5, 2)), "-", (0, (6, 2, 1.2, 2)), (0, (3, 1.5)), "--")
MARKERS = "sD^vPX"  # of arms that share a colour, as many as DASHES
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


def arm_looks(arms: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return the name of each arm's colour, and the number of its dashes.

    Args:
        arms: all arms of a page. Where two of them have the same look, the later one by name takes
            the next free look; other arms never change with this set.
    """
    looks = {arm: (name, number) for number, (arm, name) in enumerate(ARM_COLOURS.items())}
    choices = [(name, dash) for dash in range(len(DASHES)) for name in OTHER_COLOURS]
    for arm in sorted(set(arms) - looks.keys()):
        start = int(digest_bytes(arm.encode()), 16) % len(choices)
        turned = choices[start:] + choices[:start]
        taken = set(looks.values())
        looks[arm] = next((look for look in turned if look not in taken), turned[0])
    return looks


def arm_style(arm: str, arms: Iterable[str]) -> dict[str, Any]:
    """Return colour and dashes of an arm's lines; dashes serve readers without colour vision."""
    name, dash = arm_looks([*arms, arm])[arm]
    return {"color": COLOURS[name], "linestyle": DASHES[dash % len(DASHES)]}


def arm_colour(arm: str, arms: Iterable[str]) -> str:
    """Return an arm's colour; `arms` are all arms of the page."""
    return arm_style(arm, arms)["color"]


def arm_marker(arm: str, arms: Iterable[str]) -> str:
    """Return an arm's marker in scatter plots: a circle, or one by its dashes."""
    return "o" if arm in ARM_COLOURS else MARKERS[arm_looks([*arms, arm])[arm][1]]


def add_arm_legend(figure: Figure, arms: Sequence[str], every: Sequence[str]) -> None:
    """Add a legend of `arms`, of `every` arm of the page, above all axes."""
    lines = [Line2D([], [], label=arm_label(arm), **arm_style(arm, every)) for arm in arms]
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
