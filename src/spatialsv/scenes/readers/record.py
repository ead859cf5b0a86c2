"""A record of a file from outside: what it shows and what it asks, before any image is read.

A format is a function from one JSON value to a `Record`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from spatialsv.scenes.readers.skipped import SkippedError

LETTER_ONLY = "Answer with the option's letter from the given choices directly."  # VSI-Bench's


class RecordError(SkippedError):
    """A record that is left out."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One record; the fields from `id` on are those of its `Question`."""

    shown: tuple[str, ...]  # images in order, or one video; names below the folder of images
    video: bool = False
    id: str
    task: str
    text: str
    answer: str
    options: tuple[str, ...] = ()
    more: tuple[tuple[str, str], ...] = ()


def read_records(path: Path, rows: range) -> Iterator[tuple[int, int, str]]:
    """The JSON texts of the records `rows` of a file: JSON lines, or one JSON list.

    Yields: (number from 0, line from 1, text). A text of a list is JSON; a line may be anything.

    Raises:
        ValueError: no such file, not UTF-8, or a list that is broken off; with file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file of records") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error})") from None
    found = _items(path, text) if text.lstrip().startswith("[") else _lines(text)
    for number, (line, record) in enumerate(found):
        if number >= rows.stop:
            return
        if number >= rows.start:
            yield number, line, record


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _items(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """The items of a JSON list, one by one, so that each has a line."""
    decoder, space = json.JSONDecoder(), re.compile(r"\s*")
    at, line, counted = space.match(text, text.index("[") + 1).end(), 1, 0
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        try:
            _, end = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"{path}:{line}: not JSON from here on ({error})") from None
        yield line, text[at:end]
        at = space.match(text, end).end()
        if text[at : at + 1] not in (",", "]"):
            line += text.count("\n", counted, at)
            raise ValueError(f"{path}:{line}: expected a comma or the end of the list")
        if text[at] == ",":
            at = space.match(text, at + 1).end()


def parse_object(text: str) -> Mapping[str, Any]:
    """The JSON object in `text`.

    Raises:
        RecordError: there is none.
    """
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise RecordError("not JSON", str(error)) from None
    if not isinstance(value, Mapping):
        raise RecordError("no JSON object", f"found {type(value).__name__}")
    return value


def require_text(record: Mapping[str, Any], name: str) -> str:
    """The text in the field `name`.

    Raises:
        RecordError: there is none, or an empty one.
    """
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        raise RecordError(f"no {name}", f"expected text, found {value!r}")
    return value


def names(value: Any) -> tuple[str, ...]:
    """The names of images: one, or a list, each below the folder of images.

    Raises:
        RecordError: none, or one that leads out of the folder.
    """
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not found or not all(isinstance(n, str) and n for n in found):
        raise RecordError("no image", f"expected a name or a list of names, found {value!r}")
    for name in found:
        path, drive = PurePosixPath(name), PureWindowsPath(name).drive
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or drive:
            raise RecordError("unsafe name", repr(name))
    return tuple(found)
