"""Questions about scenes: their format, their tasks, and their files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from spatialsv.config import from_mapping
from spatialsv.io.atomic import write_text
from spatialsv.io.digests import digest_path
from spatialsv.io.fields import Fields
from spatialsv.io.text import iterate_jsonl

Kind = Literal["choice", "number", "text"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One kind of question."""

    kind: Kind
    spatial: bool = True  # False: object recognition, to measure forgetting in fine-tuning
    is_scored: bool = True  # False: used in training only
    unit: str = ""  # of a number
    any_order: bool = False  # question and answer do not depend on the order of the views


# Questions about two free views, and their forms: see `rooms.evidence`
FORMS = ("side", "nearer", "facing", "apart")
CROSS_VIEW = tuple(f"cross_{form}" for form in FORMS)  # answered by both views together
SINGLE_VIEW = tuple(f"single_{form}" for form in FORMS)  # the same forms within one view

EXTERNAL: dict[str, Task] = {  # data from outside, whose own names are categories
    "choice": Task(kind="choice"),
    "number": Task(kind="number"),
    "answer": Task(kind="text"),  # a few words, scored by exact match
    "conversation": Task(kind="text", spatial=False, is_scored=False),
}
TASKS: dict[str, Task] = {
    # MindCube's three settings (arXiv 2506.21458)
    "rotation": Task(kind="choice"),
    "among": Task(kind="choice"),
    "around": Task(kind="choice"),
    # VSI-Bench's eight tasks (arXiv 2412.14171); relative direction has three difficulties
    "rel_direction_easy": Task(kind="choice", any_order=True),
    "rel_direction_medium": Task(kind="choice", any_order=True),
    "rel_direction_hard": Task(kind="choice", any_order=True),
    "rel_distance": Task(kind="choice", any_order=True),
    "appearance_order": Task(kind="choice"),
    "route_planning": Task(kind="choice", any_order=True),
    "counting": Task(kind="number", any_order=True),
    "object_size": Task(kind="number", unit="cm", any_order=True),
    "abs_distance": Task(kind="number", unit="m", any_order=True),
    "room_size": Task(kind="number", unit="m2", any_order=True),
    # Within one view, as in CV-Bench (arXiv 2406.16860)
    "relation": Task(kind="choice"),
    "depth_order": Task(kind="choice"),
    **{task: Task(kind="choice") for task in (*CROSS_VIEW, *SINGLE_VIEW)},
    # recognition
    "recognise_what": Task(kind="choice", spatial=False),
    "recognise_colour": Task(kind="choice", spatial=False),
    **EXTERNAL,
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question; `text` contains the options, one a line."""

    id: str  # unique in its file
    scene: str  # id of the scene that it is about
    task: str  # a key of TASKS
    text: str  # for a choice: the question, then lines "A. chair", "B. lamp", ...
    answer: str  # a letter for a choice, a decimal for a number, else free-form text
    options: tuple[str, ...] = ()  # without their letters; empty for a number
    views: tuple[int, ...]  # views of the scene to show, in order
    more: tuple[tuple[str, str], ...] = ()  # further turns of a conversation: text and answer
    category: str = ""  # of external data; replaces the task in tables of results

    @property
    def group(self) -> str:
        """Name of the questions that are scored together: the category, else the task."""
        return self.category or self.task

    @property
    def kind(self) -> Kind:
        """Type of the answer."""
        return TASKS[self.task].kind

    @property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """Text and answer of each turn, in order."""
        return ((self.text, self.answer), *self.more)


def write_questions(path: Path, questions: Iterable[Question]) -> str:
    """Write questions as JSON lines, atomically, and return the digest of the file."""
    records = [asdict(question) for question in questions]
    for record in records:
        for name in ("more", "category"):
            if not record[name]:
                del record[name]
    write_text(path, "".join(json.dumps(record) + "\n" for record in records))
    return digest_path(path)


def read_questions(path: Path) -> list[Question]:
    """Read questions from JSON lines.

    Args:
        path: the file.

    Returns:
        The questions.

    Raises:
        ValueError: an invalid line; the message names file, line and field.
    """
    questions = []
    for number, record in iterate_jsonl(path):
        where = f"{path}:{number}"
        question = from_mapping(Question, record, where)
        if question.task not in TASKS:
            raise ValueError(
                f"{where}: unknown task {question.task!r}. Known tasks: {', '.join(TASKS)}."
            )
        fields = Fields(record, where)
        if question.kind == "choice":
            answer = fields.letter("answer", fields.lettered("options", question.options))
            question = replace(question, answer=answer)
        if question.kind == "number":
            fields.decimal("answer")
        questions.append(question)
    return questions
