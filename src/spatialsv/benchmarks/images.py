"""A benchmark's images: files, or cells of a table, which `FILE#ROW` or `FILE#ROW/COLUMN` names.

Tables hold them in two ways: VLMEvalKit's TSV as base64, Parquet as bytes. A row of such a TSV may
hold the index of another row instead, whose image it shares.
"""

from __future__ import annotations

import base64
import csv
import io
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from spatialsv.benchmarks.files import Row, tsv
from spatialsv.scenes.images import read_image

SHARED = 64  # characters; VLMEvalKit takes what is no longer than this for an index


def tsv_rows(data: Path, path: Path) -> list[Row]:
    """The rows of a VLMEvalKit TSV below `data`, each `image` replaced by where it is.

    Raises:
        ValueError: a row without an image, or one that shares an image with no row.
    """
    rows, own = [], {}
    for number, row in enumerate(tsv(path)):
        if len(row.get("image") or "") > SHARED:
            own[row.get("index")] = number
            row = {**row, "image": None}
        rows.append(row)
    return [
        {**row, "image": f"{path.relative_to(data)}#{_where(row, number, own, path)}"}
        for number, row in enumerate(rows)
    ]


def cell(data: Path, path: Path, row: int, column: str) -> str:
    """The name of what a Parquet file below `data` holds in one cell, for `Item.images`."""
    return f"{path.relative_to(data).as_posix()}#{row}/{column}"


def encoded(data: Path, name: str) -> list[bytes]:
    """The encoded images that `name` names: one of a file or a TSV's row, any number of a cell.

    Args:
        name: one of an item's `images`.

    Raises:
        ValueError: there is no such file or cell, or it holds no images.
    """
    file, _, place = name.partition("#")
    path, (row, _, column) = data / file, place.partition("/")
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if not place:
        return [path.read_bytes()]
    if path.suffix == ".tsv":
        return [base64.b64decode(_record(path, int(row))["image"])]
    return _bytes_of(_parquet_cell(path, int(row), column or "image"), f"{data}: {name}")


def pictures(data: Path, name: str) -> list[Image.Image]:
    """As `encoded`, decoded: upright, in RGB.

    Raises:
        ValueError: as `encoded`, or Pillow cannot read one to its end.
    """
    try:
        return [read_image(io.BytesIO(image)) for image in encoded(data, name)]
    except ValueError as error:
        raise ValueError(f"{data / name}: {error}") from None


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


def _where(row: Row, number: int, own: dict[Any, int], path: Path) -> int:
    if row.get("image") is None and row.get("index") in own:
        return number
    if row.get("image") in own:
        return own[row["image"]]
    raise ValueError(f"{path}: row {number}: expected an image, found {row.get('image')!r}")


def _record(path: Path, number: int) -> Row:
    names, starts = _starts(path)
    if number >= len(starts):
        raise ValueError(f"{path}: no row {number}")
    with path.open("rb") as file:
        file.seek(starts[number])
        record = next(csv.reader(_lines(file), delimiter="\t"))
    return dict(zip(names, record, strict=False))


@lru_cache(maxsize=2)
def _starts(path: Path) -> tuple[list[str], list[int]]:
    """A TSV's header, and where each record starts, in bytes."""
    csv.field_size_limit(sys.maxsize)
    starts = []
    with path.open("rb") as file:
        reader = csv.reader(_lines(file), delimiter="\t")  # reads no line ahead
        names = next(reader)
        while True:
            start = file.tell()
            if next(reader, None) is None:
                return names, starts
            starts.append(start)


def _lines(file: Any) -> Iterator[str]:
    while line := file.readline():
        yield line.decode("utf-8")


def _parquet_cell(path: Path, number: int, column: str) -> Any:
    import pyarrow.parquet as parquet

    file, first = parquet.ParquetFile(path), 0
    for group in range(file.num_row_groups if column in file.schema_arrow.names else 0):
        count = file.metadata.row_group(group).num_rows
        if number < first + count:
            return _column(path, group, column)[number - first].as_py()
        first += count
    raise ValueError(f"{path}: no cell {column} of row {number}")


@lru_cache(maxsize=4)  # a question of BLINK shows as many, each of its own
def _column(path: Path, group: int, column: str) -> Any:
    import pyarrow.parquet as parquet

    return parquet.ParquetFile(path).read_row_group(group, columns=[column])[column]
