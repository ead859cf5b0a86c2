"""Rows of a benchmark's files: Parquet, Arrow, JSON, JSON lines, TSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def rows_of(path: Path, without: Collection[str] = ()) -> list[Row]:
    """All rows of one file, by its ending.

    Args:
        without: fields that are left out, and in Parquet not read: images.

    Raises:
        ValueError: the file is missing, broken, or in another format; with its line where it has
            lines.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    if path.suffix == ".parquet":
        return _parquet(path, without)
    readers = {".arrow": _arrow, ".jsonl": _json_lines, ".json": _json, ".tsv": tsv}
    if path.suffix not in readers:
        raise ValueError(f"{path}: expected a file in .parquet, {', '.join(readers)}")
    rows = readers[path.suffix](path)
    return [{name: row[name] for name in row if name not in without} for row in rows]


def placed(path: Path, rows: Iterable[Row]) -> Iterator[tuple[Row, str]]:
    """Each of a file's rows, and where it stands, for messages."""
    return ((row, f"{path}: row {number}") for number, row in enumerate(rows))


def find(data: Path, *patterns: str) -> list[Path]:
    """The files of the first of `patterns` (globs below `data`) that any file matches, sorted.

    Raises:
        ValueError: none does; the message says what was expected, and what is there.
    """
    for pattern in patterns:
        if found := sorted(data.glob(pattern)):
            return found
    here = sorted(path.name for path in data.iterdir()) if data.is_dir() else []
    told = ", ".join(here[:8]) + (", ..." if len(here) > 8 else "")
    raise ValueError(f"{data}: expected {' or '.join(patterns)}; found {told or 'nothing'}")


def wanted(row: Row, names: Iterable[str], where: str) -> None:
    """Refuse a row that lacks a field.

    Raises:
        ValueError: it does; the message names the fields that it has.
    """
    if lacking := [name for name in names if name not in row]:
        raise ValueError(f"{where}: no field {', '.join(lacking)}; found {', '.join(row)}")


def tsv(path: Path) -> Iterator[Row]:
    """The rows of a TSV, one by one: images stand in it as base64."""
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t")


def _parquet(path: Path, without: Collection[str]) -> list[Row]:
    import pyarrow.parquet as parquet  # slow to import, and most benchmarks are JSON
    from pyarrow import ArrowException

    try:
        file = parquet.ParquetFile(path)
        names = [name for name in file.schema_arrow.names if name not in without]
        return file.read(columns=names).to_pylist()
    except (ArrowException, OSError) as error:
        raise ValueError(f"{path}: not Parquet ({error})") from None


def _arrow(path: Path) -> list[Row]:
    """As `datasets` saves it: a stream."""
    from pyarrow import ArrowException, ipc

    try:
        with path.open("rb") as file, ipc.open_stream(file) as stream:
            return stream.read_all().to_pylist()
    except (ArrowException, OSError) as error:
        raise ValueError(f"{path}: not an Arrow stream ({error})") from None


def _json_lines(path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            rows.append(_object(line, f"{path}:{number}"))
    return rows


def json_value(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        ValueError: it is no JSON; with the line.
    """
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: not JSON ({error.msg})") from None


def _json(path: Path) -> list[Row]:
    value = json_value(path)
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ValueError(f"{path}: expected a list of objects")
    return value


def _object(line: str, where: str) -> Row:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON ({error.msg})") from None
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected an object, found {type(value).__name__}")
    return value


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error})") from None
