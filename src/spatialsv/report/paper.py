"""Presentation of the target `paper`: its tables of models and benchmarks, with our values.

A cell has our value, and the paper's in parentheses; "not run" where we have none.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spatialsv.io.atomic import write_text
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.report.data import Row, read_tables, unique, where
from spatialsv.report.tables import Table, as_markdown, as_text, format_mean
from spatialsv.report.texts import arm_label, make_table


def present(manifest: str | Path) -> Manifest:
    """Write table.md next to the tables of the target `paper`; print it.

    Args:
        manifest: path of the target's manifest, which lists the tables.

    Returns:
        The manifest with the new file.
    """
    written = read_manifest(manifest)
    cells = read_tables(written)["paper_cells"]
    tables = [paper_table(where(cells, table=name)) for name in unique(cells, "table")]
    path = Path(manifest).with_name("table.md")
    write_text(path, "\n\n".join(map(as_markdown, tables)) + "\n")
    sys.stdout.write("\n\n".join(f"{as_text(t)}\n\n{t.note}" for t in tables) + "\n")
    payload = dict(written.payload) | {"table.md": digest_path(path)}
    presented = replace(written, payload=payload)
    write_manifest(manifest, presented)
    return presented


def paper_table(cells: Sequence[Row]) -> Table:
    """Return one table: a row per model, a column per benchmark or task."""
    columns = {row["column"]: row for row in cells}
    models = dict.fromkeys((row["base"], row["arm"]) for row in cells)
    rows = []
    for base, arm in models:
        own = where(cells, base=base, arm=arm)
        model, label = own[0]["model"], arm_label(arm)
        rows.append((f"{model}, {label}" if model else label, *map(_format_cell, own)))
    protocols = {row["benchmark"]: row["protocol"] for row in columns.values() if row["protocol"]}
    used = "; ".join(f"{name} {protocol}" for name, protocol in protocols.items())
    head = ("", *map(_heading, columns.values()))
    title = cells[0]["title"]
    return make_table(
        "paper", head, rows, title=title, protocols=used or "no benchmark was run yet"
    )


def _heading(column: Row) -> str:
    theirs, ours = column["paper_items"], column["items"]
    if not ours:
        return column["column"] + (f" (n {theirs})" if theirs else "")
    if theirs and ours != str(theirs):
        return f"{column['column']} (n {ours}, paper {theirs})"
    return f"{column['column']} (n {ours})"


def _format_cell(cell: Row) -> str:
    ours = "not run" if cell["mean"] is None else format_mean(cell)
    return ours if cell["paper"] is None else f"{ours} ({cell['paper']:.1f})"
