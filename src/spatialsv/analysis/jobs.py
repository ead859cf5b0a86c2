"""Jobs of the earlier stages, by arm and seed, with their metrics and scored responses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spatialsv.benchmarks.responses import FILE, Response, read_responses
from spatialsv.io.manifest import Manifest, read_manifest
from spatialsv.io.text import load_json

# Order of arms in every table; other arms follow in the order given.
ARM_ORDER = (
    *("base", "text", "distill", "spatialsv", "semi"),
    *("no_image", "random", "frequency"),
)
NO_IMAGE = "no_image"  # the arm whose images are grey
BASELINES = ("random", "frequency")  # arms without images and without a model
WITHOUT_TRAINING = ("base", *BASELINES)


@dataclass(frozen=True)
class Job:
    """One job of one stage: data/{stage}/{base}/{arm}/{seed}/manifest.json."""

    arm: str
    seed: str
    manifest: Manifest

    @property
    def metrics(self) -> dict[str, float | int | None]:
        """The flat numbers of the job's metrics.json; empty without that file."""
        path = self.file("metrics.json")
        return load_json(path) if path else {}

    def file(self, name: str) -> Path | None:
        """Return the path of the file `name`, or None if the job has none."""
        return self.manifest.resolve(name) if name in self.manifest.payload else None


Responses = Mapping[str, Response]  # by question id
Runs = Mapping[str, Sequence[Responses]]  # by arm; one element per seed


def read_jobs(paths: Iterable[str | Path]) -> list[Job]:
    """Read manifests .../{arm}/{seed}/manifest.json, sorted by arm in ARM_ORDER, then as given."""
    jobs = [
        Job(path.parent.parent.name, path.parent.name, read_manifest(path))
        for path in map(Path, paths)
    ]
    order = {arm: number for number, arm in enumerate(ARM_ORDER)}
    return sorted(jobs, key=lambda job: order.get(job.arm, len(order)))


def by_arm(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """Group jobs by arm; each arm has one job per seed."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.arm, []).append(job)
    return groups


def read_runs(jobs: Sequence[Job]) -> dict[str, list[dict[str, Response]]]:
    """Read the responses of evaluate jobs, by arm, seed and question."""
    return {arm: [read_job_responses(job) for job in seeds] for arm, seeds in by_arm(jobs).items()}


def read_job_responses(job: Job) -> dict[str, Response]:
    """Read an evaluate job's responses by question id, in the order of the file."""
    return {one.id: one for one in read_responses(job.manifest.resolve(FILE))}
