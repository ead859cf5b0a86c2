"""Tables of the stage `analysis`, read with the types that their schema gives."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from typing import Any

from spatialsv.io.manifest import Manifest
from spatialsv.io.text import load_json

Row = dict[str, Any]
Tables = dict[str, list[Row]]
TYPES: dict[str, Callable[[str], Any]] = {
    "string": str,
    "number": float,
    "integer": int,
    "boolean": lambda text: text == "True",
}


def read_tables(manifest: Manifest) -> Tables:
    """Read all tables of a manifest's `datapackage.json`, by name; an empty cell is None."""
    package = load_json(manifest.resolve("datapackage.json"))
    tables = {}
    for resource in package["resources"]:
        types = {field["name"]: TYPES[field["type"]] for field in resource["schema"]["fields"]}
        with manifest.resolve(resource["path"]).open(newline="") as file:
            tables[resource["name"]] = [
                {name: types[name](cell) if cell else None for name, cell in row.items()}
                for row in csv.DictReader(file)
            ]
    return tables


def where(rows: Sequence[Row], **equal: Any) -> list[Row]:
    """Return the rows whose columns have these values."""
    return [row for row in rows if all(row[name] == value for name, value in equal.items())]


def unique(rows: Sequence[Row], column: str) -> list[Any]:
    """Return the values of a column in the order of first appearance."""
    return list(dict.fromkeys(row[column] for row in rows))
