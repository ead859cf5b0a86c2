"""Chats other than a question after its images: dialogues, and text with images within it.

Turns of a dialogue are about one scan, each with its new images, and all earlier turns in context.
Turn by turn, those of several dialogues in one batch. Only responses are kept between the turns:
each turn is prepared with all images up to it, as in the baselines of OST-Bench's authors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from spatialsv.benchmarks.benchmark import Item


def split_dialogues(items: Sequence[Item]) -> list[list[Item]]:
    """Group items by scan, in the order of their turns; a question without turns is one group."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        key = f"scan {item.scene}" if "turn" in item.more else f"item {item.id}"
        groups.setdefault(key, []).append(item)
    return [sorted(turns, key=lambda item: item.more.get("turn", 0)) for turns in groups.values()]


def dialogue_messages(
    turns: Sequence[Item], texts: Sequence[str], responses: Sequence[str], images: Sequence[int]
) -> list[dict[str, Any]]:
    """Return the chat messages of `turns`, the last of which is to be answered.

    Each turn: `more["system"]` where there is any, the new images, then the text, as in the
    Qwen2.5-VL baseline of OST-Bench's authors.

    Args:
        turns: of one dialogue.
        texts: the prompt of each turn.
        responses: to all turns but the last.
        images: the number of new images of each turn.

    Returns:
        Messages as the chat template takes them.
    """
    messages: list[dict[str, Any]] = []
    for item, text, count, response in zip_longest(turns, texts, images, responses):
        system = item.more.get("system")
        opening = [{"type": "text", "text": system}] if system else []
        content = [*opening, *[{"type": "image"}] * count, {"type": "text", "text": text}]
        messages.append({"role": "user", "content": content})
        if response is not None:
            answer = [{"type": "text", "text": response}]
            messages.append({"role": "assistant", "content": answer})
    return messages


def interleaved_messages(text: str, mark: str, images: int) -> list[dict[str, Any]]:
    """Return the chat message of a text with an image in place of each mark.

    Texts lose white space at their ends, as in lmms-eval and VLMEvalKit. If there are more images
    than marks, the others come before the text after the last mark. Further marks are removed.

    Args:
        text: the prompt.
        mark: stands for the next image.
        images: their number.

    Returns:
        One message as the chat template takes it.
    """
    *texts, last = text.split(mark)
    content: list[dict[str, Any]] = []
    for number in range(max(images, len(texts))):
        part = texts[number].strip() if number < len(texts) else ""
        content += [{"type": "text", "text": part}] if part else []
        content += [{"type": "image"}] if number < images else []
    end = last.strip()
    return [
        {"role": "user", "content": [*content, *([{"type": "text", "text": end}] if end else [])]}
    ]


def rounds(
    items: Sequence[Item], responses: Mapping[str, str], size: int
) -> Iterator[list[list[Item]]]:
    """Yield what can be generated at once: of each of `size` dialogues, the turns up to the next.

    Args:
        items: all of all dialogues.
        responses: by the items' ids; the caller adds those of a round before it takes another.
        size: the greatest number of dialogues in a round.
    """
    open_dialogues = [turns for turns in split_dialogues(items) if _is_open(turns, responses)]
    for start in range(0, len(open_dialogues), size):
        batch = open_dialogues[start : start + size]
        while batch := [turns for turns in batch if _is_open(turns, responses)]:
            yield [turns[: _next_turn(turns, responses) + 1] for turns in batch]


def _is_open(turns: Sequence[Item], responses: Mapping[str, str]) -> bool:
    return any(turn.id not in responses for turn in turns)


def _next_turn(turns: Sequence[Item], responses: Mapping[str, str]) -> int:
    return next(index for index, turn in enumerate(turns) if turn.id not in responses)
