"""Every step's losses: in a JSON-lines file, on the terminal, and in TensorBoard if wanted."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from pathlib import Path

from tqdm import tqdm

from spatialsv.io.atomic import write_text
from spatialsv.io.text import parse_json
from spatialsv.progress import progress

TENSORBOARD = "TENSORBOARD_LOGGING_DIR"  # the variable that transformers reads for its own

Line = dict[str, float | int]  # "step", "loss", and each term by name


class Logger(ABC):
    """Receives the values of each step, in the first process."""

    @abstractmethod
    def start(self, step: int, steps: int) -> None:
        """Begin, or resume, after `step` of `steps`."""

    @abstractmethod
    def write(self, line: Line) -> None:
        """Record one step."""

    @abstractmethod
    def close(self) -> None:
        """End the run."""


class StepLog(Logger):
    """Appends one line a step to `path`; after a resume, lines of repeated steps are dropped.

    The file has no times in it, so that equal runs leave equal files.

    Args:
        path: the JSON-lines file.
        label: of the progress bar.
        every: steps between two lines on the terminal.
    """

    def __init__(self, path: Path, label: str, every: int) -> None:
        self.path, self.label, self.every = path, label, every
        self.steps = 0
        self.bar: tqdm[int] | None = None

    def start(self, step: int, steps: int) -> None:
        """Drop the lines after `step`, and show a progress bar."""
        kept = [line for line in read_log(self.path) if line["step"] <= step]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self.steps = steps
        self.bar = progress(range(steps), self.label)
        self.bar.update(step)
        if step:
            self.bar.write(f"step {step}/{steps}  resumed from a checkpoint", file=self.bar.fp)

    def write(self, line: Line) -> None:
        """Append `line`; write every `every`-th and the last one to the terminal."""
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self.bar is not None:
            self.bar.update(1)
            if line["step"] % self.every == 0 or line["step"] == self.steps:
                terms = "  ".join(f"{k} {v:.4g}" for k, v in line.items() if k != "step")
                self.bar.write(f"step {line['step']}/{self.steps}  {terms}", file=self.bar.fp)

    def close(self) -> None:
        """Close the progress bar."""
        if self.bar is not None:
            self.bar.close()


class TensorBoardLog(Logger):
    """The same numbers as events in `folder`; a resumed run's steps replace the lost ones.

    Raises:
        ValueError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ValueError(
                f"{TENSORBOARD} is set, but TensorBoard is not installed: pip install"
                " 'spatialsv[tensorboard]', or unset it"
            ) from None
        self.folder, self.make_writer = folder, SummaryWriter

    def start(self, step: int, steps: int) -> None:
        """Open the event file."""
        self.writer = self.make_writer(str(self.folder), purge_step=step + 1)

    def write(self, line: Line) -> None:
        """Write the step's values as scalars."""
        for name, value in line.items():
            if name != "step":
                self.writer.add_scalar(name, value, int(line["step"]))

    def close(self) -> None:
        """Close the event file."""
        self.writer.close()


def make_loggers(path: Path, label: str, every: int, events: Path) -> list[Logger]:
    """Return the loggers of a run.

    Args:
        path: the JSON-lines file, which is always written.
        label: of the progress bar.
        every: steps between two lines on the terminal.
        events: where to write below the folder of the variable TENSORBOARD_LOGGING_DIR, if set.
    """
    loggers: list[Logger] = [StepLog(path, label, every)]
    if folder := os.environ.get(TENSORBOARD):
        loggers.append(TensorBoardLog(Path(folder) / events))
    return loggers


def read_log(path: Path) -> list[Line]:
    """Return the steps written so far, without a last line that a kill left incomplete."""
    if not path.is_file():
        return []
    *lines, _ = path.read_text().split("\n")
    return [parse_json(text, path, number) for number, text in enumerate(lines, start=1)]


def mean_of_last(lines: list[Line], fraction: float = 0.1) -> dict[str, float]:
    """Return each term's mean over the last `fraction` of the steps, where it was logged."""
    last = lines[-max(1, round(len(lines) * fraction)) :]
    names = {name for line in last for name in line} - {"step", "learning_rate"}
    values = {name: [line[name] for line in last if name in line] for name in sorted(names)}
    return {name: sum(found) / len(found) for name, found in values.items()}
