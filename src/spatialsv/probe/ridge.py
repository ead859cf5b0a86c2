"""Ridge regression in closed form, from sums of products over rows.

Rows are [x, 1, y]: D inputs, a one, M outputs. A linear probe and its squared error depend on the
sums of their products only, so other training rows, or rows to select the penalty on, require no
other pass. The last F inputs are free: the penalty applies only to what the others add to them.
Shapes: R rows, D inputs, M outputs, K = D + 1 + M, L penalties.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

PENALTIES = tuple(10.0**power for power in range(-5, 5))  # per row, inputs of deviation 1
LEAST = 1e-6  # of an input's mean square: a smaller variance is rounding


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of the products of row entries."""

    products: Float[Tensor, "K K"]  # float64
    inputs: int  # D

    @classmethod
    def from_rows(cls, x: Float[Tensor, "R D"], y: Float[Tensor, "R M"]) -> Sums:
        """Return the sums over R rows."""
        rows = torch.cat([x, torch.ones_like(x[:, :1]), y], dim=1)
        return cls((rows.T @ rows).double(), x.shape[1])

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.products + other.products, self.inputs)

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.products - other.products, self.inputs)

    @property
    def count(self) -> float:
        """The number of rows."""
        return float(self.products[self.inputs, self.inputs])

    @property
    def mean(self) -> Float[Tensor, " K"]:
        """The mean of each entry."""
        return self.products[self.inputs] / self.count

    @property
    def covariance(self) -> Float[Tensor, "K K"]:
        """The covariance of the entries."""
        return self.products / self.count - torch.outer(self.mean, self.mean)

    @property
    def deviation(self) -> Float[Tensor, " D"]:
        """The inputs' standard deviations; the root mean square of an input without variance."""
        variance, square = (
            x.diagonal()[: self.inputs] for x in (self.covariance, self.products / self.count)
        )
        size = torch.where(variance > LEAST * square, variance, square).sqrt()
        return torch.where(size > 0, size, 1)


@dataclass(frozen=True, eq=False)
class Linear:
    """A linear map, y = weight^T x + bias."""

    weight: Float[Tensor, "D M"]
    bias: Float[Tensor, " M"]

    def __call__(self, x: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead M"]:
        """Return y for each x."""
        return x @ self.weight.to(x) + self.bias.to(x)


def fit_ridge(
    train: Sums, validation: Sums, tasks: Mapping[str, slice], free: int = 0
) -> tuple[Linear, dict[str, float]]:
    """Fit a linear probe, with the penalty for each task that is best on validation rows.

    Inputs are scaled to deviation 1 first; biases and free inputs are not penalised.

    Args:
        train: the rows to fit.
        validation: the rows that select the penalties.
        tasks: the outputs of each task, which share a penalty.
        free: F.

    Returns:
        The probe, and the share of each task's variance in the validation rows that it does not
        explain.

    Raises:
        ValueError: training or validation rows are missing.
    """
    if min(train.count, validation.count) < 1:
        raise ValueError(
            "Linear probes need cells of known depth both to train on and to select a penalty on."
        )
    path = ridge_path(train, free)
    errors = torch.stack([squared_errors(probe, validation) for probe in path])  # (L, M)
    variance = validation.covariance.diagonal()[train.inputs + 1 :]
    weight, bias = path[0].weight.clone(), path[0].bias.clone()
    unexplained: dict[str, float] = {}
    for task, outputs in tasks.items():
        total = errors[:, outputs].sum(dim=1)
        best = int(total.argmin())
        weight[:, outputs] = path[best].weight[:, outputs]
        bias[outputs] = path[best].bias[outputs]
        unexplained[task] = float(total[best] / variance[outputs].sum())
    return Linear(weight, bias), unexplained


def ridge_path(sums: Sums, free: int = 0) -> list[Linear]:
    """Return the probe for each of PENALTIES."""
    d = sums.inputs
    mean, scale = sums.mean, sums.deviation
    scaled = torch.cat([scale, torch.ones_like(mean[d:])])
    covariance = sums.covariance / torch.outer(scaled, scaled)
    penalised, unpenalised, outputs = slice(0, d - free), slice(d - free, d), slice(d + 1, None)
    # Subtract what the free inputs explain, from the other inputs and from the outputs.
    inverse = torch.linalg.pinv(covariance[unpenalised, unpenalised], rtol=LEAST, hermitian=True)
    by_free = inverse @ covariance[unpenalised]  # (F, K)
    residual = covariance - covariance[:, unpenalised] @ by_free
    values, vectors = torch.linalg.eigh(residual[penalised, penalised])
    rotated = vectors.T @ residual[penalised, outputs]
    probes = []
    for penalty in PENALTIES:
        weight = vectors @ (rotated / (values.clamp_min(0) + penalty)[:, None])
        free_weight = by_free[:, outputs] - by_free[:, penalised] @ weight
        weight = torch.cat([weight, free_weight]) / scale[:, None]
        probes.append(Linear(weight, mean[outputs] - mean[:d] @ weight))
    return probes


def squared_errors(probe: Linear, sums: Sums) -> Float[Tensor, " M"]:
    """Return the mean squared error of each output over the rows of `sums`."""
    identity = torch.eye(len(probe.bias), dtype=probe.bias.dtype, device=probe.bias.device)
    residual = torch.cat([probe.weight, probe.bias[None], -identity])  # (K, M)
    return (residual * (sums.products @ residual)).sum(dim=0) / sums.count
