"""The figure of an audit: a model's score under each condition, with its own score."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from spatialsv.evaluate.audit_result import AuditRow
from spatialsv.io.atomic import write_bytes

BAR, ERROR, OWN = "#0b62a8", "#1d2126", "#b26a00"
WIDTH, LINE = 7.0, 0.34  # inches: of the figure, and the height of a condition
DPI = 160


def draw_audit(
    path: Path, rows: Sequence[AuditRow], score: float, meaning: Mapping[str, str]
) -> None:
    """Draw the overall score of each condition with its 95 % interval.

    Args:
        path: the PNG to write.
        rows: of the overall score, one a condition.
        score: the model's own, on all questions.
        meaning: condition -> label.
    """
    figure = Figure((WIDTH, 1.1 + LINE * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(rows))
    axes.barh(places, [100 * row.altered for row in rows], height=0.6, color=BAR)
    for place, row in zip(places, rows, strict=True):
        if row.altered_low is not None and row.altered_high is not None:
            axes.plot([100 * row.altered_low, 100 * row.altered_high], [place] * 2, color=ERROR)
        axes.plot([100 * row.score] * 2, [place - 0.36, place + 0.36], color=OWN, linewidth=2)
    axes.axvline(100 * score, color=OWN, linestyle=":", linewidth=1)
    labels = [f"{meaning[row.condition]} (n = {row.n:,})" for row in rows]
    axes.set_yticks([*places], labels)
    axes.invert_yaxis()
    axes.set_xlabel("score, %")
    figure.suptitle(
        "Orange: the model as it is, on the same questions", x=0.01, ha="left", fontsize=9
    )
    axes.spines[["top", "right"]].set_visible(False)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI, metadata={"Software": None})
    write_bytes(path, content.getvalue())
