"""Rows of a benchmark's files: Parquet, Arrow, JSON, JSON lines, TSV."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spatialsv.io.fields import Fields
from spatialsv.io.text import iterate_jsonl, iterate_table, load_json


def read_rows(path: Path, without: Collection[str] = ()) -> list[Fields]:
    """Read all rows of one file; the suffix of its name is its format.

    Args:
        path: a file in .parquet, .arrow, .jsonl, .json or .tsv.
        without: fields to skip, such as images; in Parquet they are not read.

    Returns:
        The rows.

    Raises:
        ValueError: the file is missing, broken, or in another format; with its line where it has
            lines.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file.")
    if path.suffix == ".json":
        return rows_of(load_json(path), str(path))
    if path.suffix == ".parquet":
        rows = [(f"{path}: row {n}", row) for n, row in enumerate(_read_parquet(path, without))]
    elif path.suffix == ".arrow":
        rows = [(f"{path}: row {n}", row) for n, row in enumerate(_read_arrow(path))]
    elif path.suffix == ".jsonl":
        rows = [(f"{path}:{line}", row) for line, row in iterate_jsonl(path)]
    elif path.suffix == ".tsv":
        rows = [(f"{path}:{line}", row) for line, row in iterate_table(path, "\t")]
    else:
        raise ValueError(f"{path}: expected a file in .parquet, .arrow, .jsonl, .json or .tsv.")
    for where, row in rows:
        if not isinstance(row, dict):
            raise ValueError(f"{where}: expected an object, found {type(row).__name__}.")
    return [Fields({k: row[k] for k in row if k not in without}, where) for where, row in rows]


def rows_of(value: Any, where: str) -> list[Fields]:
    """Return the rows of a JSON list of objects; `where` names the file."""
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ValueError(f"{where}: expected a list of objects.")
    return [Fields(row, f"{where}: row {number}") for number, row in enumerate(value)]


def read_object(path: Path) -> Fields:
    """Read the object that a JSON file holds."""
    value = load_json(path)
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected an object, found {type(value).__name__}.")
    return Fields(value, str(path))


def find_files(data: Path, *patterns: str) -> list[Path]:
    """Return the files of the first of `patterns` that any file matches, sorted.

    Args:
        data: the benchmark's folder.
        patterns: globs below it, the preferred one first.

    Returns:
        The files, at least one.

    Raises:
        ValueError: no file matches; the message lists the patterns and the folder's entries.
    """
    for pattern in patterns:
        if paths := sorted(data.glob(pattern)):
            return paths
    entries = sorted(path.name for path in data.iterdir()) if data.is_dir() else []
    listed = ", ".join(entries[:8]) + (", ..." if len(entries) > 8 else "")
    raise ValueError(f"{data}: expected {' or '.join(patterns)}; found {listed or 'nothing'}.")


@contextmanager
def arrow_errors(path: Path, kind: str) -> Iterator[None]:
    """Turn the errors of pyarrow into one of the input.

    Raises:
        ValueError: the file `path` is not of this kind.
    """
    from pyarrow import ArrowException  # slow to import, and most benchmarks are JSON

    try:
        yield
    except (ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        reason = str(error) or type(error).__name__  # a damaged size is a lack of memory
        raise ValueError(f"{path}: not {kind} ({reason}).") from None


def _read_parquet(path: Path, without: Collection[str]) -> list[dict[str, Any]]:
    with arrow_errors(path, "Parquet"):
        import pyarrow.parquet as parquet

        file = parquet.ParquetFile(path)
        names = [name for name in file.schema_arrow.names if name not in without]
        return _rows_of_table(file.read(columns=names))


def _read_arrow(path: Path) -> list[dict[str, Any]]:
    """Read an Arrow stream, the format in which `datasets` saves."""
    with arrow_errors(path, "an Arrow stream"):
        from pyarrow import ipc

        with path.open("rb") as file, ipc.open_stream(file) as stream:
            return _rows_of_table(stream.read_all())


def _rows_of_table(table: Any) -> list[dict[str, Any]]:
    """Return the rows of an Arrow table; damaged offsets would crash the process unchecked."""
    table.validate(full=True)
    return table.to_pylist()
