"""Conversations as LLaVA's JSON has them: images or one video, then turns.

A record has `image` (or `images`), a name or a list, or `video`, a file or a folder of frames;
and `conversations`, turns of `from` (human, gpt) and `value`. Images stand where a marker,
<image> or <video>, is written: there must be one for each, together, at the beginning or the end
of the first turn, since what is shown always comes first here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from spatialsv.scenes.readers.record import Record, RecordError, names

ROLES = {"human": "human", "user": "human", "gpt": "gpt", "assistant": "gpt"}
MARKER = re.compile(r"<(?:image|video)>")
MARKERS = re.compile(r"\s*(?:<(?:image|video)>\s*)*")
OPTION = re.compile(r"^\s*\(?([A-H])[.):]\s*(.+?)\s*$", re.MULTILINE)
LETTER = re.compile(r"\(?([A-H])\)?\.?")


def parse(record: Mapping[str, Any], number: int) -> Record:
    """One record: a choice where it asks once and a letter is the answer, else a conversation.

    Args:
        number: of the record, which makes its id one of a kind: ids repeat in such files.

    Raises:
        RecordError: a field that is missing or wrong.
    """
    shown, video = visuals_of(record)
    turns = turns_of(record)
    turns[0] = (without_markers(turns, len(shown)), turns[0][1])
    text, answer = turns[0]
    options, letter = options_of(text), LETTER.fullmatch(answer)
    chosen = letter and ord(letter.group(1)) - ord("A") < len(options) and len(turns) == 1
    return Record(
        shown=shown,
        video=video,
        id=f"{record.get('id', 'record')}/{number}",
        task="choice" if chosen else "conversation",
        text=text,
        answer=letter.group(1) if chosen else answer,
        options=options if chosen else (),
        more=tuple(turns[1:]),
    )


def visuals_of(record: Mapping[str, Any]) -> tuple[tuple[str, ...], bool]:
    """What is shown, and whether it is a video.

    Raises:
        RecordError: nothing, both, or several videos.
    """
    fields = [name for name in ("image", "images", "video") if record.get(name)]
    if len(fields) != 1:
        raise RecordError("no image", f"expected one of image, images and video, found {fields}")
    shown, video = names(record[fields[0]]), fields == ["video"]
    if video and len(shown) > 1:
        raise RecordError("several videos", f"{len(shown)}; one can be shown")
    return shown, video


def turns_of(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is said, and the answer to each.

    Raises:
        RecordError: no turns, an unknown role, or turns that do not alternate.
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
    """The first turn's text without its markers.

    Raises:
        RecordError: not one marker for each of `count` things shown, or markers among the words.
    """
    first, rest = turns[0][0], [turns[0][1], *(text for turn in turns[1:] for text in turn)]
    found = [len(MARKER.findall(text)) for text in (first, *rest)]
    if sum(found) != count:
        raise RecordError("markers do not match images", f"{sum(found)} for {count}")
    text = first[MARKERS.match(first).end() :]
    while text != (text := text.rstrip().removesuffix("<image>").removesuffix("<video>")):
        pass
    if any(found[1:]) or MARKER.search(text):
        raise RecordError("images among the words", f"{first!r:.80}")
    if not text.strip():
        raise RecordError("empty turn", "markers alone")
    return text.strip()


def options_of(text: str) -> tuple[str, ...]:
    """The options in `text`, a line each: "A. chair", "(B) lamp"; none unless two or more."""
    found = OPTION.findall(text)
    letters = "".join(letter for letter, _ in found)
    named = len(letters) > 1 and "ABCDEFGH".startswith(letters)
    return tuple(option for _, option in found) if named else ()
