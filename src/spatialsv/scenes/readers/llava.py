"""Conversations in LLaVA's JSON format: images or one video, then turns.

A record has `image` (or `images`), a name or a list, or `video`, a file or a directory of frames,
and `conversations`, turns with `from` (human, gpt) and `value`. There must be one marker (<image>
or <video>) per image, all at the beginning or all at the end of the first turn, since images always
come first here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from spatialsv.scenes.readers.record import Record, RecordError, RecordFields

ROLES = {"human": "human", "user": "human", "gpt": "gpt", "assistant": "gpt"}
MARKER = re.compile(r"<(?:image|video)>")
MARKERS = re.compile(r"^\s*(?:<(?:image|video)>\s*)*")
OPTION = re.compile(r"^\s*\(?([A-Z])[.):]\s*(.+?)\s*$", re.MULTILINE)
LETTER = re.compile(r"\(?([A-Z])\)?\.?")


def parse(record: Mapping[str, Any], number: int) -> Record:
    """Parse one record: a choice if there is one turn and its answer is a letter.

    Args:
        record: the JSON object.
        number: index of the record, which makes its id unique: ids repeat in such files.

    Returns:
        A record of the task `choice` or `conversation`.

    Raises:
        RecordError: a field is missing or invalid.
    """
    fields = RecordFields(record)
    shown, video = visuals_of(fields)
    turns = turns_of(fields)
    turns[0] = (without_markers(turns, len(shown)), turns[0][1])
    text, answer = turns[0]
    options, match = options_of(text), LETTER.fullmatch(answer)
    letter = match.group(1) if match and options and len(turns) == 1 else None
    if letter and letter not in ascii_uppercase[: len(options)]:
        raise RecordError("answer is not an option", f"{answer!r} of {options}")
    return Record(
        shown=shown,
        video=video,
        id=f"{fields.label('id') if 'id' in record else 'record'}/{number}",
        task="choice" if letter else "conversation",
        text=text,
        answer=letter or answer,
        options=options if letter else (),
        more=tuple(turns[1:]),
    )


def visuals_of(record: RecordFields) -> tuple[tuple[str, ...], bool]:
    """Return the image or video names, and whether it is a video.

    Raises:
        RecordError: expected images or one video.
    """
    fields = [name for name in ("image", "images", "video") if record.values.get(name)]
    if len(fields) != 1:
        raise RecordError("no image", f"expected one of image, images and video, found {fields}")
    shown, video = record.files(fields[0]), fields == ["video"]
    if video and len(shown) > 1:
        raise RecordError("several videos", f"{len(shown)}; only one is supported")
    return shown, video


def turns_of(record: RecordFields) -> list[tuple[str, str]]:
    """Return the pairs of prompt and answer.

    Raises:
        RecordError: turns are missing, have an unknown role, or do not alternate.
    """
    said = record.records("conversations")
    roles = [ROLES[turn.known("from", ROLES)] for turn in said]
    texts = [turn.text("value").strip() for turn in said]
    if not roles or roles != ["human", "gpt"] * (len(said) // 2):
        raise RecordError("turns do not alternate", ", ".join(roles))
    return list(zip(texts[::2], texts[1::2], strict=True))


def without_markers(turns: list[tuple[str, str]], count: int) -> str:
    """Return the first turn's text without its markers.

    Raises:
        RecordError: there are not `count` markers, or markers within the text.
    """
    first, rest = turns[0][0], [turns[0][1], *(text for turn in turns[1:] for text in turn)]
    counts = [len(MARKER.findall(text)) for text in (first, *rest)]
    if sum(counts) != count:
        raise RecordError("markers do not match images", f"{sum(counts)} for {count}")
    text = MARKERS.sub("", first, count=1)
    while text != (text := text.rstrip().removesuffix("<image>").removesuffix("<video>")):
        pass
    if any(counts[1:]) or MARKER.search(text):
        raise RecordError("markers within the text", f"{first!r:.80}")
    if not text.strip():
        raise RecordError("empty turn", "only markers")
    return text.strip()


def options_of(text: str) -> tuple[str, ...]:
    """Return the options in `text`, one per line ("A. chair", "(B) lamp"); none if fewer than 2."""
    found = OPTION.findall(text)
    letters = "".join(letter for letter, _ in found)
    named = len(letters) > 1 and ascii_uppercase.startswith(letters)
    return tuple(option for _, option in found) if named else ()
