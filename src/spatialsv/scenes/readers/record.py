"""Records: images and a question from an external file, before any image is read.

A format is a function from one JSON object to a `Record`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatialsv.io.fields import Fields
from spatialsv.io.text import JSON_DECODER, parse_json, read_text, scan_lines
from spatialsv.scenes.readers.skipped import SkippedError

# What to answer, in the words of VSI-Bench's authors, which others took over.
LETTER_ONLY = "Answer with the option's letter from the given choices directly."
WORD_ONLY = "Please answer the question using a single word or phrase."

SPACE = re.compile(r"\s*")
OPENING = ("[", "{")
BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')  # or a string, which may hold brackets


class RecordError(SkippedError):
    """A skipped record.

    Args:
        reason: a short category, which is counted.
        detail: the field and the value.
        others: further errors of the same record.
    """

    def __init__(self, reason: str, detail: str, others: Sequence[RecordError] = ()) -> None:
        super().__init__(reason, detail)
        self.detail, self.others = detail, tuple(others)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One record; the fields from `id` to `category` are those of its `Question`."""

    shown: tuple[str, ...]  # images in order, or one video; relative paths
    video: bool = False
    id: str
    task: str
    text: str
    answer: str
    options: tuple[str, ...] = ()
    more: tuple[tuple[str, str], ...] = ()
    category: str = ""
    scene: str = ""  # as a benchmark counts scenes; the stage `scenes` makes them of images


def read_records(path: Path, rows: range) -> Iterator[tuple[int, int, str | ValueError]]:
    """Iterate over the records `rows` of a file: JSON lines, or one JSON list.

    Args:
        path: the file.
        rows: indices of the records to return.

    Yields:
        Index from 0, line from 1, and the text, which may not be JSON, or why it cannot be read.

    Raises:
        ValueError: the file is missing, or is an incomplete list or one that is not text.
    """
    try:
        starts = (line for _, line in scan_lines(path) if isinstance(line, str) and line.strip())
        is_list = next(starts, "").lstrip().startswith("[")
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    items = _items(path, read_text(path)) if is_list else scan_lines(path)
    present = (item for item in items if isinstance(item[1], ValueError) or item[1].strip())
    for number, (line, record) in enumerate(present):
        if number >= rows.stop:
            return
        if number >= rows.start:
            yield number, line, record


def _items(path: Path, text: str) -> Iterator[tuple[int, str | ValueError]]:
    """Yield line and text of each item of a JSON list."""
    at, line, counted = _skip_space(text, text.index("[") + 1), 1, 0
    while text[at : at + 1] != "]":
        line, counted = line + text.count("\n", counted, at), at
        end = _end_of_item(text, at, f"{path}:{line}")
        yield line, text[at:end]
        at = _skip_space(text, end)
        if text[at : at + 1] not in (",", "]"):
            line += text.count("\n", counted, at)
            raise ValueError(f"{path}:{line}: expected a comma or the end of the list")
        if text[at] == ",":
            at = _skip_space(text, at + 1)


def _end_of_item(text: str, start: int, where: str) -> int:
    """Return the end of the item at `start`; of one that is not valid JSON, by its brackets."""
    try:
        return JSON_DECODER.raw_decode(text, start)[1]
    except (ValueError, RecursionError) as error:
        depth = 0
        for token in BRACKET.finditer(text, start) if text[start : start + 1] in OPENING else ():
            depth += (token[0] in OPENING) - (token[0] in ("]", "}"))
            if not depth:
                return token.end()
        raise ValueError(f"{where}: invalid JSON ({error})") from None


def _skip_space(text: str, start: int) -> int:
    match = SPACE.match(text, start)
    return match.end() if match else start


def parse_object(text: str | ValueError, path: Path, line: int) -> Mapping[str, Any]:
    """Return the JSON object in `text`.

    Args:
        text: the text, or why it cannot be read.
        path: its file, for errors.
        line: its first line.

    Raises:
        RecordError: it is not an object.
    """
    try:
        if isinstance(text, ValueError):
            raise text
        value = parse_json(text, path, line)
    except ValueError as error:
        raise RecordError("not JSON", str(error).removeprefix(f"{path}:{line}: ")) from None
    if not isinstance(value, Mapping):
        raise RecordError("not a JSON object", f"found {type(value).__name__}")
    return value


class RecordFields(Fields):
    """The fields of a record; an invalid one costs the record."""

    def error(self, name: str, problem: str) -> RecordError:
        """Return the error of the field `name`."""
        return RecordError(f"invalid {name}", f"{self.where}: {problem}".lstrip(" :"))
