"""A question about a scene, and the tasks that rooms ask."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from spatialsv.config import from_mapping
from spatialsv.io.atomic import write_text
from spatialsv.io.digests import digest_path

Kind = Literal["choice", "number", "text"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One kind of question."""

    kind: Kind  # text: free words, which are taught and not scored
    spatial: bool = True  # False: plain recognition, which measures what fine-tuning forgets
    unit: str = ""  # of a number


TASKS: dict[str, Task] = {
    # MindCube's three settings (arXiv 2506.21458)
    "rotation": Task(kind="choice"),
    "among": Task(kind="choice"),
    "around": Task(kind="choice"),
    # VSI-Bench's eight tasks (arXiv 2412.14171); relative direction has three difficulties
    "rel_direction_easy": Task(kind="choice"),
    "rel_direction_medium": Task(kind="choice"),
    "rel_direction_hard": Task(kind="choice"),
    "rel_distance": Task(kind="choice"),
    "appearance_order": Task(kind="choice"),
    "route_planning": Task(kind="choice"),
    "counting": Task(kind="number"),
    "object_size": Task(kind="number", unit="cm"),
    "abs_distance": Task(kind="number", unit="m"),
    "room_size": Task(kind="number", unit="m2"),
    # Within one view, as CV-Bench asks (arXiv 2406.16860)
    "relation": Task(kind="choice"),
    "depth_order": Task(kind="choice"),
    # recognition
    "recognise_what": Task(kind="choice", spatial=False),
    "recognise_colour": Task(kind="choice", spatial=False),
    # of data from outside that name no task
    "choice": Task(kind="choice"),
    "conversation": Task(kind="text", spatial=False),
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question, ready to ask: `text` already contains the options, one a line."""

    id: str
    scene: str
    task: str  # a key of TASKS
    text: str  # for a choice: the question, then lines "A. chair", "B. lamp", ...
    answer: str  # a letter for a choice, a decimal for a number, else any words
    options: tuple[str, ...] = ()  # without their letters; empty for a number
    views: tuple[int, ...]  # which views of the scene are shown, in order
    more: tuple[tuple[str, str], ...] = ()  # of a conversation: what is said next, and the answer

    @property
    def kind(self) -> Kind:
        return TASKS[self.task].kind

    @property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """All that is said, and the answer to each, in order."""
        return ((self.text, self.answer), *self.more)


def write_questions(path: Path, questions: Iterable[Question]) -> str:
    """Write JSON lines, in one piece; what only a conversation has, only where it has it.

    Returns: the digest of the file.
    """
    records = [asdict(question) for question in questions]
    for record in records:
        if not record["more"]:
            del record["more"]
    write_text(path, "".join(json.dumps(record) + "\n" for record in records))
    return digest_path(path)


def read_questions(path: Path) -> list[Question]:
    """Read JSON lines.

    Raises:
        ValueError: a line that is no question; the message names file, line and field.
    """
    questions = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        where = f"{path}:{number}"
        try:
            question = from_mapping(Question, json.loads(line), where)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: not JSON ({error})") from None
        if question.task not in TASKS:
            raise ValueError(f"{where}: task {question.task!r} is not one of {', '.join(TASKS)}")
        questions.append(question)
    return questions
