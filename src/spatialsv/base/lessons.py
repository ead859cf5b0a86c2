"""What the base MLLM is asked about each room: captions, then a ladder of easy questions.

A lesson is a set of questions about one room, each asked by itself after all views. Early lessons
stay within one view: the list of what it shows, places and depth order within it, what something
is. Later ones climb: the same thing across views, camera motion, and easy questions: recognition,
MindCube's three settings, and VSI-Bench's numbers, so that fine-tuning need not teach how numbers
are written. VSI-Bench's choices are left to fine-tuning.

A question about one view may come with blinkers: it sees that view alone. So the model learns to
read a view before, and more easily than, it learns to find the view that a question names.

An easy question is asked openly, later also with lettered options. Finding the letter of what one
means is a skill of its own, and one that a small model learns slowly and forgets at once where it
must guess. So drills, which tell a thing and ask for its letter, are a rung of their own, without
images, before all lessons, and stand beside the questions of every lesson. And where options are
given, what is meant must be known before they are read: it is asked for at the end of the first
line already, where nothing would be answered otherwise.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from spatialsv.io.atomic import write_text
from spatialsv.rooms.questions import generate_questions
from spatialsv.rooms.questions.captions import list_views
from spatialsv.rooms.questions.curriculum import LEVELS, curriculum_questions
from spatialsv.rooms.room import Room

RECOGNITION = ("recognise_what", "recognise_colour")
SETTINGS = ("rotation", "among", "around")
NUMBERS = ("counting", "object_size", "abs_distance", "room_size")
EASY = (*RECOGNITION, *SETTINGS, *NUMBERS)
WITHIN = ("places", "left_right", "depth", "nearer")  # rungs that stay within one view
WITHIN_ONE = ("list", *WITHIN, "recognise_what")  # what may be asked under blinkers
A_RUNG, A_TASK = 6, 4  # questions of each rung and each task that a lesson draws from
LIST, STEP, PAIR = 1.5, 1.0, 3.0  # how often lists, rungs, and rungs that compare two are drawn
EASY_OFTEN = ((RECOGNITION, 2.5), (SETTINGS, 10.0), (NUMBERS, 1.0))
OFTEN = {task: weight for tasks, weight in EASY_OFTEN for task in tasks}


@dataclass(frozen=True, kw_only=True)
class RoomText:
    """All that can be said of one room."""

    captions: tuple[str, ...]  # one a view, left to right
    steps: tuple[tuple[str, str, str], ...]  # rung, question, answer
    easy: tuple[tuple[str, str, str, tuple[str, ...]], ...]  # task, question, answer, options


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question of a lesson."""

    question: str
    answer: str
    view: int | None = None  # the only view it sees; None: it sees all
    meant: str | None = None  # what the answer's letter stands for, where it must be known early


@dataclass(frozen=True, kw_only=True)
class LessonConfig:
    """What lessons are made of; shares are of the whole run, or of the questions."""

    within_until: float = 0.2  # before, every question is about one view
    blinkers: tuple[float, float] = (0.6, 0.15)  # before and after that, where one view is asked
    lettered_from: tuple[float, float] = (0.25, 0.5)  # recognition, and MindCube's settings
    open: float = 0.3  # of easy questions, after that; before, all
    without: tuple[str, ...] = ()  # tasks of EASY and rungs of the ladder, left to fine-tuning
    questions: int = 12  # a lesson
    drills: int = 3  # beside them
    drills_alone: int = 8  # in a lesson of the first rung

    def __post_init__(self) -> None:
        known = (*EASY, *LEVELS)
        if unknown := [name for name in self.without if name not in known]:
            raise ValueError(
                f"lessons.without: no lesson {unknown[0]!r}; known: {', '.join(known)}"
            )


def room_text(room: Room, instance: Int[np.ndarray, "N H W"]) -> RoomText:
    """Everything a lesson may say about `room`, one wording each, the same each time."""
    rng = np.random.default_rng([room.seed, 3])
    return RoomText(
        captions=tuple(list_views(room, instance)),
        steps=tuple(curriculum_questions(room, instance, rng)),
        easy=tuple(
            (c.task, c.stem, c.answer, c.options)
            for c in generate_questions(room, instance)
            if c.task in EASY
        ),
    )


def write_texts(path: Path, texts: Iterable[RoomText]) -> None:
    """Write JSON lines, one a room, in one piece."""
    write_text(path, "".join(json.dumps(asdict(text)) + "\n" for text in texts))


def read_texts(path: Path) -> list[RoomText]:
    """Read what `write_texts` wrote."""
    return [
        RoomText(
            captions=tuple(record["captions"]),
            steps=tuple(map(tuple, record["steps"])),
            easy=tuple((*question, tuple(options)) for *question, options in record["easy"]),
        )
        for record in map(json.loads, path.read_text().splitlines())
    ]


