"""What a run shows instead of Snakemake's messages: a plan, live progress, and the results.

Errors, warnings and the logs of failed jobs are shown as Snakemake formats them. Its file in
.snakemake/log still has every message.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from snakemake_interface_logger_plugins.common import LogEvent

from estimate import Estimate, PlannedJob, TimeLeft

HIDDEN_EVENTS = frozenset(
    {
        *(LogEvent.JOB_INFO, LogEvent.JOB_STARTED, LogEvent.JOB_FINISHED, LogEvent.PROGRESS),
        *(LogEvent.RUN_INFO, LogEvent.RESOURCES_INFO, LogEvent.SHELLCMD),
    }
)
HIDDEN_MESSAGES = (
    *("Building DAG of jobs", "Select jobs to execute", "Execute ", "Using shell: "),
    *("Assuming unrestricted shared filesystem", "Conda environments: ", "Group jobs: "),
    *("Singularity containers: ", "Complete log(s): ", "Elapsed time: "),
)
SOURCES = {
    "here": "measured in earlier runs here",
    "reference": "of a run on two cores (workflow/times.yaml), corrected as jobs finish",
}
TAIL = 2000  # bytes of a log in which its last line is looked for


class Progress(logging.Handler):
    """Shows a run on a stream; a terminal has a line that changes, a file a line for each job.

    Args:
        snakemake: the handler that this one replaces, for all messages that are still shown.
        stream: where to write.
        root: the repository, which logs of jobs are relative to.
    """

    def __init__(self, snakemake: logging.Handler, stream: TextIO, root: Path) -> None:
        super().__init__()
        self.snakemake, self.stream, self.root = snakemake, stream, root
        self.is_live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self.estimate = Estimate([])
        self.running: dict[int, float] = {}  # id -> when it started
        self.began = time.monotonic()
        self.line = ""  # on the terminal now
        self._stop = threading.Event()

    def start(self, jobs: Sequence[PlannedJob], title: str) -> None:
        """Show the plan of a run, and its progress from now on."""
        self.estimate, self.began = Estimate(jobs), time.monotonic()
        self._write(f"{title}\n{format_plan(self.estimate)}\n")
        if self.is_live and jobs:
            threading.Thread(target=self._tick, daemon=True).start()

    def stop(self) -> None:
        """End the live line."""
        self._stop.set()
        with self.lock or threading.RLock():
            self.running.clear()
            self._write("")

    def emit(self, record: logging.LogRecord) -> None:
        """Show a message of Snakemake, or what it says about progress."""
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            self.running[record.jobid] = time.monotonic()  # type: ignore[attr-defined]
        elif event == LogEvent.JOB_FINISHED:
            self._finish(record.job_id)  # type: ignore[attr-defined]
        elif not _is_hidden(record, event):
            self._write("")
            self.snakemake.handle(record)
        self._draw()

    def _finish(self, number: int) -> None:
        """Note the time of a job and show a line about it."""
        seconds = time.monotonic() - self.running.pop(number, time.monotonic())
        job = next((job for job in self.estimate.jobs if job.id == number), None)
        if job is None:  # a target, without a command
            return
        self.estimate.measured[number] = seconds
        done, total = len(self.estimate.measured), len(self.estimate.jobs)
        count = f"[{done:>{len(str(total))}}/{total}]"
        text = f"{count} {job.name}: {format_time(seconds)}"
        self._write(f"{text}\n" if self.is_live else f"{text} ({self._times()})\n")

    def _times(self) -> str:
        """Return the time that has passed, and the time that is left."""
        now = time.monotonic()
        elapsed = {number: now - start for number, start in self.running.items()}
        left = format_estimate(self.estimate.time_left(elapsed))
        return f"{format_time(now - self.began)} elapsed, time left: {left}"

    def _draw(self) -> None:
        """Show the live line: stage, what its longest job says, jobs done, and times."""
        if not self.is_live or not self.running or self._stop.is_set():
            return
        jobs = {job.id: job for job in self.estimate.jobs}
        current = next((jobs[number] for number in self.running if number in jobs), None)
        if current is None:
            return
        measured = self.estimate.measured
        own = [job for job in self.estimate.jobs if job.stage == current.stage]
        count = f"{sum(job.id in measured for job in own)}/{len(own)}"
        head = f"{current.stage} {count}, all {len(measured)}/{len(jobs)}, {self._times()}"
        with suppress(OSError):
            width = os.get_terminal_size(self.stream.fileno()).columns
            head = f"{head} | {current.name}: {last_line(self.root / current.log)}"[: width - 1]
        self.stream.write(f"\r\033[K{head}")
        self.stream.flush()
        self.line = head

    def _write(self, text: str) -> None:
        """Write text in place of the live line."""
        self.stream.write(("\r\033[K" if self.line else "") + text)
        self.stream.flush()
        self.line = ""

    def _tick(self) -> None:
        """Draw the live line every second."""
        while not self._stop.wait(1.0):
            with self.lock or threading.RLock():
                self._draw()


def _is_hidden(record: logging.LogRecord, event: Any) -> bool:
    if record.levelno >= logging.WARNING:
        return False
    return event in HIDDEN_EVENTS or str(record.msg).startswith(HIDDEN_MESSAGES)


def format_plan(estimate: Estimate) -> str:
    """Return a table of the jobs and the expected time of each stage, and where times are from."""
    lines = [f"  {'stage':<12}{'jobs':>6}  time"]
    for stage, seconds in estimate.seconds_by_stage({}).items():
        count = sum(job.stage == stage for job in estimate.jobs)
        lines.append(f"  {stage:<12}{count:>6}  {format_estimate(seconds)}")
    total = format_estimate(estimate.time_left({}))
    lines.append(f"  {'total':<12}{len(estimate.jobs):>6}  {total}")
    sources = {job.source for job in estimate.jobs}
    known = [words for name, words in SOURCES.items() if name in sources]
    if known:
        lines.append(f"Times: {'; '.join(known)}.")
    if "unknown" in sources:
        lines.append("Unknown times: no such job has run here. They follow as jobs finish.")
    return "\n".join(lines)


def format_estimate(left: TimeLeft) -> str:
    """Format an expected time, which is a lower bound where some jobs are unknown."""
    if not left.is_complete:
        return f"at least {format_time(left.seconds)}" if left.seconds >= 1 else "unknown"
    return f"about {format_time(left.seconds)}"


def format_time(seconds: float) -> str:
    """Format a duration with two units at most, as "1 h 5 min", "3 min 20 s" or "12 s"."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60} s"
    return f"{total // 3600} h {total % 3600 // 60} min"


def last_line(path: Path) -> str:
    """Return the last line of a job's log, of which progress bars rewrite the end."""
    try:
        with path.open("rb") as file:
            file.seek(max(path.stat().st_size - TAIL, 0))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n")]
    return next((line for line in reversed(lines) if line), "")
