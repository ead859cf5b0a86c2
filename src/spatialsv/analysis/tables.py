"""Tidy tables as CSV, with their schema: `datapackage.json` documents every column.

The format is a Tabular Data Package (https://specs.frictionlessdata.io/tabular-data-package/).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spatialsv.io.atomic import write_json, write_text
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, write_manifest

Row = dict[str, Any]
Tables = Mapping[str, Sequence[Row]]
SCHEMA = "datapackage.json"


@cache
def data_package() -> dict[str, Any]:
    """Return the schema of all tables."""
    return json.loads(files("spatialsv.analysis").joinpath(SCHEMA).read_text())


def write_tables(folder: Path, tables: Tables) -> list[str]:
    """Write each table as NAME.csv, and the schema of these tables.

    Returns:
        The names of the files.

    Raises:
        ValueError: the columns of a row differ from the schema.
    """
    resources = [table for table in data_package()["resources"] if table["name"] in tables]
    if unknown := set(tables) - {table["name"] for table in resources}:
        raise ValueError(f"{SCHEMA}: no schema for the tables {sorted(unknown)}.")
    for resource in resources:
        columns = [field["name"] for field in resource["schema"]["fields"]]
        for row in tables[resource["name"]]:
            if set(row) != set(columns):
                raise ValueError(
                    f"Table {resource['name']!r}: the columns {sorted(set(row) ^ set(columns))}"
                    f" are either missing or not documented in {SCHEMA}."
                )
        write_text(folder / resource["path"], as_csv(tables[resource["name"]], columns))
    write_json(folder / SCHEMA, data_package() | {"resources": resources})
    return [SCHEMA, *(resource["path"] for resource in resources)]


def as_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Format rows as CSV; a missing value is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def scores_by_arm(scores: Sequence[Row]) -> str:
    """Format the table `scores` as a row per arm and a column per task, for `dvc plots`."""
    wide: dict[str, Row] = {}
    for row in scores:
        wide.setdefault(row["arm"], {"arm": row["arm"]})[row["task"]] = row["mean"]
    return as_csv(list(wide.values()), ["arm", *dict.fromkeys(row["task"] for row in scores)])


def loss_by_step(curves: Sequence[Row], term: str = "text") -> str:
    """Format one loss term as a row per step and a column per arm, for `dvc plots`."""
    chosen = [row for row in curves if row["term"] == term]
    wide: dict[int, Row] = {}
    for row in chosen:
        wide.setdefault(row["step"], {"step": row["step"]})[row["arm"]] = row["value"]
    arms = dict.fromkeys(row["arm"] for row in chosen)
    return as_csv([wide[step] for step in sorted(wide)], ["step", *arms])


def write_stage(
    out: Path,
    stage: str,
    names: Sequence[str],
    counts: Mapping[str, int],
    config: Any = None,
    about: Mapping[str, Any] = MappingProxyType({}),
) -> Manifest:
    """Write the manifest of a stage's files, which are in the same folder."""
    manifest = Manifest(
        stage=stage,
        payload={name: digest_path(out.parent / name) for name in names},
        counts=dict(counts),
        config=asdict(config) if config else {},
        about=dict(about),
        path=out,
    )
    write_manifest(out, manifest)
    return manifest
