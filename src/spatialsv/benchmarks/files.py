"""Rows of a benchmark's files: Parquet, Arrow, JSON, JSON lines, TSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


def read_rows(path: Path, without: Collection[str] = ()) -> list[Row]:
    """Read all rows of a file, by its suffix, without the fields `without` (images, say)."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file.")
    if path.suffix == ".parquet":
        return _read_parquet(path, without)
    readers = {".arrow": _read_arrow, ".jsonl": _read_json_lines, ".json": _read_list}
    if path.suffix == ".tsv":
        rows = list(iterate_tsv(path))
    elif path.suffix in readers:
        rows = readers[path.suffix](path)
    else:
        raise ValueError(f"{path}: expected a file in .parquet, {', '.join(readers)} or .tsv.")
    return [{name: row[name] for name in row if name not in without} for row in rows]


def locate_rows(path: Path, rows: Iterable[Row]) -> Iterator[tuple[Row, str]]:
    """Yield each row of a file with its location, for errors."""
    return ((row, f"{path}: row {number}") for number, row in enumerate(rows))


def find_files(data: Path, *patterns: str) -> list[Path]:
    """Return the sorted files of the first of `patterns`, globs below `data`, with a match."""
    for pattern in patterns:
        if paths := sorted(data.glob(pattern)):
            return paths
    entries = sorted(path.name for path in data.iterdir()) if data.is_dir() else []
    listed = ", ".join(entries[:8]) + (", ..." if len(entries) > 8 else "")
    raise ValueError(f"{data}: expected {' or '.join(patterns)}; found {listed or 'nothing'}.")


def require_fields(row: Row, names: Iterable[str], where: str) -> None:
    """Raise ValueError, with the row's fields, unless it has all of `names`."""
    if missing := [name for name in names if name not in row]:
        raise ValueError(f"{where}: no field {', '.join(missing)}; found {', '.join(row)}.")


def require_known(value: Any, known: Collection[Any], name: str, where: str) -> None:
    """Raise ValueError unless the field `name` has one of the values `known`."""
    if value not in known:
        listed = ", ".join(map(str, known))
        raise ValueError(f"{where}: {name} {value!r} is not one of {listed}.")


def iterate_tsv(path: Path) -> Iterator[Row]:
    """Yield the rows of a TSV one by one: images are stored in it as base64."""
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t")


def read_json(path: Path) -> Any:
    """Read a JSON file; an error names the line."""
    try:
        return json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: not JSON ({error.msg}).") from None


def _read_parquet(path: Path, without: Collection[str]) -> list[Row]:
    import pyarrow.parquet as parquet  # slow to import, and most benchmarks are JSON
    from pyarrow import ArrowException

    try:
        file = parquet.ParquetFile(path)
        names = [name for name in file.schema_arrow.names if name not in without]
        return file.read(columns=names).to_pylist()
    except (ArrowException, OSError) as error:
        raise ValueError(f"{path}: not Parquet ({error}).") from None


def _read_arrow(path: Path) -> list[Row]:
    """Read an Arrow stream, the format in which `datasets` saves."""
    from pyarrow import ArrowException, ipc

    try:
        with path.open("rb") as file, ipc.open_stream(file) as stream:
            return stream.read_all().to_pylist()
    except (ArrowException, OSError) as error:
        raise ValueError(f"{path}: not an Arrow stream ({error}).") from None


def _read_json_lines(path: Path) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}:{number}: not JSON ({error.msg}).") from None
        if not isinstance(row, dict):
            raise ValueError(f"{path}:{number}: expected an object, found {type(row).__name__}.")
        rows.append(row)
    return rows


def _read_list(path: Path) -> list[Row]:
    value: Any = read_json(path)
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ValueError(f"{path}: expected a list of objects.")
    return value


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error}).") from None
