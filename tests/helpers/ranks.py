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

from spatialsv.config import from_mapping
from spatialsv.optim import loop
from spatialsv.optim.loop import Loop
from spatialsv.samples.chat import IGNORED
from spatialsv.samples.collate import Collate
from spatialsv.train import TrainConfig, run
from spatialsv.train.objective import arm_losses

RANK = int(os.environ.get("RANK", 0))
collate = Collate.__call__
clip, train, train_step = Loop.clip_gradients, Loop.run, Loop.train_step


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


def killed(self: Loop, passes: list) -> Any:
    """Dies, in every process, at the end of the second step."""
    line = train_step(self, passes)
    if self.step == 1:
        raise KilledError
    return line


PATCHES = {
    None: mock.patch.dict({}),
    "stripped": mock.patch.object(Collate, "__call__", stripped),
    "spoilt": mock.patch("spatialsv.train.objective.arm_losses", spoilt),
    "killed": mock.patch.object(Loop, "train_step", killed),
}


def observed(record: Callable[[str, Any], None], out: Path) -> dict[str, Callable]:
    """Methods of the loop that also record what they see."""

    def watched_run(self: Loop) -> Any:
        path = loop.last_checkpoint(self.folder)
        record("from", path and path.name)
        own = [getattr(p, "_local_tensor", p).numel() for p in self.model.parameters()]
        record("held", sum(own))
        return train(self)

    def watched_clip(self: Loop, passes: list) -> Any:
        weighting = self.objective.weighting
        record("weights", weighting and weighting.weights)
        if self.step == 0:
            found = {n: p.grad for n, p in self.model.named_parameters() if p.grad is not None}
            whole = {n: getattr(g, "full_tensor", g.clone)() for n, g in found.items()}
            if RANK == 0:
                save_file(whole, out / "gradients")
        return clip(self, passes)

    return {"run": watched_run, "clip_gradients": watched_clip}


def work(jobs: list[dict[str, Any]]) -> None:
    """Train what each job says, as one of the processes."""
    for job in jobs:
        out, seen = Path(job["out"]), {}
        inputs = [[Path(path) for path in job[key]] for key in ("scenes", "labels", "pseudo")]
        config = from_mapping(TrainConfig, job["config"], "train")
        watched = mock.patch.multiple(Loop, **observed(seen.__setitem__, out))
        with PATCHES[job["patch"]], watched:
            try:
                run(job["arm"], 0, *inputs, config, out / "manifest.json", base=job["base"])
            except (KilledError, FloatingPointError) as error:
                seen["met"] = repr(error)
        (out / f"rank-{RANK}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    torch.set_num_threads(1)
    work(json.loads(Path(sys.argv[1]).read_text()))
