"""Fields of a record from outside (a row of a table, a JSON object), checked as they are read.

Nothing is converted silently: null, NaN, a list in place of text, a truth that is none of the
options or a file name outside the data folder is an error with file, row and field.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from spatialsv.io.letters import find_letters, letter_options
from spatialsv.io.paths import is_inside

SHOWN = 80  # characters of a value in an error


class FieldError(ValueError):
    """A field that is missing or invalid."""


@dataclass(frozen=True)
class Fields:
    """The fields of one record.

    Every method raises FieldError, with `where` and the field, if it is missing or invalid.

    Attributes:
        values: field -> value, of any type.
        where: file and row, for errors.
    """

    values: Mapping[str, Any]
    where: str = ""

    def error(self, name: str, problem: str) -> ValueError:
        """Return the error of the field `name`."""
        return FieldError(f"{self.where}: {name}: {problem}.")

    def get(self, name: str) -> Any:
        """Return the value of a field of any type but NaN, null as None."""
        if name not in self.values:
            found = ", ".join(map(str, self.values)) or "no fields"
            raise self.error(name, f"no such field; found {found}")
        value = self.values[name]
        if isinstance(value, float) and math.isnan(value):
            raise self.error(name, "NaN. Write null for a missing value")
        return value

    def expected(self, name: str, what: str) -> ValueError:
        """Return the error of a field that is not `what`."""
        return self.error(name, f"expected {what}, found {show(self.values.get(name))}")

    def text(self, name: str) -> str:
        """Return text that is not blank."""
        value = self.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self.expected(name, "text")
        return value

    def optional_text(self, name: str) -> str:
        """Return text, which may be blank; null as no text."""
        value = self.get(name)
        return self.text(name) if value not in (None, "") else ""

    def label(self, name: str) -> str:
        """Return text, or a number as text: an id, an option."""
        value = self.get(name)
        return str(value) if _is_text(value) else self.text(name)

    def known(self, name: str, values: Collection[str]) -> str:
        """Return text that is one of `values`."""
        value = self.text(name)
        if value not in values:
            raise self.expected(name, f"one of {', '.join(values)}")
        return value

    def number(self, name: str) -> float:
        """Return a finite number, which may be given as text."""
        value = self.get(name)
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise self.expected(name, "a finite number")
        return number

    def count(self, name: str) -> int:
        """Return an integer from 0 of at most 18 digits, which may be given as text."""
        text = self.label(name)
        if not (text.isascii() and text.isdecimal() and len(text) <= 18):
            raise self.expected(name, "an integer of at most 18 digits")
        return int(text)

    def decimal(self, name: str) -> str:
        """Return the text of a finite number as the file has it."""
        self.number(name)
        return str(self.values[name])

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts; numbers become text, null or no text an empty list.

        A list may be given as its JSON or Python text, as in tables.
        """
        value = self.get(name)
        if value is None or value == "":
            return ()
        listed = _parse_list(value) if isinstance(value, str) else value
        if not isinstance(listed, list | tuple) or not all(map(_is_text, listed)):
            raise self.expected(name, "a list of texts")
        return tuple(map(str, listed))

    def record(self, name: str) -> Fields:
        """Return an object."""
        value = self.get(name)
        if not isinstance(value, Mapping):
            raise self.expected(name, "an object")
        return type(self)(value, f"{self.where}: {name}")

    def records(self, name: str) -> list[Fields]:
        """Return the objects of a list."""
        value = self.get(name)
        if not isinstance(value, list) or not all(isinstance(row, Mapping) for row in value):
            raise self.expected(name, "a list of objects")
        return [type(self)(row, f"{self.where}: {name}[{i}]") for i, row in enumerate(value)]

    def file(self, name: str) -> str:
        """Return the name of a file below the data folder."""
        return self.check_files(name, (self.text(name),))[0]

    def files(self, name: str) -> tuple[str, ...]:
        """Return one or more names of files below the data folder."""
        value = self.get(name)
        names = (value,) if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not names:
            raise self.expected(name, "a file name or a list of file names")
        if not all(isinstance(file, str) and file.strip() for file in names):
            raise self.expected(name, "a file name or a list of file names")
        return self.check_files(name, names)

    def check_files(self, name: str, files: Sequence[str]) -> tuple[str, ...]:
        """Return `files`, which the field names, if all are below the data folder."""
        if outside := [file for file in files if not is_inside(file)]:
            problem = f"{outside[0]!r} is not a relative path inside the data folder"
            raise self.error(name, problem)
        return tuple(files)

    def letter(self, name: str, options: Mapping[str, str]) -> str:
        """Return the letter of the correct option.

        The field may hold the letter ("B", "(b)", "B."), the option with it ("B. chair") or only
        the text of exactly one option ("chair").

        Args:
            name: the field.
            options: letter -> text; empty if they are not known.

        Returns:
            The letter, in upper case.
        """
        found = find_letters(self.text(name), options)
        if len(found) != 1:
            listed = ", ".join(f"{key}. {text}" for key, text in options.items())
            raise self.expected(name, f"one of the options {listed}" if listed else "a letter")
        return found[0]

    def options(self, name: str, letters: str = ascii_uppercase) -> tuple[str, ...]:
        """Return the options of a choice as the file has them: two to as many as `letters`."""
        options = self.texts(name)
        if not 2 <= len(options) <= len(letters):
            found = f"{len(options)} of {show(self.values[name])}"
            raise self.error(name, f"expected a list of 2 to {len(letters)} options, found {found}")
        return options

    def answer_of(self, choice: bool, options: str, truth: str) -> tuple[tuple[str, ...], str]:
        """Return the options and the answer: the letter of a choice, else the text of a number."""
        if not choice:
            return self.texts(options), self.decimal(truth)
        texts = self.options(options)
        return texts, self.letter(truth, self.lettered(options, texts))

    def lettered(self, name: str, options: Sequence[str]) -> dict[str, str]:
        """Return letter -> text of options, without the letters that the file writes."""
        try:
            return letter_options(options)
        except ValueError as error:
            raise self.error(name, str(error)) from None


def show(value: Any) -> str:
    """Return a short text of a value, for errors."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _is_text(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and (isinstance(value, int) or math.isfinite(value))


def _parse_list(text: str) -> Any:
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None
