"""Weights of the signals that adapt during training, beyond the paper, whose are all 1.

Both rules were made for losses that are never negative; confidence terms and minus a cosine may be.
So they use each signal's error instead (`errors_of`), and weight all terms of a signal equally.
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

    by: Literal["uncertainty", "gradient_norm"]  # arXiv 1705.07115, or 1711.02257
    rate: float = 0.1  # step of a weight's logarithm
    alpha: float = 1.5  # gradient_norm: how much slow signals are favoured
    every: int = 10  # gradient_norm: steps between two measurements of gradients

    def __post_init__(self) -> None:
        for name in ("rate", "every"):
            if getattr(self, name) <= 0:
                value = getattr(self, name)
                raise ValueError(f"train.weighting.{name}: expected more than 0, found {value}.")


def errors_of(terms: Mapping[str, float]) -> dict[str, float]:
    """Return each signal's error, never negative: cross-entropy, 1 - cosine, L2, or the relation's.

    A signal without labels in this step, whose terms are exactly 0, is omitted.
    """
    errors: dict[str, float] = {}
    for name, value in terms.items():
        signal = signal_of(name)
        if value and (signal in ("text", "distill", "relation") or name.endswith("/l2")):
            errors[signal] = errors.get(signal, 0.0) + value + (signal == "distill")
    return errors


class Uncertainty:
    """exp(-s) of each signal, with s learned by descent on error exp(-s) + s (arXiv 1705.07115).

    This is the negative log-likelihood of errors with a Laplace scale e^s: a signal's weight
    converges to 1 over its error.
    """

    def __init__(self, config: WeightingConfig) -> None:
        self.rate = config.rate
        self.state: State = {"scale": {}}  # s by signal

    @property
    def weights(self) -> dict[str, float]:
        """Return the weights by signal; missing ones are 1."""
        return {signal: exp(-scale) for signal, scale in self.state["scale"].items()}

    def update(self, errors: Mapping[str, float], norms: Mapping[str, float]) -> None:
        """Take one step, given this step's errors."""
        scales = self.state["scale"]
        for signal, error in errors.items():
            scale = scales.get(signal, 0.0)
            scales[signal] = scale - self.rate * (1 - error * exp(-scale))


class GradientNorm:
    """Weights that balance the signals' gradient norms and favour slow ones (GradNorm).

    The target is w ||g|| = mean(w ||g||) r^alpha (arXiv 1711.02257), where r is a signal's error
    over its first one, relative to the others'. Weights approach it in steps of their logarithm,
    which keeps them positive, and add up to the number of signals.
    """

    def __init__(self, config: WeightingConfig) -> None:
        self.rate, self.alpha = config.rate, config.alpha
        self.state: State = {"weight": {}, "first": {}}

    @property
    def weights(self) -> dict[str, float]:
        """Return the weights by signal; missing ones are 1."""
        return dict(self.state["weight"])

    def update(self, errors: Mapping[str, float], norms: Mapping[str, float]) -> None:
        """Take one step, given this step's errors and norms of the unweighted gradients."""
        weights, first = self.state["weight"], self.state["first"]
        signals = [signal for signal in errors if norms.get(signal)]
        if not signals:
            return
        weighted = {signal: weights.get(signal, 1.0) * norms[signal] for signal in signals}
        ratios = {
            signal: errors[signal] / first.setdefault(signal, errors[signal]) for signal in signals
        }
        mean_norm, mean_ratio = _mean(weighted), _mean(ratios)
        for signal in signals:
            target = mean_norm * (ratios[signal] / mean_ratio) ** self.alpha
            step = self.rate * log(target / weighted[signal])
            weights[signal] = weights.get(signal, 1.0) * exp(step)
        scale = 1 / _mean(weights)
        weights.update({signal: weight * scale for signal, weight in weights.items()})


def _mean(values: Mapping[str, float]) -> float:
    return fsum(values.values()) / len(values)  # independent of their order


Weighting = Uncertainty | GradientNorm
RULES: dict[str, type[Weighting]] = {"uncertainty": Uncertainty, "gradient_norm": GradientNorm}