def lesson(
    text: RoomText, done: float, config: LessonConfig, rng: np.random.Generator
) -> list[Asked]:
    """The questions of one lesson, in no order.

    Args:
        done: how far the run has come, in [0, 1].
    """
    later = int(done >= config.within_until)
    pool = _pool(text, done, config, rng)
    weights = np.array([weight for weight, *_ in pool])
    count = min(config.questions, len(pool))
    chosen = rng.choice(len(pool), count, replace=False, p=weights / weights.sum())
    asked = [_asked(*pool[i][1:], config.blinkers[later], rng) for i in chosen]
    return asked + drills(text, config.drills, rng)


def drills(text: RoomText, count: int, rng: np.random.Generator) -> list[Asked]:
    """Questions that need no image: which letter stands before a thing that is told."""
    choices = [options for *_, options in text.easy if options]
    asked = []
    for i in rng.integers(len(choices), size=count):
        options = choices[i]
        question, letter = _drill(options[rng.integers(len(options))], options, rng)
        asked.append(Asked(question=question, answer=letter))
    return asked


def _pool(
    text: RoomText, done: float, config: LessonConfig, rng: np.random.Generator
) -> list[tuple[float, str, str, str, str | None]]:
    """All that may be asked by now: weight, kind, question, answer, what its letter stands for."""
    later = done >= config.within_until
    pool = [(LIST, "list", list_question(v), list_, None) for v, list_ in enumerate(text.captions)]
    steps = [
        step
        for step in text.steps
        if step[0] not in config.without and (later or step[0] in WITHIN)
    ]
    for rung, question, answer in _thinned(steps, A_RUNG, rng):
        weight = PAIR if rung in ("left_right", "nearer") else STEP
        pool.append((weight, rung, question, answer, None))
    easy = [
        question
        for question in text.easy
        if question[0] not in config.without and (later or question[0] in RECOGNITION)
    ]
    for task, *question in _thinned(easy, A_TASK, rng):
        lettered = done >= config.lettered_from[task not in RECOGNITION]
        pool.append((OFTEN[task], task, *_easy(question, config.open if lettered else 1.0, rng)))
    return pool


def list_question(view: int) -> str:
    """What asks for the list of view 0, 1, ...; texts count images from 1."""
    return f"What does image {view + 1} show?"


def _asked(
    kind: str,
    question: str,
    answer: str,
    meant: str | None,
    share: float,
    rng: np.random.Generator,
) -> Asked:
    """The question, with a probability of `share` under blinkers if it is about one view."""
    view = None
    named = re.search(r"image (\d)", question.lower())
    if kind in WITHIN_ONE and named and rng.uniform() < share:
        view = int(named[1]) - 1
    return Asked(question=question, answer=answer, view=view, meant=meant)


def _thinned(steps: Sequence[tuple], most: int, rng: np.random.Generator) -> list[tuple]:
    """At most so many steps of each rung (their first entry), so that none crowds out others."""
    rungs: dict[str, list] = {}
    for i in rng.permutation(len(steps)):
        rungs.setdefault(steps[i][0], []).append(steps[i])
    return [step for same in rungs.values() for step in same[:most]]


def _easy(easy: Sequence, open_: float, rng: np.random.Generator) -> tuple[str, str, str | None]:
    """An easy question, openly with a probability of `open_`, else with lettered options if any.

    Returns: the question, its answer, and what a letter stands for.
    """
    question, answer, options = easy
    if not options or rng.uniform() < open_:
        return question, answer, None
    return *_lettered(question, answer, options, rng), answer


def _drill(answer: str, options: Sequence[str], rng: np.random.Generator) -> tuple[str, str]:
    """The letter of what is told: in words, or as one would answer; before the options, or after.

    Told as one would answer, on a line of its own, it is the token that an open answer is.
    """
    told = f"Which letter is {answer}?" if rng.uniform() < 0.5 else f"Which letter?\n{answer}"
    lettered, letter = _lettered(told, answer, options, rng)
    if rng.uniform() < 0.5:
        lettered = lettered.removeprefix(f"{told}\n") + f"\n{told}"
    return lettered, letter


def _lettered(
    question: str, answer: str, options: Sequence[str], rng: np.random.Generator
) -> tuple[str, str]:
    """`question` with its shuffled options, and the letter of `answer`."""
    shuffled = [options[i] for i in rng.permutation(len(options))]
    lines = [f"{letter}. {option}" for letter, option in zip("ABCDEF", shuffled, strict=False)]
    return "\n".join([question, *lines]), "ABCDEF"[shuffled.index(answer)]
