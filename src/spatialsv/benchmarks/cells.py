"""Images that stand in a Parquet file's cells, one or several in each: `FILE#ROW/COLUMN`."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def cell(data: Path, path: Path, row: int, column: str) -> str:
    """The name of what a Parquet file below `data` holds in one cell, for `Item.images`."""
    return f"{path.relative_to(data).as_posix()}#{row}/{column}"


def encoded(data: Path, name: str) -> list[bytes]:
    """The encoded images of the cell that `cell` named: one, several, or none.

    Raises:
        ValueError: there is no such cell, or it holds no images.
    """
    import pyarrow.parquet as parquet

    where, _, place = name.rpartition("#")
    row, _, column = place.partition("/")
    file, first = parquet.ParquetFile(data / where), 0
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).num_rows
        if first <= int(row) < first + size and column in file.schema_arrow.names:
            value = file.read_row_group(group, columns=[column])[column][int(row) - first].as_py()
            return _bytes_of(value, f"{data}: {name}")
        first += size
    raise ValueError(f"{data}: no cell {name}")


def _bytes_of(value: Any, where: str) -> list[bytes]:
    """Out of bytes, of a struct that has a field `bytes`, or of a list of such."""
    if value is None:
        return []
    if isinstance(value, list):
        return [image for part in value for image in _bytes_of(part, where)]
    found = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(found, bytes):
        raise ValueError(f"{where}: expected encoded images, found {type(value).__name__}")
    return [found]
