"""Replies on disk: JSON lines, appended as they come, so that a killed run loses none."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from spatialsv.config import from_mapping
from spatialsv.evaluate.score import extract, score
from spatialsv.io.atomic import write_text
from spatialsv.io.digests import digest_bytes
from spatialsv.scenes.question import TASKS, Question
from spatialsv.stats.summary import QuestionScore


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One question, what was replied, and what that scores."""

    id: str
    scene: str
    task: str
    kind: Literal["choice", "number"]
    spatial: bool
    prompt: str  # the question as asked, without the chat template
    options: int  # how many; 0 for a number
    answer: str  # the right one
    reply: str
    extracted: str | float | None  # what was read from the reply; None if nothing could be
    score: float  # in [0, 1]
    key: str  # digest of model, settings, images and prompt: what the reply depends on

    def scored(self) -> QuestionScore:
        return QuestionScore(
            id=self.id,
            scene=self.scene,
            task=self.task,
            kind=self.kind,
            spatial=self.spatial,
            score=self.score,
        )


def judged(question: Question, reply: str, key: str) -> Reply:
    """`reply` to `question`, read and scored."""
    said = extract(reply, question)
    return _reply(question, reply, key, said, score(said, question))


def expected(question: Question, reply: str, key: str, value: float) -> Reply:
    """A baseline's reply, whose score is an expectation."""
    return _reply(question, reply, key, None, value)


def _reply(
    question: Question, reply: str, key: str, said: str | float | None, value: float
) -> Reply:
    task = TASKS[question.task]
    return Reply(
        id=question.id,
        scene=question.scene,
        task=question.task,
        kind=task.kind,
        spatial=task.spatial,
        prompt=question.text,
        options=len(question.options),
        answer=question.answer,
        reply=reply,
        extracted=said,
        score=value,
        key=key,
    )


def reply_key(question: Question, *context: str) -> str:
    """Digest of what a reply to `question` depends on: the prompt, the views, and `context`."""
    views = ",".join(map(str, question.views))
    return digest_bytes(*(part.encode() for part in (question.text, views, *context)))


def read_replies(path: Path) -> list[Reply]:
    """The replies in a finished file.

    Raises:
        ValueError: a line that is no reply; the message names file, line and field.
    """
    lines = path.read_text().splitlines()
    return [_parse(line, f"{path}:{number}") for number, line in enumerate(lines, start=1)]


def resume_replies(path: Path) -> list[Reply]:
    """The replies that an interrupted run left; its last line may be torn, and is then cut off."""
    lines = enumerate(whole_lines(path), start=1)
    return [_parse(line, f"{path}:{number}") for number, line in lines]


def whole_lines(path: Path) -> list[str]:
    """The lines of a file that may not be there, but for a last one that has no end."""
    whole = path.read_bytes().rpartition(b"\n")[0] if path.is_file() else b""
    return whole.decode().splitlines()


def dumps(reply: Reply) -> str:
    """One line of JSON."""
    return json.dumps(asdict(reply)) + "\n"


def write_replies(path: Path, replies: Iterable[Reply]) -> None:
    """Write all replies in one piece."""
    write_text(path, "".join(map(dumps, replies)))


def _parse(line: str, where: str) -> Reply:
    try:
        return from_mapping(Reply, json.loads(line), where)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON ({error}); delete the file and run again") from None
