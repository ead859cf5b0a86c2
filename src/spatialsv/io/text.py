"""Text files from outside: encodings, numbered lines, JSON, JSON lines, YAML and tables.

UTF-8 with or without a byte order mark is read, and UTF-16 and UTF-32 with one; so are lines that
end in LF, CRLF or CR. All errors are ValueErrors that start with "file:line: ", except those of the
operating system.
"""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import yaml

MARKS = {  # UTF-32 first: its mark starts with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
MAX_LINE = 2**26  # characters; longer lines are errors, never held in memory
MAX_DIGITS = 300  # of an integer in JSON; longer ones become floats, most of them infinite


def read_text(path: Path) -> str:
    """Return the content of a text file, with line ends as newlines.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the file cannot be read or is not text.
    """
    with _open(path) as file:
        text = file.read()
    try:
        return check_text(text, str(path))
    except ValueError:
        for number, line in enumerate(text.split("\n"), start=1):
            check_text(line, f"{path}:{number}")
        raise


def scan_lines(path: Path) -> Iterator[tuple[int, str | ValueError]]:
    """Iterate over the lines of a text file; an invalid line is given as its error.

    Yields:
        Number from 1, and the line without its end, or what is wrong with it.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the file cannot be read.
    """
    with _open(path) as file:
        number = 0
        while line := file.readline(MAX_LINE):
            number += 1
            where = f"{path}:{number}"
            if len(line) == MAX_LINE and not line.endswith("\n"):
                while (rest := file.readline(MAX_LINE)) and not rest.endswith("\n"):
                    pass
                yield number, ValueError(f"{where}: line of more than {MAX_LINE} characters.")
                continue
            try:
                yield number, check_text(line.removesuffix("\n"), where)
            except ValueError as error:
                yield number, error


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Iterate over the lines of a text file.

    Yields:
        Number from 1, and the line without its end.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the file cannot be read, or a line is not text.
    """
    for number, line in scan_lines(path):
        if isinstance(line, ValueError):
            raise line
        yield number, line


def check_text(text: str, where: str) -> str:
    """Return `text` as decoded here, if it is text.

    Args:
        text: decoded with `surrogateescape`.
        where: file and line, for errors.

    Raises:
        ValueError: it contains bytes that are not valid in the file's encoding, or NUL.
    """
    if "\0" in text:
        raise ValueError(f"{where}: not text, found a NUL byte. Save the file as UTF-8.")
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) & 0xFF
        raise ValueError(
            f"{where}: not text, found the invalid byte 0x{byte:02x}. Save the file as UTF-8."
        ) from None
    return text


def load_json(path: Path) -> Any:
    """Return the value in a JSON file.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the file is not valid JSON, or nested too deeply.
    """
    return parse_json(read_text(path), path)


def parse_json(text: str, path: Path | str, line: int = 1) -> Any:
    """Return the value of JSON text.

    Args:
        text: the JSON text.
        path: its file, for errors.
        line: number of its first line in the file.

    Raises:
        ValueError: the text is not JSON or nested too deeply, or a string holds half of a surrogate
            pair.
    """
    try:
        value = JSON_DECODER.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        message, line = f"not JSON ({error.msg} at column {error.colno})", line + error.lineno - 1
    except RecursionError:
        message = "not supported JSON (nested too deeply)"
    except UnicodeEncodeError:
        message = "not supported JSON (a string holds half of a surrogate pair)"
    else:
        return value
    raise ValueError(f"{path}:{line}: {message}.") from None


def _parse_integer(digits: str) -> int | float:
    """Return an integer; a longer one as the float that `1e400` would be, for checks to find."""
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


JSON_DECODER = json.JSONDecoder(parse_int=_parse_integer)


def iterate_jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    """Iterate over the values of a file of JSON lines; blank lines are skipped.

    Yields:
        Line from 1, and the value.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: a line is not valid JSON.
    """
    for number, line in read_lines(path):
        if line.strip():
            yield number, parse_json(line, path, number)


def iterate_table(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Iterate over the rows of a table, such as CSV or TSV, whose first row names the columns.

    Args:
        path: the file.
        delimiter: between fields; fields may be quoted.

    Yields:
        Last line of the row, from 1, and its fields by column.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the file is not text, or a row has another number of fields than the first.
    """
    csv.field_size_limit(MAX_LINE)
    with _open(path, newline="") as file:
        lines = (check_text(line, f"{path}:{n}") for n, line in enumerate(file, start=1))
        reader = csv.reader(lines, delimiter=delimiter)
        try:
            columns = next(reader, [])
            for row in reader:
                if row and len(row) != len(columns):
                    raise ValueError(
                        f"{path}:{reader.line_num}: expected {len(columns)} fields, found"
                        f" {len(row)}."
                    )
                if row:
                    yield reader.line_num, dict(zip(columns, row, strict=True))
        except csv.Error as error:
            raise ValueError(f"{path}:{reader.line_num}: not a table ({error}).") from None


def load_yaml(path: Path) -> Any:
    """Return the value in a YAML file.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the file is not valid YAML.
    """
    return parse_yaml(read_text(path), path)


def parse_yaml(text: str, path: Path | str) -> Any:
    """Return the value of YAML text; `path` is used in errors.

    Raises:
        ValueError: the text is not valid YAML.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        message = f"{path}{line}: not YAML ({problem})."
    except RecursionError:
        message = f"{path}: not supported YAML (nested too deeply)."
    except (ValueError, TypeError, OverflowError) as error:  # impossible dates, unhashable keys
        message = f"{path}: not supported YAML ({error})."
    raise ValueError(message) from None


@contextmanager
def _open(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """Open a text file in its encoding; invalid bytes become lone surrogates (`check_text`).

    Args:
        path: the file.
        newline: as of `open`; None translates all line ends to newlines.

    Yields:
        The open file.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
        encoding = next((name for mark, name in MARKS.items() if start.startswith(mark)), "utf-8")
        opened = path.open(encoding=encoding, errors="surrogateescape", newline=newline)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path}: cannot be read ({reason}).") from None
    with opened:
        try:
            yield opened
        except (UnicodeDecodeError, OSError) as error:  # truncated UTF-16, a failing disk
            raise ValueError(f"{path}: cannot be read ({error}).") from None
