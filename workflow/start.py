"""What a run claims, checks and records before its first job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError

from dag import EXTRA_STAGES, STAGES
from guard import check_overlay, check_queue, check_required, claim
from provenance import adopt, write_requests
from requirements import find_requirements


@contextmanager
def one_run(root: Path) -> Iterator[None]:
    """Hold the clone for this run, as Snakemake's own lock would.

    Raises:
        WorkflowError: another run is active.
    """
    try:
        with claim(root):
            yield
    except RuntimeError as error:
        raise WorkflowError(f"snakemake: {error}") from None


def start_run(
    root: Path, workflow: Any, config: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    """Refuse a run that cannot succeed, and write the requests of its jobs.

    Args:
        root: the repository.
        workflow: Snakemake's.
        config: the command line's: `overlay`, `adopt`.
        settings: complete settings.

    Raises:
        WorkflowError: the run is refused; the message has the remedy.
    """
    jobs = list(workflow.dag.needrun_jobs())
    try:
        if workflow.touch and config.get("adopt"):
            adopt(root, chain.from_iterable(workflow.dag.toposorted()))
        elif not workflow.touch and any(job.rule.name != "paper" for job in jobs):
            check_queue(root)
            check_overlay(root, config["overlay"], [*STAGES, *EXTRA_STAGES])
            arms = {job.wildcards.arm for job in jobs if job.rule.name == "train_arm"}
            check_required(root, *find_requirements(root, settings, sorted(arms)))
        write_requests(root, workflow.dag.jobs)
    except RuntimeError as error:
        raise WorkflowError(f"snakemake: {error}") from None
