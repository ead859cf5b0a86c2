"""Every step's losses: in a JSON-lines file, on the terminal, and in TensorBoard if wanted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from spatialsv.io.atomic import write_text
from spatialsv.progress import progress

EVENTS = "TENSORBOARD_LOGGING_DIR"  # the variable that transformers reads for its own


class StepLog(TrainerCallback):
    """Appends one line a step to `path`; after a resume, lines that will be made anew are cut.

    The file has no times in it, so that equal runs leave equal files.
    """

    def __init__(self, path: Path, label: str, every: int) -> None:
        self.path, self.label, self.every = path, label, every
        self.bar = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        kept = [line for line in read_log(self.path) if line["step"] <= state.global_step]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self.bar = progress(range(state.max_steps), self.label)
        self.bar.update(state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float | int] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the step down."""
        if "loss" not in (logs or {}):
            return  # Trainer's summary of the run, which has times in it
        line = {"step": state.global_step} | {k: v for k, v in logs.items() if k != "epoch"}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self.bar is not None:
            self.bar.update(1)
            if state.global_step % self.every == 0 or state.global_step == state.max_steps:
                self.bar.write(_line(line, state.max_steps), file=self.bar.fp)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.bar is not None:
            self.bar.close()


class TensorBoard(TrainerCallback):
    """The same numbers as events in `folder`; a resumed run's steps take the place of lost ones.

    Raises:
        ValueError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ValueError(
                f"{EVENTS} is set, but TensorBoard is not installed: pip install"
                " 'spatialsv[tensorboard]', or unset it"
            ) from None
        self.folder, self.make_writer = folder, SummaryWriter

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.writer = self.make_writer(str(self.folder), purge_step=state.global_step + 1)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float | int] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the step down."""
        if "loss" in (logs or {}):
            for name, value in logs.items():
                self.writer.add_scalar(name, value, state.global_step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.writer.close()


def loggers(path: Path, arm: str, seed: int, every: int) -> list[TrainerCallback]:
    """What writes a run down: `path` always, TensorBoard where the environment names its folder."""
    logs: list[TrainerCallback] = [StepLog(path, f"train {arm} {seed}", every)]
    if folder := os.environ.get(EVENTS):
        logs.append(TensorBoard(Path(folder) / arm / str(seed)))
    return logs


def read_log(path: Path) -> list[dict[str, float | int]]:
    """The steps written so far; a last line cut short by a kill is left out."""
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


def mean_of_last(lines: list[dict[str, float | int]], part: float = 0.1) -> dict[str, float]:
    """Each loss term's mean over the last `part` of the steps, where it was taken."""
    last = lines[-max(1, round(len(lines) * part)) :]
    names = {name for line in last for name in line} - {"step", "learning_rate"}
    known = {name: [line[name] for line in last if name in line] for name in sorted(names)}
    return {name: sum(values) / len(values) for name, values in known.items()}


def _line(line: dict[str, float | int], steps: int) -> str:
    terms = "  ".join(f"{k} {v:.4g}" for k, v in line.items() if k != "step")
    return f"step {line['step']}/{steps}  {terms}"
