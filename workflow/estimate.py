"""How long the jobs of a run take: measured in earlier runs here, else in a reference run.

While a run goes on, jobs that finish correct the estimates of those that remain.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, NamedTuple

import yaml

from dag import STAGES

REFERENCE = Path("workflow/times.yaml")
Source = Literal["here", "reference", "unknown"]


@dataclass(frozen=True, kw_only=True)
class PlannedJob:
    """A job that a run is going to do."""

    id: int
    rule: str
    stage: str
    name: str  # what it does, for people
    log: str = ""  # path of its log
    seconds: float | None = None  # estimated before the run
    source: Source = "unknown"  # where the estimate is from
    share: float = 1.0  # of the machine: 1 / how many such jobs run at once


def read_reference(root: Path, chosen: Mapping[str, Any]) -> dict[str, float]:
    """Return the seconds of a job of each rule in the reference run; empty for other settings.

    Args:
        root: the repository.
        chosen: the keys of run.yaml and the settings of the command line.
    """
    reference = yaml.safe_load((root / REFERENCE).read_text())
    is_same = chosen.keys() <= {"overlay", "also", "adopt"}
    return reference["seconds"] if is_same and chosen["overlay"] == reference["overlay"] else {}


def plan_jobs(
    root: Path,
    jobs: Iterable[Any],
    every: Iterable[Any],
    slots: Any,
    reference: Mapping[str, float],
) -> list[PlannedJob]:
    """Describe jobs that are going to run.

    Args:
        root: the repository.
        jobs: Snakemake's jobs that run.
        every: all of its jobs; the benchmark files of those that ran earlier have their times.
        slots: called with a job, returns how many such jobs run at once.
        reference: seconds by rule, for rules of which no job ran here.

    Returns:
        A description of each job that has a command, in the order of stages.
    """
    earlier: dict[str, list[float]] = {}
    for job in every:
        if (seconds := read_seconds(root, job.benchmark)) is not None:
            earlier.setdefault(job.rule.name, []).append(seconds)
    planned = []
    for job in (job for job in jobs if job.shellcmd):
        rule = job.rule.name
        source: Source = "here"
        seconds = read_seconds(root, job.benchmark)
        if seconds is None and rule in earlier:
            seconds = fmean(earlier[rule])
        if seconds is None:
            seconds = reference.get(rule)
            source = "unknown" if seconds is None else "reference"
        planned.append(
            PlannedJob(
                id=job.jobid,
                rule=rule,
                stage=find_stage(job),
                name=job.message or rule,
                log=next(map(str, job.log), ""),
                seconds=seconds,
                source=source,
                share=1 / max(slots(job), 1),
            )
        )
    return sorted(planned, key=lambda job: STAGES.index(job.stage) if job.stage in STAGES else -1)


def find_stage(job: Any) -> str:
    """Return the stage of a job, from the path of its log data/logs/{stage}..."""
    path = next(map(str, job.log), "")
    return Path(path).parts[2].partition(".")[0] if path else job.rule.name


def read_seconds(root: Path, benchmark: Any) -> float | None:
    """Return the seconds of Snakemake's benchmark file; None without one."""
    path = root / str(benchmark)
    if not benchmark or not path.is_file():
        return None
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    try:
        return float(rows[0]["s"])
    except (IndexError, KeyError, TypeError, ValueError):  # of a job too short, or cut off
        return None


class TimeLeft(NamedTuple):
    """An expected time in seconds; without `is_complete` some jobs are unknown and not in it."""

    seconds: float
    is_complete: bool


@dataclass
class Estimate:
    """Estimates of all jobs of a run, corrected by those that finished."""

    jobs: Sequence[PlannedJob]
    measured: dict[int, float] = field(default_factory=dict)  # seconds by id

    def expected(self) -> dict[int, float | None]:
        """Return the expected seconds of each job that has not finished; None if unknown."""
        finished: dict[str, list[PlannedJob]] = {}
        for job in self.jobs:
            if job.id in self.measured:
                finished.setdefault(job.rule, []).append(job)
        others = [job for own in finished.values() for job in own if job.source == "reference"]
        speeds = {rule: self._speed(own) for rule, own in finished.items()}
        means = {rule: fmean(self.measured[j.id] for j in own) for rule, own in finished.items()}
        speed = self._speed(others) or 1.0
        found: dict[int, float | None] = {}
        for job in (job for job in self.jobs if job.id not in self.measured):
            if job.seconds is None:
                found[job.id] = means.get(job.rule)
            else:
                own = speeds.get(job.rule) or (speed if job.source == "reference" else 1.0)
                found[job.id] = job.seconds * own
        return found

    def seconds_by_stage(self, elapsed: Mapping[int, float]) -> dict[str, TimeLeft]:
        """Return the expected time that is left of each stage.

        Args:
            elapsed: seconds since the start of jobs that run, by id.
        """
        expected, found = self.expected(), dict[str, TimeLeft]()
        for stage in self.stages:
            ids = {j.id: j.share for j in self.jobs if j.stage == stage and j.id in expected}
            left = [
                (max(seconds - elapsed.get(id, 0.0), 0.0), share)
                for id, share in ids.items()
                if (seconds := expected[id]) is not None
            ]
            total = sum(seconds * share for seconds, share in left)
            longest = max((seconds for seconds, _ in left), default=0.0)
            found[stage] = TimeLeft(max(total, longest), len(left) == len(ids))
        return found

    def time_left(self, elapsed: Mapping[int, float]) -> TimeLeft:
        """Return the expected time that is left of the run: one stage after the other."""
        parts = self.seconds_by_stage(elapsed).values()
        return TimeLeft(sum(part.seconds for part in parts), all(p.is_complete for p in parts))

    @property
    def stages(self) -> list[str]:
        """Return the stages in the order of the jobs."""
        return list(dict.fromkeys(job.stage for job in self.jobs))

    def _speed(self, jobs: Sequence[PlannedJob]) -> float | None:
        """Return how many times longer finished jobs took than estimated; None if unknown."""
        estimated = sum(job.seconds or 0.0 for job in jobs)
        return sum(self.measured[job.id] for job in jobs) / estimated if estimated else None
