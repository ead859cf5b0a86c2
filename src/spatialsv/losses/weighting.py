"""Weights of the signals that adapt while training goes on, beyond the paper, whose are all 1.

Both rules were made for losses that are never negative; confidence terms and minus a cosine may be.
So they go by each signal's error instead (`errors_of`), and weigh all terms of the signal alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, fsum, log
from typing import Literal

from spatialsv.losses.total import signal_of

State = dict[str, dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class WeightingConfig:
    """Which rule, and how fast weights follow it."""

    by: Literal["uncertainty", "gradient_norm"]
    rate: float = 0.1  # of a weight's logarithm, each time it is set
    alpha: float = 1.5  # gradient_norm: how much signals that learn slowly are favoured
    every: int = 10  # gradient_norm: steps between two measurements of gradients

    def __post_init__(self) -> None:
        for name in ("rate", "every"):
            if getattr(self, name) <= 0:
                found = getattr(self, name)
                raise ValueError(f"train.weighting.{name}: expected more than 0, found {found}")


def errors_of(terms: Mapping[str, float]) -> dict[str, float]:
    """Each signal's error by name, never negative: cross-entropy, 1 - cosine, or the L2 term.

    A signal that nothing taught in this step, whose terms are exactly 0, is left out.
    """
    errors = {}
    for name, value in terms.items():
        if value and (name in ("text", "distill") or name.endswith("/l2")):
            errors[signal_of(name)] = value + 1 if name == "distill" else value
    return errors


class Uncertainty:
    """exp(-s) of each signal, with s learnt by descent on error exp(-s) + s (arXiv 1705.07115).

    That is the negative log-likelihood of errors with a Laplace scale e^s: in the end a signal's
    weight is 1 over its error.
    """

    def __init__(self, config: WeightingConfig) -> None:
        self.rate = config.rate
        self.state: State = {"scale": {}}  # s by signal

    @property
    def weights(self) -> dict[str, float]:
        """By signal; those not seen yet weigh 1."""
        return {signal: exp(-scale) for signal, scale in self.state["scale"].items()}

    def update(self, errors: Mapping[str, float], norms: Mapping[str, float]) -> None:
        """Take one step, given this step's errors."""
        scales = self.state["scale"]
        for signal, error in errors.items():
            scale = scales.get(signal, 0.0)
            scales[signal] = scale - self.rate * (1 - error * exp(-scale))


class GradientNorm:
    """Weights under which signals pull alike, more so the slower they learn (arXiv 1711.02257).

    Wanted is w ||g|| = mean(w ||g||) r^alpha, where r is a signal's error over its first one,
    relative to the others'. Weights go there in steps of their logarithm, which keeps them
    positive, and add up to the number of signals.
    """

    def __init__(self, config: WeightingConfig) -> None:
        self.rate, self.alpha = config.rate, config.alpha
        self.state: State = {"weight": {}, "first": {}}

    @property
    def weights(self) -> dict[str, float]:
        """By signal; those not seen yet weigh 1."""
        return dict(self.state["weight"])

    def update(self, errors: Mapping[str, float], norms: Mapping[str, float]) -> None:
        """Take one step, given this step's errors and norms of the unweighted gradients."""
        weights, first = self.state["weight"], self.state["first"]
        known = [signal for signal in errors if norms.get(signal)]
        if not known:
            return
        pulls = {signal: weights.get(signal, 1.0) * norms[signal] for signal in known}
        left = {
            signal: errors[signal] / first.setdefault(signal, errors[signal]) for signal in known
        }
        mean_pull, mean_left = _mean(pulls), _mean(left)
        for signal in known:
            wanted = mean_pull * (left[signal] / mean_left) ** self.alpha
            step = self.rate * log(wanted / pulls[signal])
            weights[signal] = weights.get(signal, 1.0) * exp(step)
        scale = 1 / _mean(weights)
        weights.update({signal: weight * scale for signal, weight in weights.items()})


def _mean(values: Mapping[str, float]) -> float:
    return fsum(values.values()) / len(values)  # the same in whatever order they come


Weighting = Uncertainty | GradientNorm
RULES: dict[str, type[Weighting]] = {"uncertainty": Uncertainty, "gradient_norm": GradientNorm}
