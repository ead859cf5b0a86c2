"""One arm's training step: forward, losses, backward, clipping and the optimiser."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import torch
from torch.nn.utils import clip_grad_norm_
from torch.utils.flop_counter import FlopCounterMode
from transformers import set_seed

from common.setups import Setup
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.samples.batch import Batch
from spatialsv.train.arm import ARMS, ArmConfig
from spatialsv.train.config import TrainConfig
from spatialsv.train.objective import arm_losses
from spatialsv.train.parameters import freeze, parameter_groups, precision_of
from spatialsv.train.routing import make_router
from spatialsv.train.stage import make_heads

ROWS = {  # label -> arm, and whether the teacher runs in each step
    "text": (ARMS["text"], False),
    "text + distillation, stored features": (ARMS["distill"], False),
    "text + distillation, teacher in each step": (ARMS["distill"], True),
    "text + relations, stored features": (ArmConfig(relation=-1), False),
    "SpatialSV": (ARMS["spatialsv"], False),
    "SpatialSV, PCGrad": (replace(ARMS["spatialsv"], pcgrad=True), False),
}


class Side:
    """One arm's training step. The MLLM and its optimiser are shared."""

    def __init__(self, setup: Setup, row: str, optimiser: torch.optim.Optimizer) -> None:
        self.arm, self.runs_teacher = ROWS[row]
        self.setup, self.optimisers = setup, [optimiser]
        channels = SimpleNamespace(feature_channels=setup.channels)
        heads = make_heads(self.arm, setup.config, channels, setup.mllm, setup.family)
        self.model = SpatialSV(setup.mllm, setup.family, heads).to(setup.device).train()
        self.router = make_router(self.model, self.arm)
        if heads is not None and list(heads.parameters()):  # relations have none
            self.optimisers.append(adamw(self.model, setup.config, "heads"))

    def step(self) -> None:
        """Run one training step."""
        config, batch = self.setup.config, self.batch()
        with autocast(self.setup):
            output = self.model(batch)
            total = arm_losses(output, batch, self.arm, config, router=self.router)["total"]
        total.backward()
        if self.router:
            self.router.combine()
        for optimiser in self.optimisers:
            trained = [p for group in optimiser.param_groups for p in group["params"]]
            clip_grad_norm_(trained, config.max_grad_norm)
            optimiser.step()
            optimiser.zero_grad()

    def batch(self) -> Batch:
        """Return the batch, with the teacher's features computed now if it runs in the step."""
        batch, setup = self.setup.batch, self.setup
        if not self.runs_teacher:
            return batch
        with torch.no_grad():  # in batches as in the stage `labels`
            parts = setup.pixels.split(setup.teacher.batch_size)
            features = torch.cat([setup.teacher.network(part).features for part in parts])
        return replace(batch, geometry=replace(batch.geometry, features=features))

    def flops(self) -> int:
        """Return a step's FLOPs in matrix products and convolutions, without recomputation.

        The backward pass costs twice the forward pass, except through the frozen encoder.

        Returns:
            The number of floating-point operations.
        """
        with FlopCounterMode(display=False) as counter, torch.no_grad(), autocast(self.setup):
            self.model(self.setup.batch)
        counts = counter.get_flop_counts()
        encoder = f"SpatialSV.mllm.{self.setup.family.vision[0].rstrip('.')}"
        return 3 * sum(counts["Global"].values()) - 2 * sum(counts[encoder].values())


def autocast(setup: Setup) -> torch.autocast:
    """Return the autocast context of the settings."""
    bf16 = precision_of(setup.config) == "bf16"
    return torch.autocast(setup.device, torch.bfloat16, enabled=bf16)


def adamw(model: SpatialSV, config: TrainConfig, *parts: str) -> torch.optim.Optimizer:
    """Return the trainer's optimiser for these parts."""
    groups = parameter_groups(model, config)
    return torch.optim.AdamW([g for g in groups if g["name"].split(" (")[0] in parts])


def sides_of(setup: Setup, rows: list[str]) -> dict[str, Side]:
    """Return the sides of these rows."""
    set_seed(0)
    plain = SpatialSV(setup.mllm, setup.family)
    freeze(plain, setup.config)
    if setup.config.gradient_checkpointing:
        setup.mllm.activation_checkpointing_enable()
    shared = adamw(plain, setup.config, "llm", "projector")
    return {row: Side(setup, row, shared) for row in rows}


def clock(device: str) -> float:
    """Return wall-clock seconds on a GPU, and processor seconds of this process on a CPU."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def seconds(side: Side) -> float:
    """Run one step and return its time in seconds."""
    start = clock(side.setup.device)
    side.step()
    return clock(side.setup.device) - start
