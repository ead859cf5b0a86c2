"""What the base MLLM is told about each room: captions, then a ladder of easy questions.

A lesson is a chat about one room. In the first kind each view is followed at once by the list of
what it shows. In the second all views come first, as in every later question, and turns climb the
ladder: listing a view, places and depth order within it, the same thing across views, camera
motion, and at last easy questions: recognition, and MindCube's three settings. Each is asked
openly, with lettered options, or as a drill that tells the answer and asks for its letter: finding
the letter of what one means is a skill of its own, which a small model does not pick up beside
seeing. VSI-Bench's tasks are left to fine-tuning.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from spatialsv.scenes.rooms.questions import ask
from spatialsv.scenes.rooms.questions.captions import list_views
from spatialsv.scenes.rooms.questions.ladder import ladder
from spatialsv.scenes.rooms.room import Room

EASY = ("recognise_what", "recognise_colour", "rotation", "among", "around")
OPEN, DRILL = 0.2, 0.3  # shares of its forms; the rest has lettered options
A_TASK = 4  # of each easy task, questions that a lesson may draw from
IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"


@dataclass(frozen=True, kw_only=True)
class RoomText:
    """All that can be said of one room."""

    captions: tuple[str, ...]  # one a view, left to right
    steps: tuple[tuple[str, str, str], ...]  # rung, question, answer
    choices: tuple[tuple[str, str, str, tuple[str, ...]], ...]  # task, question, answer, options


@dataclass(frozen=True, kw_only=True)
class LessonConfig:
    """How lessons change while training goes on; shares of the whole run."""

    interleaved_until: float = 0.2  # only views followed by their lists
    choices_from: float = 0.45  # lettered questions join
    interleaved_later: float = 0.2  # share of interleaved lessons after that
    turns: int = 8  # questions a lesson


def room_text(room: Room, instance: Int[np.ndarray, "N H W"]) -> RoomText:
    """Everything a lesson may say about `room`, one wording each, the same each time."""
    rng = np.random.default_rng([room.seed, 3])
    easy = [c for c in ask(room, instance) if c.task in EASY]
    return RoomText(
        captions=tuple(list_views(room, instance)),
        steps=tuple(ladder(room, instance, rng)),
        choices=tuple((c.task, c.stem, c.answer, c.options) for c in easy),
    )


def write_texts(path: Path, texts: Iterable[RoomText]) -> None:
    """Write JSON lines, one a room, in one piece."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text("".join(json.dumps(asdict(text)) + "\n" for text in texts))
    temporary.replace(path)


def read_texts(path: Path) -> list[RoomText]:
    """Read what `write_texts` wrote."""
    return [
        RoomText(
            captions=tuple(record["captions"]),
            steps=tuple(map(tuple, record["steps"])),
            choices=tuple((*choice, tuple(options)) for *choice, options in record["choices"]),
        )
        for record in map(json.loads, path.read_text().splitlines())
    ]


def lesson(
    text: RoomText, done: float, config: LessonConfig, rng: np.random.Generator
) -> list[tuple[str, str]]:
    """The turns (what the user says, what the assistant answers) of one lesson.

    Args:
        done: how far the run has come, in [0, 1].
    """
    early = done < config.interleaved_until
    if early or rng.uniform() < config.interleaved_later:
        return [(IMAGE, caption) for caption in text.captions]
    pool = [
        (1.5, f"What does image {view + 1} show?", caption)
        for view, caption in enumerate(text.captions)
    ]
    pool += [(1.0, question, answer) for _, question, answer in _thinned(text.steps, 6, rng)]
    if done >= config.choices_from:
        few = _thinned(text.choices, A_TASK, rng)
        pool += [(3.0, *_choice(choice, rng)) for choice in few]
    weights = np.array([weight for weight, _, _ in pool])
    count = min(config.turns, len(pool))
    chosen = rng.choice(len(pool), count, replace=False, p=weights / weights.sum())
    turns = [pool[i][1:] for i in chosen]
    first, answer = turns[0]
    return [(IMAGE * len(text.captions) + first, answer), *turns[1:]]


def _thinned(steps: Sequence[tuple], most: int, rng: np.random.Generator) -> list[tuple]:
    """At most so many steps of each rung (their first entry), so that none crowds out others."""
    rungs: dict[str, list] = {}
    for i in rng.permutation(len(steps)):
        rungs.setdefault(steps[i][0], []).append(steps[i])
    return [step for same in rungs.values() for step in same[:most]]


def _choice(choice: tuple, rng: np.random.Generator) -> tuple[str, str]:
    """An easy question in one of its three forms."""
    _, question, answer, options = choice
    form = rng.uniform()
    if form < OPEN:
        return question, answer
    shuffled = [options[i] for i in rng.permutation(len(options))]
    lines = [f"{letter}. {option}" for letter, option in zip("ABCDEF", shuffled, strict=False)]
    asked = f"Which letter is {answer}?" if form < OPEN + DRILL else question
    return "\n".join([asked, *lines]), "ABCDEF"[shuffled.index(answer)]
