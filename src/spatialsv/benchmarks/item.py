"""One question of a benchmark, as its file has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Item:
    """A question, its answer and what is shown with it.

    `choice` is answered by a letter, `number` by a number, `text` by words.
    """

    id: str
    task: str
    kind: Literal["choice", "number", "text"]
    question: str  # without options where the file has these apart
    options: tuple[str, ...] = ()  # as the file has them: "A. chair", or "chair"
    answer: str
    scene: str  # items of one scene are not independent
    images: tuple[str, ...] = ()  # below the benchmark's folder, in order; see `cells.py`
    video: str | None = None  # below it as well; in place of images
    more: Mapping[str, Any] = field(default_factory=dict)  # what only this benchmark's rules need
