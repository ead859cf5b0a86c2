"""MindCube's raw JSON lines (arXiv 2506.21458): images of one place and a multiple-choice question.

A line has `id`, `category`, `images`, `question` (including its options) and `gt_answer`. The
setting is the prefix of the id, else the first category.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from spatialsv.scenes.readers.record import LETTER_ONLY, Record, RecordError, RecordFields

SETTINGS = {"rotation": "rotation", "among": "among", "around": "around", "aroundnew": "around"}
OPTION = re.compile(r"(?:(?<=\s)|^)([A-Z])\.\s+")


def parse(record: Mapping[str, Any], number: int) -> Record:
    """Return the record of one line; the answer is a letter.

    Raises:
        RecordError: a field is missing or invalid.
    """
    fields = RecordFields(record)
    question = fields.text("question").strip()
    options = options_of(question)
    return Record(
        shown=fields.files("images"),
        id=fields.label("id"),
        task=setting_of(record),
        text=f"{question}\n{LETTER_ONLY}",
        answer=fields.letter("gt_answer", fields.lettered("question", options)),
        options=options,
    )


def setting_of(record: Mapping[str, Any]) -> str:
    """Return the setting: rotation, among or around.

    Raises:
        RecordError: id and category do not name one.
    """
    category = record.get("category")
    listed = category if isinstance(category, list) else []
    for name in (str(record.get("id")).split("_")[0], *listed):
        if isinstance(name, str) and name in SETTINGS:
            return SETTINGS[name]
    raise RecordError("unknown setting", f"id {record.get('id')!r}, category {category!r}")


def options_of(question: str) -> tuple[str, ...]:
    """Return the options at the end of `question`: "... A. chair B. lamp".

    Raises:
        RecordError: there are fewer than two.
    """
    marks = list(OPTION.finditer(question))
    starts = [i for i, mark in enumerate(marks) if mark.group(1) == "A"]
    marks = marks[starts[-1] :] if starts else []
    letters = "".join(mark.group(1) for mark in marks)
    if len(letters) < 2 or not ascii_uppercase.startswith(letters):
        raise RecordError("no options", repr(question))
    ends = [mark.start() for mark in marks[1:]] + [len(question)]
    return tuple(question[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True))
