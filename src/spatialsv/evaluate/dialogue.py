"""Dialogues: turns about one scan, each with what is new to see, and all before it in context.

Turn by turn, those of several dialogues in one batch. Nothing is kept between the turns but the
replies: each turn is prepared with all images up to it, as the authors' baselines do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from spatialsv.benchmarks.item import Item


def dialogues(items: Sequence[Item]) -> list[list[Item]]:
    """Items by scan, in the order of their turns; a question by itself is a dialogue of one."""
    found: dict[str, list[Item]] = {}
    for item in items:
        key = f"scan {item.scene}" if "turn" in item.more else f"item {item.id}"
        found.setdefault(key, []).append(item)
    return [sorted(turns, key=lambda item: item.more.get("turn", 0)) for turns in found.values()]


def messages(
    turns: Sequence[Item], texts: Sequence[str], replies: Sequence[str], images: Sequence[int]
) -> list[dict[str, Any]]:
    """A chat of all `turns`, the last of which is to be answered.

    Each turn: `more["system"]` where there is any, what is new to see, then the words, as in the
    Qwen2.5-VL baseline of OST-Bench's authors.

    Args:
        texts: of each turn.
        replies: to all turns but the last.
        images: how many there are new in each turn.
    """
    chat: list[dict[str, Any]] = []
    for item, text, count, reply in zip_longest(turns, texts, images, replies):
        words = item.more.get("system")
        opening = [{"type": "text", "text": words}] if words else []
        shown = [{"type": "image"}] * count
        content = [*opening, *shown, {"type": "text", "text": text}]
        chat.append({"role": "user", "content": content})
        if reply is not None:
            chat.append({"role": "assistant", "content": [{"type": "text", "text": reply}]})
    return chat


def rounds(
    items: Sequence[Item], replies: Mapping[str, str], size: int
) -> Iterator[list[list[Item]]]:
    """What can be asked at once: of up to `size` dialogues, each's turns up to the next one.

    Args:
        items: all of all dialogues.
        replies: by item's id; whoever takes a round adds to it before taking another.
    """
    open_ = [turns for turns in dialogues(items) if any(turn.id not in replies for turn in turns)]
    for start in range(0, len(open_), size):
        part = open_[start : start + size]
        while part := [turns for turns in part if any(turn.id not in replies for turn in turns)]:
            yield [turns[: _next(turns, replies) + 1] for turns in part]


def _next(turns: Sequence[Item], replies: Mapping[str, str]) -> int:
    return next(index for index, turn in enumerate(turns) if turn.id not in replies)
