"""One phase of pretraining: step s depends only on the seed and s, so a killed run resumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spatialsv.io.work_directory import open_work_directory
from spatialsv.model.mllm import has_bf16
from spatialsv.optim.checkpoint import CHECKPOINT
from spatialsv.optim.log import StepLog
from spatialsv.optim.loop import Counts, Loop, Objective
from spatialsv.optim.schedule import WarmupDecay

StepLosses = Callable[[int, np.random.Generator], dict[str, Tensor]]  # step, generator -> losses


@dataclass(frozen=True, kw_only=True)
class PhaseConfig:
    """Muon and AdamW with a warm-up and a cosine decay.

    Muon (torch 2.9 or newer) takes the matrices, whose updates it makes orthogonal: the MLLM needs
    about half the steps that it needs with only AdamW. AdamW takes embeddings, vectors and
    convolutions.
    """

    steps: int  # optimiser steps
    lr: float  # AdamW's learning rate
    lr_muon: float | None = None  # Muon's, scaled to AdamW's size of step; None: AdamW takes all
    batch_size: int = 24  # rooms a step
    warmup: int = 100  # steps
    floor: float = 0.05  # the last step's rate, as a fraction of the peak
    weight_decay: float = 0.3  # times lr; less lets the residual stream grow a hundredfold
    seed: int = 0  # of the order of rooms and of what is drawn for each
    save_steps: int = 200  # steps between two checkpoints
    log_steps: int = 20  # steps between two lines on the terminal
    bf16: bool = True  # autocast, where the device supports it; the weights stay in float32


def run_phase(
    module: nn.Module,
    step_losses: StepLosses,
    config: PhaseConfig,
    folder: Path,
    settings: dict[str, Any],
) -> float:
    """Train `module` until `config.steps`, from the last checkpoint in `folder` if there is one.

    Args:
        module: on its device.
        step_losses: returns named losses, of which "total" is minimised.
        config: how long and how fast.
        folder: for checkpoints and log.jsonl.
        settings: all that the run depends on.

    Returns:
        Seconds of training, over all runs.

    Raises:
        ValueError: `folder` has checkpoints of other settings.
    """
    open_work_directory(folder, settings, keep=f"{CHECKPOINT}*")
    device = next(module.parameters()).device
    loop = Loop(
        module,
        _SteppedObjective(step_losses, config, device),
        make_optimisers(module, config),
        WarmupDecay(steps=config.steps, warmup=config.warmup, floor=config.floor, first=1),
        steps=config.steps,
        folder=folder,
        save_steps=config.save_steps,
        max_grad_norm=1.0,
        loggers=[StepLog(folder / "log.jsonl", folder.name, config.log_steps)],
    )
    loop.run()
    return loop.seconds


class _SteppedObjective(Objective[int]):
    """Losses of a function of the step's number, which is the batch."""

    def __init__(self, step_losses: StepLosses, config: PhaseConfig, device: torch.device) -> None:
        self.step_losses, self.config, self.device = step_losses, config, device

    def batches(self, step: int) -> Iterator[int]:
        return iter(range(step, self.config.steps))

    def losses(
        self, model: nn.Module, batch: int, counts: Counts | None, step: int
    ) -> dict[str, Tensor]:
        bf16 = self.config.bf16 and has_bf16(self.device.type)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            return self.step_losses(batch, np.random.default_rng([self.config.seed, batch]))


def make_optimisers(module: nn.Module, config: PhaseConfig) -> list[torch.optim.Optimizer]:
    """Return AdamW, and with `lr_muon` Muon.

    Raises:
        RuntimeError: this torch has no Muon.
    """
    matrices: list[Tensor] = []
    if config.lr_muon is not None:
        if not hasattr(torch.optim, "Muon"):
            raise RuntimeError(f"torch {torch.__version__} has no Muon: install torch 2.9 or newer")
        linear = (part.weight for part in module.modules() if isinstance(part, nn.Linear))
        table = _embedding(module)
        matrices = [weight for weight in linear if weight.requires_grad and weight is not table]
    taken = {id(parameter) for parameter in matrices}
    rest = [p for p in module.parameters() if p.requires_grad and id(p) not in taken]
    decay = config.weight_decay
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(rest, config.lr, betas=(0.9, 0.98), weight_decay=decay)
    ]
    if matrices and config.lr_muon is not None:
        scaling = "match_rms_adamw"
        optimisers.append(
            torch.optim.Muon(matrices, config.lr_muon, adjust_lr_fn=scaling, weight_decay=decay)
        )
    return optimisers


def _embedding(module: nn.Module) -> Tensor | None:
    """Return the token embedding, which is the output layer's weight too."""
    tables = [part.weight for part in module.modules() if isinstance(part, nn.Embedding)]
    return tables[0] if tables else None


def batch_rows(step: int, count: int, batch_size: int, seed: int) -> np.ndarray:
    """Return which of `count` rooms step `step` uses: every epoch has its own permutation."""
    per_epoch = count // batch_size
    epoch, index = divmod(step, per_epoch)
    order = np.random.default_rng([seed, 1_000_003, epoch]).permutation(count)
    return order[index * batch_size : (index + 1) * batch_size]
