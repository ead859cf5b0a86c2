"""What the stages before the report left: jobs by arm and seed, with their metrics."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatialsv.io.manifest import Manifest, read_manifest
from spatialsv.stats.summary import QuestionScore

# Rows of tables and the order of colours; other arms follow in the order given.
ARMS = {
    "base": "untuned base",
    "text": "text",
    "distill": "text + distillation",
    "spatialsv": "SpatialSV",
    "semi": "SpatialSV + unlabelled",
    "no_image": "no image (grey images)",
    "random": "random",
    "frequency": "most frequent",
}
BASELINES = ("random", "frequency")
UNTRAINED = ("base", *BASELINES)


@dataclass(frozen=True)
class Job:
    """One job of one stage: data/{stage}/{base}/{arm}/{seed}/manifest.json."""

    arm: str
    seed: str
    manifest: Manifest

    @property
    def metrics(self) -> dict[str, float | int | None]:
        """The flat numbers in its metrics.json; none if it wrote no such file."""
        path = self.manifest.resolve("metrics.json")
        return json.loads(path.read_text()) if path.is_file() else {}


@dataclass(frozen=True)
class Answer:
    """One reply of one model: its score, and what the question browser shows of it."""

    scored: QuestionScore
    prompt: str
    options: int
    answer: str
    reply: str
    said: str | float | None = None  # the letter or number that was read from the reply


def read_jobs(paths: Iterable[str | Path]) -> list[Job]:
    """The jobs, by arm in the order of ARMS, then by seed as given.

    Raises:
        ValueError: a path that is no manifest.
    """
    jobs = []
    for path in map(Path, paths):
        jobs.append(Job(path.parent.parent.name, path.parent.name, read_manifest(path)))
    known = list(ARMS)
    return sorted(jobs, key=lambda job: known.index(job.arm) if job.arm in ARMS else len(known))


def by_arm(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """Jobs of each arm, one a seed."""
    found: dict[str, list[Job]] = {}
    for job in jobs:
        found.setdefault(job.arm, []).append(job)
    return found


def arm_label(arm: str) -> str:
    """An arm's name in words."""
    return ARMS.get(arm, arm)


def read_runs(paths: Iterable[str | Path]) -> dict[str, list[dict[str, Answer]]]:
    """The replies of evaluate jobs: arm -> one {question: answer} a seed."""
    return {
        arm: [read_answers(job) for job in jobs] for arm, jobs in by_arm(read_jobs(paths)).items()
    }


def read_answers(job: Job) -> dict[str, Answer]:
    """An evaluate job's replies, by question.

    Raises:
        ValueError: a line that lacks what a reply has; the message names it.
    """
    path = job.manifest.resolve("replies.jsonl")
    answers = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            answer = _answer(json.loads(line))
        except (KeyError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{path}:{number}: no reply ({error!r}); `snakemake --forcerun evaluate_model` "
                "writes the file again"
            ) from None
        answers[answer.scored.id] = answer
    return answers


def _answer(record: dict[str, Any]) -> Answer:
    scored = QuestionScore(
        id=record["id"],
        scene=record["scene"],
        task=record["task"],
        kind=record["kind"],
        spatial=record["spatial"],
        score=float(record["score"]),
    )
    return Answer(
        scored,
        record["prompt"],
        record["options"],
        str(record["answer"]),
        record["reply"],
        record.get("extracted"),
    )
