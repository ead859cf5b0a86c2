"""Questions of one's own: images or a video, a question, its options and its answer.

A record has `image` (or `images`), a name or a list, or `video`; `question` and `answer`; and
optionally `options`, `category`, `scene` and `id`. Options are a list, or an object whose keys are
letters. They may also be in the question, each after its letter. Without options, an answer that is
a number is scored as one, and any other answer as a few words.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from string import ascii_uppercase
from typing import Any

from spatialsv.io.letters import LETTER, find_letters, options_in
from spatialsv.scenes.readers.llava import MARKER, visuals_of, without_markers
from spatialsv.scenes.readers.record import (
    LETTER_ONLY,
    WORD_ONLY,
    Record,
    RecordError,
    RecordFields,
)

VISUALS = ("image", "images", "video")
DECISIVE = (*VISUALS, "question", "options", "answer")  # without which a record is another
FIELDS = (*DECISIVE, "category", "scene", "id")
RESERVED = {  # names of other rows of the tables of results
    *("spatial", "spatial_choice", "spatial_number", "spatial_text", "recognition"),
    *("overall", "unparsed"),
}
OTHER_NAMES = {  # in other data sets -> the field
    **dict.fromkeys(("image_path", "img", "image_file"), "image"),
    **dict.fromkeys(("image_paths", "image_files"), "images"),
    **dict.fromkeys(("video_path", "video_file"), "video"),
    **dict.fromkeys(("prompt", "instruction", "query"), "question"),
    **dict.fromkeys(("choices", "candidates"), "options"),
    **dict.fromkeys(("ground_truth", "gt", "label", "target"), "answer"),
    **dict.fromkeys(("type", "question_type", "task"), "category"),
    **dict.fromkeys(("question_id", "index", "idx"), "id"),
}
SIMILAR = 0.8  # of difflib: the least for a spelling error
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def parse(record: Mapping[str, Any], number: int) -> Record:
    """Parse one record.

    Args:
        record: the JSON object.
        number: index of the record, its id if it gives none.

    Returns:
        A record of the task `choice`, `number` or `answer`.

    Raises:
        RecordError: a field is missing or invalid; `others` has all further errors.
    """
    fields, errors = RecordFields(record), _misspelt(record)
    shown: tuple[str, ...] = ()
    video = False
    name, category, scene, text = str(number), "", "", ""
    options: dict[str, str] = {}
    task, answer = "", ""
    with _collect(errors, "image"):
        shown, video = visuals_of(fields)
    with _collect(errors, "question"):
        text = _question(fields, len(shown))
    with _collect(errors, "options"):
        options = options_of(fields)
    with _collect(errors, "answer"):
        options = options or _options_in(fields, text)
        task, answer = _answer(fields, options)
    with _collect(errors, "category"):
        category = _category(fields)
    with _collect(errors, "scene"):
        scene = fields.label("scene") if record.get("scene") is not None else ""
    with _collect(errors, "id"):
        name = fields.label("id") if record.get("id") is not None else name
    if errors:
        first, *others = errors.values()
        raise RecordError(first.reason, first.detail, others)
    return Record(
        shown=shown,
        video=video,
        id=name,
        task=task,
        text=_prompt(text, options),
        answer=answer,
        options=tuple(options.values()),
        category=category,
        scene=scene,
    )


def suggest_field(key: str, record: Mapping[str, Any]) -> str | None:
    """Return the field that an unknown one probably means, which the record lacks, or None."""
    present = {*record, *(VISUALS if any(record.get(name) for name in VISUALS) else ())}
    absent = [name for name in FIELDS if name not in present]
    name = OTHER_NAMES.get(key.lower())
    if key in FIELDS or name is not None:
        return name if name in absent else None
    return next(iter(difflib.get_close_matches(key.lower(), absent, 1, SIMILAR)), None)


def options_of(fields: RecordFields) -> dict[str, str]:
    """Return letter -> text of the field `options`: a list, or an object; none without it.

    Raises:
        RecordError: it is neither, or letters are missing.
    """
    value = fields.values.get("options")
    if value in (None, "", [], {}):
        return {}
    if isinstance(value, Mapping):
        letters = {str(key).strip("(). :").upper(): key for key in value}
        expected = ascii_uppercase[: max(2, len(value))]
        if "".join(sorted(letters)) != expected:
            raise fields.expected("options", f"the letters {', '.join(expected)} as keys")
        value = [value[letters[letter]] for letter in expected]
    listed = RecordFields({"options": value}, fields.where)
    return listed.lettered("options", listed.options("options"))


def _question(fields: RecordFields, count: int) -> str:
    text = fields.text("question").strip()
    return without_markers([(text, "")], count) if MARKER.search(text) else text


def _options_in(fields: RecordFields, text: str) -> dict[str, str]:
    """Return the options that the question contains, if the answer is one of their letters."""
    letter, options = LETTER.fullmatch(str(fields.values.get("answer")).strip()), options_in(text)
    return options if letter and letter.group(1).upper() in options else {}


def _answer(fields: RecordFields, options: Mapping[str, str]) -> tuple[str, str]:
    """Return the task and the answer: a letter, a number or words."""
    answer = fields.label("answer").strip()
    if not options:
        is_number = NUMBER.fullmatch(answer) and math.isfinite(float(answer))
        return ("number" if is_number else "answer"), answer
    found = find_letters(answer, options)
    same_text = [letter for letter, text in options.items() if text.strip() == answer]
    if len(found) != 1 or len(same_text) > 1 or (same_text and same_text != found):
        listed = ", ".join(f"{letter}. {text}" for letter, text in options.items())
        what = f"the letter or the text of one option of {listed}"
        if len(found) > 1 or same_text:
            what += "; several fit. Give its letter and text, such as 'A. chair'"
        raise fields.expected("answer", what)
    return "choice", found[0]


def _category(fields: RecordFields) -> str:
    if fields.values.get("category") is None:
        return ""
    name = fields.label("category").strip()
    if name in RESERVED:
        problem = f"{name!r} is the name of another row of the results. Choose another name"
        raise fields.error("category", problem)
    return name


def _prompt(text: str, options: Mapping[str, str]) -> str:
    """Return the question, its options unless it contains them, and the instruction."""
    if not options:
        return f"{text}\n{WORD_ONLY}"
    if options_in(text) != options:
        text = "\n".join([text, *(f"{letter}. {option}" for letter, option in options.items())])
    return f"{text}\n{LETTER_ONLY}"


def _misspelt(record: Mapping[str, Any]) -> dict[str, RecordError]:
    """Return the errors of unknown fields that probably are decisive ones, by field."""
    errors = {}
    for key in record:
        if (wanted := suggest_field(key, record)) in DECISIVE:
            field = "image" if wanted in VISUALS else wanted
            detail = f"unknown field {key!r}. Did you mean {wanted!r}?"
            errors[field] = RecordError(f"no {wanted}", detail)
    return errors


@contextmanager
def _collect(errors: dict[str, RecordError], field: str) -> Iterator[None]:
    """Keep the error of a block as that of the field, which may have one."""
    try:
        yield
    except RecordError as error:
        errors.setdefault(field, error)
