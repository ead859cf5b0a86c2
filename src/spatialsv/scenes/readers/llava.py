"""Conversations in LLaVA's JSON format: images or one video, then turns.

A record has `image` (or `images`), a name or a list, or `video`, a file or a directory of frames,
and `conversations`, turns with `from` (human, gpt) and `value`. There must be one marker (<image>
or <video>) per image, all at the beginning or all at the end of the first turn, since images always
come first here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from spatialsv.scenes.readers.record import Record, RecordError, names

ROLES = {"human": "human", "user": "human", "gpt": "gpt", "assistant": "gpt"}
MARKER = re.compile(r"<(?:image|video)>")
MARKERS = re.compile(r"^\s*(?:<(?:image|video)>\s*)*")
OPTION = re.compile(r"^\s*\(?([A-H])[.):]\s*(.+?)\s*$", re.MULTILINE)
LETTER = re.compile(r"\(?([A-H])\)?\.?")


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
    shown, video = visuals_of(record)
    turns = turns_of(record)
    turns[0] = (without_markers(turns, len(shown)), turns[0][1])
    text, answer = turns[0]
    options, match = options_of(text), LETTER.fullmatch(answer)
    letter = match.group(1) if match and len(turns) == 1 else None
    is_choice = letter is not None and ord(letter) - ord("A") < len(options)
    return Record(
        shown=shown,
        video=video,
        id=f"{record.get('id', 'record')}/{number}",
        task="choice" if is_choice else "conversation",
        text=text,
        answer=letter if letter and is_choice else answer,
        options=options if is_choice else (),
        more=tuple(turns[1:]),
    )


def visuals_of(record: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    """Return the image or video names, and whether it is a video.

    Raises:
        RecordError: expected images or one video.
    """
    fields = [name for name in ("image", "images", "video") if record.get(name)]
    if len(fields) != 1:
        raise RecordError("no image", f"expected one of image, images and video, found {fields}")
    shown, video = names(record[fields[0]]), fields == ["video"]
    if video and len(shown) > 1:
        raise RecordError("several videos", f"{len(shown)}; only one is supported")
    return shown, video


def turns_of(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the pairs of prompt and answer.

    Raises:
        RecordError: turns are missing, have an unknown role, or do not alternate.
    """
    said = record.get("conversations")
    if not isinstance(said, list) or not said or not all(isinstance(t, Mapping) for t in said):
        raise RecordError("no conversations", f"expected a list of turns, found {said!r:.80}")
    for turn in said:
        if turn.get("from") not in ROLES:
            raise RecordError("unknown role", f"{turn.get('from')!r}; known: {', '.join(ROLES)}")
        if not isinstance(turn.get("value"), str) or not turn["value"].strip():
            raise RecordError("empty turn", f"of {turn['from']}: {turn.get('value')!r}")
    roles = [ROLES[turn["from"]] for turn in said]
    if roles != ["human", "gpt"] * (len(said) // 2):
        raise RecordError("turns do not alternate", ", ".join(roles))
    texts = [turn["value"].strip() for turn in said]
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
    named = len(letters) > 1 and "ABCDEFGH".startswith(letters)
    return tuple(option for _, option in found) if named else ()
