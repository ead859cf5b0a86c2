"""Tables of words: one structure, formatted as text or Markdown (the page's template does HTML)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spatialsv.report.data import Row, unique

UNKNOWN = "-"
TEST_HEAD = (
    *("difference, points", "p (Holm)", "at 5 %", "variance across seeds"),
    "minimum detectable difference",
)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A titled table; the first column names the rows, all others are numbers."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def pivot(
    rows: Sequence[Row],
    down: str,
    across: str,
    cell: Callable[[Row], str],
    columns: Sequence[Any] = (),
) -> dict[Any, list[str]]:
    """Arrange tidy rows as a grid of formatted cells, "-" where a row is missing.

    The values of the column `across` are the grid's columns, unless `columns` has others.

    Returns:
        Formatted cells by the value of `down`.
    """
    cells = {(row[down], row[across]): cell(row) for row in rows}
    names = columns or unique(rows, across)
    return {
        value: [cells.get((value, name), UNKNOWN) for name in names] for value in unique(rows, down)
    }


def format_score(row: Mapping[str, Any], digits: int = 1, name: str = "mean") -> str:
    """Format a score in per cent with its interval, as "52.1 [48.0, 56.3]"."""
    if row[name] is None:
        return UNKNOWN
    return f"{100 * row[name]:.{digits}f}{format_interval(row, 100, digits)}"


def format_interval(row: Mapping[str, Any], factor: int, digits: int, prefix: str = "") -> str:
    """Format an interval, as " [48.0, 56.3]"; empty where it is unknown."""
    low, high = row.get(f"{prefix}low"), row.get(f"{prefix}high")
    if low is None or high is None:
        return ""
    return f" [{factor * low:.{digits}f}, {factor * high:.{digits}f}]"


def format_mean(row: Mapping[str, Any]) -> str:
    """Format a score in per cent with its standard deviation over seeds, as "52.1 ± 1.2"."""
    if row["mean"] is None:
        return UNKNOWN
    deviation = "" if row["deviation"] is None else f" ± {100 * row['deviation']:.1f}"
    return f"{100 * row['mean']:.1f}{deviation}"


def format_metric(row: Mapping[str, Any]) -> str:
    """Format a metric in its unit with its standard deviation over seeds."""
    mean, deviation = row["mean"], row["deviation"]
    varies = deviation is not None and deviation > 1e-9 * abs(mean)  # the rest is rounding
    return f"{mean:.4g} ± {deviation:.2g}" if varies else f"{mean:.4g}"


def format_number(row: Mapping[str, Any], sign: str = "") -> str:
    """Format a number in its unit with its interval, as "0.123 [0.1, 0.15]"."""
    if row["mean"] is None:
        return UNKNOWN
    text = f"{row['mean']:{sign}.3g}"
    return text if row["low"] is None else f"{text} [{row['low']:.3g}, {row['high']:.3g}]"


def format_p(value: float) -> str:
    """Format a p-value."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def format_test(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Format a comparison, in the columns TEST_HEAD."""
    if row["difference"] is None:
        return (UNKNOWN,) * len(TEST_HEAD)
    deviation = row["seed_deviation"]
    detectable = row["minimum_detectable_difference"]
    return (
        f"{100 * row['difference']:+.1f}"
        + ("" if deviation is None else f" ± {100 * deviation:.1f}")
        + format_interval(row, 100, 1),
        format_p(row["p_holm"]),
        format_significance(row),
        row["seed_variance"],
        f"unknown: {row['minimum_detectable_difference_note']}"
        if detectable is None
        else f"{100 * detectable:.1f}",
    )


def format_significance(row: Mapping[str, Any]) -> str:
    """Format whether a test is significant."""
    return "significant" if row["significant"] else "not significant"


def as_text(table: Table) -> str:
    """Format a table in aligned columns, for a terminal."""
    names, cells = [row[0] for row in table.rows], [row[1:] for row in table.rows]
    frame = pd.DataFrame(cells, pd.Index(names, name=None), pd.Index(table.head[1:]), dtype=str)
    return f"{table.title}\n\n{frame.to_string()}"


def as_markdown(table: Table) -> str:
    """Format a table for GitHub, under a heading."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = "|" + "|".join([" :-- ", *[" --: "] * (len(table.head) - 1)]) + "|"
    lines = [f"### {table.title}", "", line(table.head), rule, *map(line, table.rows)]
    return "\n".join([*lines, *(["", table.note] if table.note else [])])
