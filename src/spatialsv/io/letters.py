"""Lettered options: those of a list, those within a question, and the letter of a truth."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase

LETTER = re.compile(r"\(?([A-Za-z])\)?[.:]?")
LETTERED = re.compile(r"\(?([A-Za-z])[.):]+\s*(.+)", re.DOTALL)
MARK = re.compile(r"(?:^|(?<=[\s(]))([A-Z])[.):]+\s+")  # of an option within a question
MAX_MARKS = 256  # in a question; only the last ones are searched


def letter_options(options: Sequence[str]) -> dict[str, str]:
    """Return letter -> text of options, without the letters that they start with.

    Raises:
        ValueError: more options than letters, or options that are lettered in another order.
    """
    letters = ascii_uppercase[: len(options)]
    if len(options) > len(letters):
        raise ValueError(f"{len(options)} options, but letters name at most 26")
    parts = [LETTERED.fullmatch(option.strip()) for option in options]
    written = [part.group(1) for part in parts if part]
    if len(written) < len(options) or set(written) != set(letters):
        return dict(zip(letters, options, strict=True))
    if "".join(written) != letters:
        raise ValueError(f"expected options {letters} in order, found {written}")
    texts = [part.group(2) for part in parts if part]
    return dict(zip(letters, texts, strict=True))


def options_in(question: str) -> dict[str, str]:
    """Return letter -> text of the options in a question; empty if there are fewer than two.

    Of several runs of the letters A, B, ... the longest counts, and of equally long ones the last.
    """
    found = list(MARK.finditer(question))[-MAX_MARKS:]
    marks: list[re.Match[str]] = []
    for start in range(len(found)):
        run: list[re.Match[str]] = []
        for mark in found[start:]:
            if mark.group(1) == ascii_uppercase[len(run) : len(run) + 1]:
                run.append(mark)
        marks = run if len(run) >= max(2, len(marks)) else marks
    letters = [mark.group(1) for mark in marks]
    ends = [mark.start() for mark in marks[1:]] + [len(question)]
    texts = [question[m.end() : end].strip(" \n,(") for m, end in zip(marks, ends, strict=False)]
    return dict(zip(letters, texts, strict=True))


def find_letters(truth: str, options: Mapping[str, str]) -> list[str]:
    """Return the letters, in upper case, of the options that a truth may mean.

    Args:
        truth: a letter ("B", "(b)", "B."), an option with it ("B. chair") or an option's text.
        options: letter -> text; empty if they are not known, so that every letter is an option.
    """
    truth = truth.strip()
    letter, lettered = LETTER.fullmatch(truth), LETTERED.fullmatch(truth)
    if letter and (not options or letter.group(1).upper() in options):
        return [letter.group(1).upper()]
    key, text = (lettered.group(1).upper(), lettered.group(2)) if lettered else ("", "")
    if key in options and _plain(options[key]) == _plain(text):
        return [key]
    return [key for key, text in options.items() if _plain(text) == _plain(truth)]


def _plain(text: str) -> str:
    """Return text without differences of case, spaces and final marks."""
    return " ".join(text.casefold().split()).rstrip(".,;")
