"""What the base MLLM is told about each room: captions, then a ladder of easy questions.

A lesson is a chat about one room. In the first kind each view is followed at once by turns about it
alone: the list of what it shows, places and depth order within it, what something is. In the second
all views come first, as in every later question, and turns climb the ladder: those of the first
kind, the same thing across views, camera motion, and easy questions: recognition, and MindCube's
three settings; openly, with lettered options, or as a drill that tells the answer and asks for its
letter. VSI-Bench's tasks are left to fine-tuning.

Finding the letter of what one means is a skill of its own, which a small model does not pick up
beside seeing; so a rung of drills alone, without images, comes before all lessons.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from spatialsv.scenes.rooms.questions import ask
from spatialsv.scenes.rooms.questions.captions import list_views
from spatialsv.scenes.rooms.questions.ladder import ladder
from spatialsv.scenes.rooms.room import Room

RECOGNITION = ("recognise_what", "recognise_colour")
EASY = (*RECOGNITION, "rotation", "among", "around")
WITHIN = ("places", "depth")  # rungs that stay within one view
OPEN, DRILL = 0.5, 0.15  # shares of its forms; the rest has lettered options
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

    single_until: float = 0.3  # before, each view is asked about as soon as it is shown
    single_later: float = 0.25  # share of such lessons after that
    single_turns: int = 2  # questions about one view, beside its list
    turns: int = 8  # questions about all views
    drills: int = 4  # questions in a chat of drills


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
    if done < config.single_until or rng.uniform() < config.single_later:
        return _view_by_view(text, config.single_turns, rng)
    pool = [(1.5, list_question(view), list_) for view, list_ in enumerate(text.captions)]
    pool += [(1.0, question, answer) for _, question, answer in _thinned(text.steps, 6, rng)]
    pool += [(3.0, *_easy(choice, rng)) for choice in _thinned(text.choices, A_TASK, rng)]
    (first, answer), *others = _drawn(pool, config.turns, rng)
    return [(IMAGE * len(text.captions) + first, answer), *others]


def _view_by_view(text: RoomText, count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Each view, and in any order its list and `count` questions about it alone."""
    turns: list[tuple[str, str]] = []
    for view, list_ in enumerate(text.captions):
        pool = [(1.0, q, a) for rung, q, a in text.steps if rung in WITHIN and _only(q, view)]
        pool += [
            (3.0, *_easy(choice, rng))
            for choice in text.choices
            if choice[0] in RECOGNITION and _only(choice[1], view)
        ]
        about = [(list_question(view), list_), *(_drawn(pool, count, rng) if pool else [])]
        (first, answer), *others = [about[i] for i in rng.permutation(len(about))]
        turns += [(IMAGE + first, answer), *others]
    return turns


def list_question(view: int) -> str:
    """What asks for the list of view 0, 1, ...; texts count images from 1."""
    return f"What does image {view + 1} show?"


def _only(question: str, view: int) -> bool:
    """Whether `question` names this view's image and no other."""
    return set(re.findall(r"image (\d)", question)) == {str(view + 1)}


def drills(text: RoomText, count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """A chat without images: which letter stands before a thing that is told."""
    turns = []
    for i in rng.integers(len(text.choices), size=count):
        options = text.choices[i][-1]
        turns.append(_drill(options[rng.integers(len(options))], options, rng))
    return turns


def _drawn(pool: list[tuple], count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """`count` of weighted (weight, question, answer), or all of them."""
    weights = np.array([weight for weight, _, _ in pool])
    count = min(count, len(pool))
    chosen = rng.choice(len(pool), count, replace=False, p=weights / weights.sum())
    return [pool[i][1:] for i in chosen]


def _thinned(steps: Sequence[tuple], most: int, rng: np.random.Generator) -> list[tuple]:
    """At most so many steps of each rung (their first entry), so that none crowds out others."""
    rungs: dict[str, list] = {}
    for i in rng.permutation(len(steps)):
        rungs.setdefault(steps[i][0], []).append(steps[i])
    return [step for same in rungs.values() for step in same[:most]]


def _easy(choice: tuple, rng: np.random.Generator) -> tuple[str, str]:
    """An easy question in one of its three forms."""
    _, question, answer, options = choice
    form = rng.uniform()
    if form < OPEN:
        return question, answer
    if form < OPEN + DRILL:
        return _drill(answer, options, rng)
    return _lettered(question, answer, options, rng)


def _drill(answer: str, options: Sequence[str], rng: np.random.Generator) -> tuple[str, str]:
    return _lettered(f"Which letter is {answer}?", answer, options, rng)


def _lettered(
    question: str, answer: str, options: Sequence[str], rng: np.random.Generator
) -> tuple[str, str]:
    """`question` with its shuffled options, and the letter of `answer`."""
    shuffled = [options[i] for i in rng.permutation(len(options))]
    lines = [f"{letter}. {option}" for letter, option in zip("ABCDEF", shuffled, strict=False)]
    return "\n".join([question, *lines]), "ABCDEF"[shuffled.index(answer)]
