"""Records: images and a question from an external file, before any image is read.

A format is a function from one JSON object to a `Record`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from spatialsv.scenes.readers.skipped import SkippedError

LETTER_ONLY = "Answer with the option's letter from the given choices directly."  # as in VSI-Bench

SPACE = re.compile(r"\s*")


class RecordError(SkippedError):
    """A skipped record."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One record; the fields from `id` on are those of its `Question`."""

    shown: tuple[str, ...]  # images in order, or one video; relative paths
    video: bool = False
    id: str
    task: str
    text: str
    answer: str
    options: tuple[str, ...] = ()
    more: tuple[tuple[str, str], ...] = ()


def read_records(path: Path, rows: range) -> Iterator[tuple[int, int, str]]:
    """Iterate over the records `rows` of a file: JSON lines, or one JSON list.

    Args:
        path: the file.
        rows: indices of the records to return.

    Yields:
        Index from 0, line from 1, and text. Items of a list are valid JSON, lines may not be.

    Raises:
        ValueError: the file is missing, not UTF-8, or an incomplete list.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error})") from None
    items = _items(path, text) if text.lstrip().startswith("[") else _lines(text)
    for number, (line, record) in enumerate(items):
        if number >= rows.stop:
            return
        if number >= rows.start:
            yield number, line, record


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _items(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each item of a JSON list."""
    decoder = json.JSONDecoder()
    at, line, counted = _skip_space(text, text.index("[") + 1), 1, 0
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        try:
            _, end = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"{path}:{line}: invalid JSON ({error})") from None
        yield line, text[at:end]
        at = _skip_space(text, end)
        if text[at : at + 1] not in (",", "]"):
            line += text.count("\n", counted, at)
            raise ValueError(f"{path}:{line}: expected a comma or the end of the list")
        if text[at] == ",":
            at = _skip_space(text, at + 1)


def _skip_space(text: str, start: int) -> int:
    match = SPACE.match(text, start)
    return match.end() if match else start


def parse_object(text: str) -> Mapping[str, Any]:
    """Return the JSON object in `text`.

    Raises:
        RecordError: it is not one.
    """
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise RecordError("not JSON", str(error)) from None
    if not isinstance(value, Mapping):
        raise RecordError("not a JSON object", f"found {type(value).__name__}")
    return value


def require_text(record: Mapping[str, Any], name: str) -> str:
    """Return the text in the field `name`.

    Raises:
        RecordError: the field is missing or empty.
    """
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        raise RecordError(f"no {name}", f"expected text, found {value!r}")
    return value


def names(value: Any) -> tuple[str, ...]:
    """Return one or several image names, relative to the image directory.

    Raises:
        RecordError: the value has no name, or one points outside the directory.
    """
    listed = [value] if isinstance(value, str) else value
    if not (isinstance(listed, list) and listed and all(isinstance(n, str) and n for n in listed)):
        raise RecordError("no image", f"expected a name or a list of names, found {value!r}")
    for name in listed:
        path, drive = PurePosixPath(name), PureWindowsPath(name).drive
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or drive:
            raise RecordError("unsafe name", repr(name))
    return tuple(listed)
