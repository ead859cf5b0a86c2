"""The pretraining tasks of the base MLLM: captions, a curriculum, easy questions, letters.

A sample is a set of questions about one room, each answered independently after all views. Early
samples stay within one view: the list of its objects, positions and depth order within it, what an
object is. Later ones add the same object across views, camera motion, and easy questions:
recognition, MindCube's three settings, and VSI-Bench's numbers, so that fine-tuning need not teach
how numbers are written. VSI-Bench's choices are left to fine-tuning.

A question about one view may come with a view mask: only that view is visible to it. So the model
learns to read a view before, and more easily than, it learns to find the view that a question
names.

An easy question is open, later also with lettered options. Finding the letter of an answer is a
separate skill, which a small model learns slowly and forgets at once where it must guess. So
letter questions, which state an option and ask for its letter, are a phase before all others,
without images, and are added to every later sample. Where options are given, the answer must be
known before they are read: it is predicted at the end of the first line, too.
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
SINGLE_VIEW = ("places", "left_right", "depth", "nearer")  # levels that stay within one view
MASKABLE = ("list", *SINGLE_VIEW, "recognise_what")  # kinds that may have a view mask
PER_LEVEL, PER_TASK = 6, 4  # questions of each level and each task that a sample draws from
# Weights of the draw: lists, levels, and levels that compare two objects; then easy questions.
LIST, LEVEL, COMPARISON = 1.5, 1.0, 3.0
EASY_WEIGHTS = {
    **dict.fromkeys(RECOGNITION, 2.5),
    **dict.fromkeys(SETTINGS, 10.0),
    **dict.fromkeys(NUMBERS, 1.0),
}


@dataclass(frozen=True, kw_only=True)
class RoomQuestions:
    """All questions about one room."""

    captions: tuple[str, ...]  # the list of objects of each view, left to right
    curriculum: tuple[tuple[str, str, str], ...]  # level, question, answer
    easy: tuple[tuple[str, str, str, tuple[str, ...]], ...]  # task, question, answer, options


@dataclass(frozen=True, kw_only=True)
class PretrainingQuestion:
    """One question of a sample."""

    question: str
    answer: str
    view: int | None = None  # the only visible view; None: all are
    option: str | None = None  # the text behind the answer's letter, to be predicted early


@dataclass(frozen=True, kw_only=True)
class PretrainingConfig:
    """What samples consist of. Fractions are of the run, or of the questions."""

    single_view_until: float = 0.2  # fraction of the run in which questions are about one view
    view_mask: tuple[float, float] = (0.6, 0.15)  # probability before and after that
    options_from: tuple[float, float] = (0.25, 0.5)  # for recognition, and for MindCube's settings
    open_fraction: float = 0.3  # of easy questions, after that; before, all are open
    exclude: tuple[str, ...] = ()  # easy tasks and curriculum levels left to fine-tuning
    questions: int = 12  # questions a sample
    letters: int = 3  # letter questions added to each sample
    letters_only: int = 8  # letter questions a sample of the phase without images

    def __post_init__(self) -> None:
        known = (*EASY, *LEVELS)
        if unknown := [name for name in self.exclude if name not in known]:
            raise ValueError(
                f"tasks.exclude: unknown task {unknown[0]!r}. Known tasks: {', '.join(known)}."
            )


def room_questions(room: Room, instance: Int[np.ndarray, "N H W"]) -> RoomQuestions:
    """Return all questions about `room`, one wording each, the same each time."""
    rng = np.random.default_rng([room.seed, 3])
    return RoomQuestions(
        captions=tuple(list_views(room, instance)),
        curriculum=tuple(curriculum_questions(room, instance, rng)),
        easy=tuple(
            (c.task, c.stem, c.answer, c.options)
            for c in generate_questions(room, instance)
            if c.task in EASY
        ),
    )


def write_room_questions(path: Path, rooms: Iterable[RoomQuestions]) -> None:
    """Write JSON lines, one a room, atomically."""
    write_text(path, "".join(json.dumps(asdict(room)) + "\n" for room in rooms))


def read_room_questions(path: Path) -> list[RoomQuestions]:
    """Read what `write_room_questions` wrote."""
    return [
        RoomQuestions(
            captions=tuple(record["captions"]),
            curriculum=tuple(map(tuple, record["curriculum"])),
            easy=tuple((*question, tuple(options)) for *question, options in record["easy"]),
        )
        for record in map(json.loads, path.read_text().splitlines())
    ]


def caption_question(view: int) -> str:
    """Return the question for the caption of view 0, 1, ...; texts count images from 1."""
    return f"What does image {view + 1} show?"


# Weight, kind, question, answer, and the text behind the answer's letter.
PoolEntry = tuple[float, str, str, str, str | None]


class TaskSampler:
    """Draws the questions of a sample.

    Args:
        config: what samples consist of.
    """

    def __init__(self, config: PretrainingConfig) -> None:
        self.config = config

    def sample(
        self, room: RoomQuestions, progress: float, rng: np.random.Generator
    ) -> list[PretrainingQuestion]:
        """Return the questions of one sample, in random order.

        Args:
            room: what to draw from.
            progress: the fraction of the run that is done, in [0, 1].
            rng: decides what is drawn.
        """
        mask = self.config.view_mask[int(progress >= self.config.single_view_until)]
        pool = self._pool(room, progress, rng)
        weights = np.array([weight for weight, *_ in pool])
        count = min(self.config.questions, len(pool))
        chosen = rng.choice(len(pool), count, replace=False, p=weights / weights.sum())
        questions = [_with_view_mask(pool[i], mask, rng) for i in chosen]
        return questions + self.sample_letters(room, self.config.letters, rng)

    @staticmethod
    def sample_letters(
        room: RoomQuestions, count: int, rng: np.random.Generator
    ) -> list[PretrainingQuestion]:
        """Return questions that need no image: which letter stands before a stated option.

        A room whose easy questions have no options gives the letters of "left" and "right".
        """
        choices = [options for *_, options in room.easy if options] or [("left", "right")]
        questions = []
        for i in rng.integers(len(choices), size=count):
            options = choices[i]
            question, letter = _letter_question(options[rng.integers(len(options))], options, rng)
            questions.append(PretrainingQuestion(question=question, answer=letter))
        return questions

    def _pool(
        self, room: RoomQuestions, progress: float, rng: np.random.Generator
    ) -> list[PoolEntry]:
        """Return the questions that may be drawn at this time."""
        config = self.config
        later = progress >= config.single_view_until
        pool: list[PoolEntry] = [
            (LIST, "list", caption_question(view), caption, None)
            for view, caption in enumerate(room.captions)
        ]
        levels = [
            entry
            for entry in room.curriculum
            if entry[0] not in config.exclude and (later or entry[0] in SINGLE_VIEW)
        ]
        for level, question, answer in _limit_each(levels, PER_LEVEL, rng):
            weight = COMPARISON if level in ("left_right", "nearer") else LEVEL
            pool.append((weight, level, question, answer, None))
        easy = [
            entry
            for entry in room.easy
            if entry[0] not in config.exclude and (later or entry[0] in RECOGNITION)
        ]
        for task, *entry in _limit_each(easy, PER_TASK, rng):
            has_options = progress >= config.options_from[task not in RECOGNITION]
            open_fraction = config.open_fraction if has_options else 1.0
            pool.append((EASY_WEIGHTS[task], task, *_easy_question(entry, open_fraction, rng)))
        return pool


def _with_view_mask(
    entry: PoolEntry, probability: float, rng: np.random.Generator
) -> PretrainingQuestion:
    """Return the question, with `probability` under a view mask if it is about one view."""
    _, kind, question, answer, option = entry
    view = None
    named = re.search(r"image (\d)", question.lower())
    if kind in MASKABLE and named and rng.uniform() < probability:
        view = int(named[1]) - 1
    return PretrainingQuestion(question=question, answer=answer, view=view, option=option)


def _limit_each(entries: Sequence[tuple], most: int, rng: np.random.Generator) -> list[tuple]:
    """Return at most so many random entries of each kind (their first value), by kind."""
    kinds: dict[str, list] = {}
    for i in rng.permutation(len(entries)):
        kinds.setdefault(entries[i][0], []).append(entries[i])
    return [entry for same in kinds.values() for entry in same[:most]]


def _easy_question(
    easy: Sequence, open_fraction: float, rng: np.random.Generator
) -> tuple[str, str, str | None]:
    """Return the question, its answer, and the text of a letter; open or with lettered options."""
    question, answer, options = easy
    if not options or rng.uniform() < open_fraction:
        return question, answer, None
    return *_with_options(question, answer, options, rng), answer


def _letter_question(
    answer: str, options: Sequence[str], rng: np.random.Generator
) -> tuple[str, str]:
    """Return a question for the letter of `answer`, before or after the options.

    The answer is in the sentence, or on a separate line as an open answer would be, so that it
    has the same token.
    """
    stem = f"Which letter is {answer}?" if rng.uniform() < 0.5 else f"Which letter?\n{answer}"
    question, letter = _with_options(stem, answer, options, rng)
    if rng.uniform() < 0.5:
        question = question.removeprefix(f"{stem}\n") + f"\n{stem}"
    return question, letter


def _with_options(
    question: str, answer: str, options: Sequence[str], rng: np.random.Generator
) -> tuple[str, str]:
    """Return `question` with its shuffled options, and the letter of `answer`."""
    shuffled = [options[i] for i in rng.permutation(len(options))]
    lines = [f"{letter}. {option}" for letter, option in zip("ABCDEF", shuffled, strict=False)]
    return "\n".join([question, *lines]), "ABCDEF"[shuffled.index(answer)]
