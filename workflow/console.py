"""The terminal of a run: progress in place of Snakemake's messages, and the results at the end."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from snakemake.logging import logger
from snakemake.settings.enums import Quietness

from estimate import plan_jobs, read_reference
from progress import Progress

NOTHING = "Nothing to be done"


class Console(logging.Handler):
    """The terminal of one run.

    Args:
        root: the repository.
        workflow: Snakemake's.
        chosen: the keys of run.yaml and the settings of the command line.
    """

    def __init__(self, root: Path, workflow: Any, chosen: Mapping[str, Any]) -> None:
        super().__init__()
        self.root, self.workflow, self.chosen = root, workflow, chosen
        self.progress: Progress | None = None
        self.stdout: int | None = None  # a copy of it while jobs run
        shown = next((one for one in logger.handlers if one.name == "DefaultStreamHandler"), None)
        if workflow.is_main_process and not workflow.output_settings.dryrun:
            logger.addHandler(self)
            workflow.onsuccess(lambda log: self.finish(success=True))
            workflow.onerror(lambda log: self.finish(success=False))
            if isinstance(shown, logging.StreamHandler) and not asks_for_messages(workflow):
                self.progress = Progress(shown, shown.stream, root)
                logger.removeHandler(shown)
                logger.addHandler(self.progress)

    def emit(self, record: logging.LogRecord) -> None:
        """Print the results of a run that has nothing to do: Snakemake calls no hook then."""
        if str(record.msg).startswith(NOTHING):
            self.print_results()

    def start(self) -> None:
        """Show the plan, and mute jobs, whose output is in their logs."""
        if self.progress is None or self.workflow.touch:
            return
        dag = self.workflow.dag
        reference = read_reference(self.root, self.chosen)
        jobs = plan_jobs(
            self.root, dag.needrun_jobs(), dag.jobs, count_slots(self.workflow), reference
        )
        count = "1 job" if len(jobs) == 1 else f"{len(jobs)} jobs"
        self.progress.start(jobs, f"Overlay {self.chosen['overlay']}: {count} to run.")
        self.stdout = os.dup(1)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    def finish(self, success: bool) -> None:
        """End the progress, and print the results of a run that succeeded."""
        if self.progress is not None:
            self.progress.stop()
        if self.stdout is not None:
            os.dup2(self.stdout, 1)
            os.close(self.stdout)
            self.stdout = None
        if success:
            self.print_results()

    def print_results(self) -> None:
        """Print the results of this run's targets."""
        if not self.workflow.touch and (text := format_results(self.root, self.workflow.dag)):
            print(f"\n{text}", flush=True)


def asks_for_messages(workflow: Any) -> bool:
    """Return whether the command line asks for more or fewer of Snakemake's messages."""
    settings = workflow.output_settings
    is_quiet = set(settings.quiet or ()) - {Quietness.HOST, Quietness.REASON}
    return bool(is_quiet or settings.printshellcmds or settings.verbose or settings.debug_dag)


def count_slots(workflow: Any) -> Callable[[Any], float]:
    """Return how many jobs like a given one run at once on this machine or cluster."""

    def slots(job: Any) -> float:
        if not workflow.local_exec:
            return workflow.nodes or 1
        cores = workflow.cores or 1
        counts = [cores // min(max(job.threads, 1), cores)]
        limit = workflow.global_resources.get("gpu")
        limit, own = (getattr(one, "value", one) for one in (limit, job.resources.get("gpu")))
        if limit and own:
            counts.append(limit // own)
        return max(min(counts), 1)

    return slots


def format_results(root: Path, dag: Any) -> str:
    """Return the results of the targets of a run: tables, and where the rest is."""
    targets = {rule.name for rule in dag.targetrules} | set(map(str, dag.targetfiles))
    parts = []
    if targets & {"all", "report", "data/report/manifest.json"}:
        folder = root / "data/report"
        parts += [_read(folder / "summary.txt"), f"Report: {folder / 'report.html'}"]
    if targets & {"ablations", "data/ablations/manifest.json"}:
        parts.append(f"Tables: {root / 'data/ablations/table.md'}")
    if targets & {"paper", "data/paper/manifest.json"}:
        parts.append(_read(root / "data/logs/paper.log"))
    return "\n\n".join(filter(None, parts))


def _read(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""
