"""Learning rates as a factor on each parameter group's peak rate: warm-up, then decay."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Schedule = Callable[[int], float]  # optimiser step, from 0 -> factor
Decay = Literal["cosine", "linear", "constant_with_warmup"]


@dataclass(frozen=True, kw_only=True)
class WarmupDecay:
    """Linear warm-up, then a decay over the remaining steps."""

    steps: int  # of the run
    warmup: int  # steps
    decay: Decay = "cosine"
    floor: float = 0.0  # the cosine's factor at the last step
    first: int = 0  # 1: the first step has a rate already, 1 / warmup of the peak

    def __call__(self, step: int) -> float:
        """Return the factor at `step`."""
        if step < self.warmup:
            return (step + self.first) / self.warmup
        if self.decay == "constant_with_warmup":
            return 1.0
        rest = max(self.steps - self.warmup, 1)
        if self.decay == "linear":
            return max(0.0, (self.steps - step) / rest)
        done = min((step - self.warmup) / rest, 1.0)
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done))
