"""The formats of records by name, and the format of one record.

`questions` reads records of every format, so that one file may hold several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spatialsv.scenes.readers import llava, mindcube, questions
from spatialsv.scenes.readers.record import Record

Parse = Callable[[Mapping[str, Any], int], Record]
FORMATS: dict[str, Parse] = {
    "mindcube": mindcube.parse,
    "llava": llava.parse,
    "questions": questions.parse,
}


def format_of(record: Mapping[str, Any]) -> str:
    """Return the format of a record, by the field that only this format has."""
    if "conversations" in record:
        return "llava"
    return "mindcube" if "gt_answer" in record else "questions"


def parse(record: Mapping[str, Any], number: int) -> Record:
    """Parse a record of any format.

    Args:
        record: the JSON object.
        number: index of the record.

    Returns:
        The record.

    Raises:
        RecordError: a field is missing or invalid.
    """
    return FORMATS[format_of(record)](record, number)


SOURCES: dict[str, Parse] = FORMATS | {"questions": parse}
