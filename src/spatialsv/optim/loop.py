"""The training loop of every stage: it resumes exactly, on one process or on several.

One optimiser step is `accumulation` forward passes in each process. An `Objective` prepares their
batches and computes their losses; each loss is this pass's part of the step's, so gradients and
logged values are sums over passes and processes. Parts of a model are clipped separately. All
processes stop where one meets a value that is not finite.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from spatialsv.io.atomic import write_json
from spatialsv.optim.checkpoint import (
    last_checkpoint,
    load_checkpoint,
    save_checkpoint,
    set_random_state,
)
from spatialsv.optim.distributed import (
    full_tensor,
    gather,
    process_count,
    rank,
    sum_over_processes,
)
from spatialsv.optim.log import Line, Logger
from spatialsv.optim.schedule import Schedule

B = TypeVar("B")  # a batch
Counts = dict[str, Tensor]  # by loss, (K,) integers for its K means

NOT_FINITE = "not_finite.json"  # in the work directory: where a run met such a value


class Objective(ABC, Generic[B]):
    """What a run minimises."""

    @abstractmethod
    def batches(self, step: int) -> Iterator[B]:
        """Return this process's batches from optimiser step `step` on."""

    @abstractmethod
    def losses(
        self, model: nn.Module, batch: B, counts: Counts | None, step: int
    ) -> dict[str, Tensor]:
        """Return the losses of one forward pass by name, with "total", which is minimised.

        Args:
            model: to be called for the forward pass.
            batch: one of `batches`.
            counts: `counts` summed over all passes of the step; None for its only pass.
            step: the number of steps taken before.
        """

    def counts(self, batch: B) -> Counts:
        """Return how many values the means of each loss run over, for steps of several passes."""
        raise NotImplementedError

    def sample_ids(self, batch: B) -> Sequence[str]:
        """Return the names of the samples, for messages."""
        return ()

    def finish_gradients(self) -> None:
        """Change the gradients of the full step, before they are clipped."""

    def finish_step(self, values: Mapping[str, float]) -> dict[str, float]:
        """Take note of the step's losses, and return more values to log."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return what the objective has learned, as JSON values."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""


class Loop(Generic[B]):
    """Trains `model` until `steps`, from the last checkpoint in `folder` if there is one.

    Args:
        model: on its device, sharded or not.
        objective: batches and losses.
        optimisers: of all parameters that are trained; groups have their peak rates.
        schedule: the factor on all rates, by step.
        steps: optimiser steps of the run.
        folder: the work directory, for checkpoints.
        save_steps: steps between two checkpoints.
        max_grad_norm: the largest norm of each part's gradient.
        parts: parameters by part; None: all are one. The first one's norm is logged.
        accumulation: forward passes a step, in each process.
        loggers: called in the first process.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective[B],
        optimisers: Sequence[Optimizer],
        schedule: Schedule,
        *,
        steps: int,
        folder: Path,
        save_steps: int,
        max_grad_norm: float,
        parts: Mapping[str, list[nn.Parameter]] | None = None,
        accumulation: int = 1,
        loggers: Sequence[Logger] = (),
    ) -> None:
        self.model, self.objective, self.optimisers = model, objective, optimisers
        self.schedule, self.steps, self.folder = schedule, steps, folder
        self.save_steps, self.max_grad_norm = save_steps, max_grad_norm
        self.parts = parts or {"model": list(model.parameters())}
        self.accumulation, self.loggers = accumulation, loggers if rank() == 0 else ()
        self.step, self.seconds = 0, 0.0  # steps taken, and time for them over all runs
        copies = process_count() > 1 and not isinstance(model, FSDPModule)
        self.module = DistributedDataParallel(model) if copies else model
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["peak"] = group["lr"]

    def run(self) -> None:
        """Train, with a line to each logger a step."""
        batches = self._resume()
        for logger in self.loggers:
            logger.start(self.step, self.steps)
        self.module.train()
        began = time.monotonic() - self.seconds
        while self.step < self.steps:
            line = self.train_step(list(islice(batches, self.accumulation)))
            self.step += 1
            for logger in self.loggers:
                logger.write({"step": self.step} | line)
            self.seconds = time.monotonic() - began
            if self.step % self.save_steps == 0 or self.step == self.steps:
                self._save()
        for logger in self.loggers:
            logger.close()

    def train_step(self, passes: Sequence[B]) -> Line:
        """Take one optimiser step over `passes`, and return the values to log."""
        counts = None
        if len(passes) * process_count() > 1:
            counts = _sum_counts([self.objective.counts(batch) for batch in passes])
        sums: dict[str, Tensor] = {}
        for number, batch in enumerate(passes, start=1):
            values = self.objective.losses(self.module, batch, counts, self.step)
            self._stop_unless_finite(values, passes[:number])
            with self._deferred_sync(last=number == len(passes)):
                # Processes' gradients are averaged, and are to be summed.
                (values["total"] * process_count()).backward()
            for name, value in values.items():
                sums[name] = sums.get(name, 0) + value.detach()
        self.objective.finish_gradients()
        rate = self.set_rates()
        norm = self.clip_gradients(passes)
        for optimiser in self.optimisers:
            optimiser.step()
        self.module.zero_grad()
        totals = _sum_named(sums)
        line: Line = {
            "loss": totals.pop("total"),
            "grad_norm": norm.item(),
            "learning_rate": rate,
        }
        return line | totals | self.objective.finish_step(totals)

    def set_rates(self) -> float:
        """Set each group's learning rate for this step, and return the first one's."""
        factor = self.schedule(self.step)
        groups = [group for optimiser in self.optimisers for group in optimiser.param_groups]
        for group in groups:
            group["lr"] = group["peak"] * factor
        return groups[0]["lr"]

    def clip_gradients(self, passes: Sequence[B]) -> Tensor:
        """Clip each part's gradient separately.

        The heads' own gradients are many times larger. Clipped in one norm with them, the text's
        step would shrink whenever the heads' grows, which would make arms differ.

        Returns:
            The norm of the first part's gradient before clipping.
        """
        norms = {
            f"gradient, {part}": full_tensor(
                nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
            )
            for part, parameters in self.parts.items()
            if parameters
        }
        self._stop_unless_finite(norms, passes)
        return next(iter(norms.values()))

    def _deferred_sync(self, last: bool) -> AbstractContextManager[Any]:
        """Let copies add up their gradients in the last pass only.

        Those of a sharded model are added up in each: full ones would not fit.

        Returns:
            The context of a backward pass.
        """
        if last or not isinstance(self.module, DistributedDataParallel):
            return nullcontext()
        return self.module.no_sync()

    def _stop_unless_finite(self, values: Mapping[str, Tensor], passes: Sequence[B]) -> None:
        """Stop all processes before weights are spoilt, and write down the samples.

        Raises:
            FloatingPointError: one of `values` is not finite, here or in another process.
        """
        numbers = torch.stack([value.detach().float() for value in values.values()])
        bad = sum_over_processes((~numbers.isfinite()).any().int())
        if not bad:
            return
        own = {name: str(v) for name, v in zip(values, numbers.tolist(), strict=True)}
        ids = [name for batch in passes for name in self.objective.sample_ids(batch)]
        reports = [one for one in gather(None if numbers.isfinite().all() else (own, ids)) if one]
        first, path = reports[0][0], self.folder / NOT_FINITE
        if rank() == 0:
            questions = [name for _, names in reports for name in names]
            write_json(path, {"step": self.step + 1, "values": first, "questions": questions})
        raise FloatingPointError(
            f"step {self.step + 1}: {first}; {path} lists the samples of this step. Lower the"
            " learning rates, or check these scenes' labels."
        )

    def _resume(self) -> Iterator[B]:
        """Load the last checkpoint, if any, and return the batches that follow."""
        if (path := last_checkpoint(self.folder)) is None:
            return self.objective.batches(0)
        notes, random = load_checkpoint(path, self.model, self.optimisers)
        self.step, self.seconds = notes["step"], notes["seconds"]
        self.objective.load_state(notes["objective"])
        batches = self.objective.batches(self.step)  # may draw a random number, as at the start
        set_random_state(random)
        return batches

    def _save(self) -> None:
        notes = {"step": self.step, "seconds": self.seconds, "objective": self.objective.state()}
        save_checkpoint(self.folder, self.model, self.optimisers, notes)


def _sum_counts(passes: Sequence[Counts]) -> Counts:
    """Return the sums over passes and processes."""
    sizes = [len(counts) for counts in passes[0].values()]
    flat = torch.stack([torch.cat(list(one.values())) for one in passes]).sum(dim=0)
    return dict(zip(passes[0], sum_over_processes(flat).split(sizes), strict=True))


def _sum_named(values: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the sums over processes; a name that a process lacks counts 0 there."""
    every = gather({name: float(value) for name, value in values.items()})
    names = dict.fromkeys(name for one in every for name in one)
    return {name: sum(one.get(name, 0.0) for one in every) for name in names}
