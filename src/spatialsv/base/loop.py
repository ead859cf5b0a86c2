"""A training loop that any kill leaves resumable: step s depends on the seed and s alone."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spatialsv.io.work_directory import open_work_directory
from spatialsv.model.mllm import has_bf16
from spatialsv.progress import progress

Step = Callable[[int, np.random.Generator], dict[str, Tensor]]  # step number, rng -> losses


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """One run of Muon and AdamW with a warm-up and a cosine.

    Muon (torch 2.9 has it) takes the matrices, whose steps it makes orthogonal: in about half the
    steps the MLLM is where AdamW brings it. AdamW takes embeddings, vectors and convolutions.
    """

    steps: int
    lr: float  # AdamW's
    lr_muon: float | None = None  # scaled to AdamW's size of step; None: AdamW takes all
    batch: int = 24  # rooms a step
    warmup: int = 100  # steps
    floor: float = 0.05  # of lr, at the end
    weight_decay: float = 0.3  # of lr; less lets the residual stream grow a hundredfold
    seed: int = 0
    save_every: int = 200  # steps
    log_every: int = 20  # steps
    bf16: bool = True  # autocast, where the device has it; the weights stay in float32


def learning_rate(step: int, config: LoopConfig) -> float:
    """The factor on `lr` at `step`."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    done = (step - config.warmup) / max(config.steps - config.warmup, 1)
    return config.floor + (1 - config.floor) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def run_loop(
    module: nn.Module, step_loss: Step, config: LoopConfig, folder: Path, settings: dict[str, Any]
) -> float:
    """Train `module` until `config.steps`, from the last checkpoint in `folder` if there is one.

    Args:
        step_loss: gives named losses, of which "total" is minimised; means go to `log.jsonl`.
        settings: all that the run depends on; checkpoints of other settings are not resumed.

    Returns: seconds spent over all runs.
    """
    open_work_directory(folder, settings)
    optimisers = make_optimisers(module, config)
    start, seconds = _restore(folder, module, optimisers)
    began, window = time.monotonic(), []
    device = next(module.parameters()).device
    bf16 = config.bf16 and has_bf16(device.type)
    for step in progress(range(start, config.steps), folder.name, total=config.steps - start):
        for optimiser, peak in zip(optimisers, (config.lr, config.lr_muon), strict=False):
            for group in optimiser.param_groups:
                group["lr"] = peak * learning_rate(step, config)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            losses = step_loss(step, np.random.default_rng([config.seed, step]))
        module.zero_grad()
        losses["total"].backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
        window.append({name: value.detach() for name, value in losses.items()})
        if (step + 1) % config.log_every == 0:
            means = {
                name: torch.stack([row[name] for row in window]).double().mean().item()
                for name in window[0]
            }
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps({"step": step + 1} | means) + "\n")
            window = []
        if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
            _save(folder, module, optimisers, step + 1, seconds + time.monotonic() - began)
    return seconds + time.monotonic() - began


def make_optimisers(module: nn.Module, config: LoopConfig) -> list[torch.optim.Optimizer]:
    """AdamW, and with `lr_muon` Muon.

    Raises:
        RuntimeError: this torch has no Muon.
    """
    matrices: list[nn.Parameter] = []
    if config.lr_muon is not None:
        if not hasattr(torch.optim, "Muon"):
            raise RuntimeError(f"torch {torch.__version__} has no Muon: install torch 2.9 or newer")
        linear = (part.weight for part in module.modules() if isinstance(part, nn.Linear))
        table = _embedding(module)
        matrices = [weight for weight in linear if weight.requires_grad and weight is not table]
    taken = {id(parameter) for parameter in matrices}
    rest = [p for p in module.parameters() if p.requires_grad and id(p) not in taken]
    decay = {"weight_decay": config.weight_decay}
    optimisers = [torch.optim.AdamW(rest, config.lr, betas=(0.9, 0.98), **decay)]
    if matrices:
        optimisers.append(
            torch.optim.Muon(matrices, config.lr_muon, adjust_lr_fn="match_rms_adamw", **decay)
        )
    return optimisers


def _embedding(module: nn.Module) -> nn.Parameter | None:
    """The token embedding, which is the output layer's weight too."""
    tables = [part.weight for part in module.modules() if isinstance(part, nn.Embedding)]
    return tables[0] if tables else None


def _save(folder: Path, module, optimisers, step: int, seconds: float) -> None:
    temporary = folder / f".checkpoint.{os.getpid()}"
    states = [optimiser.state_dict() for optimiser in optimisers]
    state = {"module": module.state_dict(), "optimisers": states}
    torch.save(state | {"step": step, "seconds": seconds}, temporary)
    temporary.replace(folder / "checkpoint.pt")


def _restore(folder: Path, module, optimisers) -> tuple[int, float]:
    path = folder / "checkpoint.pt"
    if not path.exists():
        (folder / "log.jsonl").unlink(missing_ok=True)
        return 0, 0.0
    state = torch.load(
        path, map_location="cpu", weights_only=True
    )  # tensors and numbers only, nothing is run
    module.load_state_dict(state["module"])
    for optimiser, kept in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(kept)
    rows = (
        (folder / "log.jsonl").read_text().splitlines() if (folder / "log.jsonl").exists() else []
    )
    kept = [row for row in rows if json.loads(row)["step"] <= state["step"]]
    (folder / "log.jsonl").write_text("".join(row + "\n" for row in kept))
    return state["step"], state["seconds"]


def accelerator() -> torch.device:
    """Where to train: on a GPU where there is one."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def batch_rows(step: int, count: int, batch: int, seed: int) -> np.ndarray:
    """Which of `count` rooms step `step` sees: every epoch is its own permutation."""
    per_epoch = count // batch
    epoch, place = divmod(step, per_epoch)
    order = np.random.default_rng([seed, 1_000_003, epoch]).permutation(count)
    return order[place * batch : (place + 1) * batch]
