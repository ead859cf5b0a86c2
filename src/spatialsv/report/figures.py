"""The page's figures as files beside it: SVG, and PNG where resvg is installed."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import matplotlib

from spatialsv.io.atomic import write_bytes, write_text
from spatialsv.report.curves import Curve, curves_figure
from spatialsv.report.examples import Disagreement
from spatialsv.report.gate_figure import gate_figure, standing_alone
from spatialsv.report.interpret_page import figures as interpretability_figures
from spatialsv.report.intervals import interval_figure
from spatialsv.report.layers_figure import layers_figure

POOLS = ("spatial", "spatial_choice", "spatial_number")  # of the scores
ZOOM = 2  # pixels of a PNG for each unit of its SVG


def figures_of(
    results: Mapping[str, Any],
    curves: Mapping[str, Mapping[str, Curve]],
    order: Sequence[str],
    examples: Sequence[Disagreement] = (),
) -> dict[str, str | None]:
    """Each figure as SVG, by its file's name; None where there is nothing to draw."""
    gate = results["pseudo"]
    return {
        "scores": interval_figure(results, POOLS),
        "gate": gate_figure(gate["measured"]) if gate and gate["measured"] else None,
        "layers": layers_figure(results) if results["layers"] else None,
        "training": curves_figure(curves, order) if curves else None,
        **interpretability_figures(results, examples),
    }


def write_figures(folder: Path, figures: Mapping[str, str | None]) -> list[str]:
    """Write `figures` as SVG and PNG. Returns: the names of the files.

    Those of an earlier run that are not to be drawn any more are removed.
    """
    drawn = find_spec("resvg_py") is not None
    if not drawn:
        print("no PNG of the figures: pip install 'spatialsv[figures]'", file=sys.stderr)
    names = []
    for name, figure in figures.items():
        places = {kind: folder / f"{name}.{kind}" for kind in ("svg", "png")}
        for place in places.values():
            place.unlink(missing_ok=True)
        if figure is None:
            continue
        svg = standing_alone(figure)
        write_text(places["svg"], svg)
        if drawn:
            write_bytes(places["png"], as_png(svg))
        names += [place.name for place in places.values() if place.is_file()]
    return names


def as_png(svg: str) -> bytes:
    """An SVG that stands alone as PNG, in the font that matplotlib brings: alike everywhere."""
    import resvg_py

    return resvg_py.svg_to_bytes(
        svg_string=svg,
        zoom=ZOOM,
        skip_system_fonts=True,
        font_dirs=[str(Path(matplotlib.get_data_path()) / "fonts" / "ttf")],
        sans_serif_family="DejaVu Sans",
    )
