"""What each of several processes does in tests/train/test_distributed.py: job after job.

`torchrun ... ranks.py FILE`; the file says which jobs, as JSON. A job leaves what training leaves,
the first step's gradients, and from each process what it went on from, held and met.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from safetensors.torch import save_file
from torch import nn

from spatialsv.config import from_mapping
from spatialsv.samples.chat import IGNORED
from spatialsv.samples.collate import Collate
from spatialsv.train import TrainConfig, run
from spatialsv.train.loss import arm_losses
from spatialsv.train.trainer import SpatialTrainer

RANK = int(os.environ.get("RANK", 0))
collate, log = Collate.__call__, SpatialTrainer.log
clip, train = SpatialTrainer._clip_grad_norm, SpatialTrainer.train


class KilledError(Exception):
    """Stands for a kill."""


def stripped(self: Collate, samples: list) -> Any:
    """Samples have text, or geometry, never both."""
    asks = [bool((sample.tokens.labels != IGNORED).any()) for sample in samples]
    pairs = zip(samples, asks, strict=True)
    return collate(self, [replace(s, target=None) if asked else s for s, asked in pairs])


def spoilt(*args: Any) -> dict[str, torch.Tensor]:
    """Losses that are not finite in the second process alone."""
    terms = arm_losses(*args)
    return terms | {"total": terms["total"] * float("nan")} if RANK == 1 else terms


def killed(self: SpatialTrainer, *args: Any) -> None:
    """Dies, in every process, when the second step is logged."""
    log(self, *args)
    if self.state.global_step == 2:
        raise KilledError


PATCHES = {
    None: mock.patch.dict({}),
    "stripped": mock.patch.object(Collate, "__call__", stripped),
    "spoilt": mock.patch("spatialsv.train.trainer.arm_losses", spoilt),
    "killed": mock.patch.object(SpatialTrainer, "log", killed),
}


def observed(told: Callable[[str, Any], None], out: Path) -> dict[str, Callable]:
    """Methods of the trainer that tell what they see as well."""

    def watched_train(self: SpatialTrainer, resume_from_checkpoint: str | None) -> Any:
        told("from", resume_from_checkpoint and Path(resume_from_checkpoint).name)
        own = [getattr(p, "_local_tensor", p).numel() for p in self.model.parameters()]
        told("held", sum(own))
        return train(self, resume_from_checkpoint=resume_from_checkpoint)

    def watched_clip(self: SpatialTrainer, model: nn.Module) -> Any:
        told("weights", self.weighting and self.weighting.weights)
        if self.state.global_step == 0:
            named = self.accelerator.unwrap_model(model).named_parameters()
            found = {n: p.grad for n, p in named if p.grad is not None}
            whole = {n: getattr(g, "full_tensor", g.clone)() for n, g in found.items()}
            if RANK == 0:
                save_file(whole, out / "gradients")
        return clip(self, model)

    return {"train": watched_train, "_clip_grad_norm": watched_clip}


def work(jobs: list[dict[str, Any]]) -> None:
    """Train what each job says, as one of the processes."""
    for job in jobs:
        out, seen = Path(job["out"]), {}
        inputs = [[Path(path) for path in job[key]] for key in ("scenes", "labels", "pseudo")]
        config = from_mapping(TrainConfig, job["config"], "train")
        watched = mock.patch.multiple(SpatialTrainer, **observed(seen.__setitem__, out))
        with PATCHES[job["patch"]], watched:
            try:
                run(job["arm"], 0, *inputs, config, out / "manifest.json", base=job["base"])
            except (KilledError, FloatingPointError) as error:
                seen["met"] = repr(error)
        (out / f"rank-{RANK}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    torch.set_num_threads(1)
    work(json.loads(Path(sys.argv[1]).read_text()))
