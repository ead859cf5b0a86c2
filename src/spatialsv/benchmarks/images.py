"""A benchmark's images: files, or cells of a table, which `FILE#ROW` names.

Tables hold them in two ways: VLMEvalKit's TSV as base64, Parquet as bytes. A row of such a TSV may
hold the index of another row instead, whose image it shares.
"""

from __future__ import annotations

import base64
import csv
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from spatialsv.benchmarks.files import Row, tsv

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


def image_bytes(data: Path, name: str) -> bytes:
    """An image as its file or cell holds it, encoded.

    Args:
        name: one of an item's `images`.

    Raises:
        ValueError: there is no such image.
    """
    file, _, row = name.partition("#")
    path = data / file
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if not row:
        return path.read_bytes()
    if path.suffix == ".tsv":
        return base64.b64decode(_record(path, int(row))["image"])
    return _parquet_cell(path, int(row))


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


def _parquet_cell(path: Path, number: int) -> bytes:
    import pyarrow.parquet as parquet

    file = parquet.ParquetFile(path)
    for group in range(file.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        if number < count:
            return _images(path, group)[number].as_py()["bytes"]
        number -= count
    raise ValueError(f"{path}: too few rows")


@lru_cache(maxsize=1)
def _images(path: Path, group: int) -> Any:
    import pyarrow.parquet as parquet

    return parquet.ParquetFile(path).read_row_group(group, columns=["image"])["image"]
