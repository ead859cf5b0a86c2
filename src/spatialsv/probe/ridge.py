"""Ridge regression in closed form, from sums of products that one pass over the rows gives.

Rows are [x, 1, y]: D inputs, a one, M outputs. The sums of their products say all that a linear
probe and its squared error depend on, so other rows to learn from, or to choose the penalty on,
cost no other pass. The last F inputs are free: a penalty holds back only what the others add to
them. Shapes: R rows, D inputs, M outputs, K = D + 1 + M, L penalties.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

PENALTIES = tuple(10.0**power for power in range(-5, 5))  # per row, inputs of deviation 1
LEAST = 1e-6  # of an input's mean square: what varies by less is rounding


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over rows of their products."""

    products: Float[Tensor, "K K"]  # float64
    inputs: int  # D

    @classmethod
    def of(cls, x: Float[Tensor, "R D"], y: Float[Tensor, "R M"]) -> Sums:
        rows = torch.cat([x, torch.ones_like(x[:, :1]), y], dim=1)
        return cls((rows.T @ rows).double(), x.shape[1])

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.products + other.products, self.inputs)

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.products - other.products, self.inputs)

    @property
    def count(self) -> float:
        return float(self.products[self.inputs, self.inputs])

    @property
    def mean(self) -> Float[Tensor, " K"]:
        return self.products[self.inputs] / self.count

    @property
    def covariance(self) -> Float[Tensor, "K K"]:
        return self.products / self.count - torch.outer(self.mean, self.mean)

    @property
    def deviation(self) -> Float[Tensor, " D"]:
        """Of the inputs; of one that does not vary, its size, so that it counts for nothing."""
        variance, square = (
            x.diagonal()[: self.inputs] for x in (self.covariance, self.products / self.count)
        )
        size = torch.where(variance > LEAST * square, variance, square).sqrt()
        return torch.where(size > 0, size, 1)


@dataclass(frozen=True, eq=False)
class Linear:
    """y = weight^T x + bias."""

    weight: Float[Tensor, "D M"]
    bias: Float[Tensor, " M"]

    def __call__(self, x: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead M"]:
        return x @ self.weight.to(x) + self.bias.to(x)


def fit_ridge(
    learnt: Sums, chosen_on: Sums, tasks: Mapping[str, slice], free: int = 0
) -> tuple[Linear, dict[str, float]]:
    """The probe of the rows `learnt`, each task with the penalty that does best on other rows.

    Inputs are brought to deviation 1 first; biases and free inputs are not penalised.

    Args:
        tasks: which outputs share a penalty.
        free: F.

    Returns: the probe, and the share of each task's variance in the other rows that it leaves.

    Raises:
        ValueError: no rows to learn from, or to choose on.
    """
    if min(learnt.count, chosen_on.count) < 1:
        raise ValueError("no cells of known depth to train linear probes on, or to choose one by")
    path = ridge_path(learnt, free)
    errors = torch.stack([squared_errors(probe, chosen_on) for probe in path])  # (L, M)
    spread = chosen_on.covariance.diagonal()[learnt.inputs + 1 :]
    weight, bias, left = path[0].weight.clone(), path[0].bias.clone(), {}
    for task, outputs in tasks.items():
        total = errors[:, outputs].sum(dim=1)
        best = int(total.argmin())
        weight[:, outputs] = path[best].weight[:, outputs]
        bias[outputs] = path[best].bias[outputs]
        left[task] = float(total[best] / spread[outputs].sum())
    return Linear(weight, bias), left


def ridge_path(sums: Sums, free: int = 0) -> list[Linear]:
    """The probe under each of PENALTIES."""
    d = sums.inputs
    mean, scale = sums.mean, sums.deviation
    scaled = torch.cat([scale, torch.ones_like(mean[d:])])
    covariance = sums.covariance / torch.outer(scaled, scaled)
    held, loose, outputs = slice(0, d - free), slice(d - free, d), slice(d + 1, None)
    # What the free inputs explain, of the others and of the outputs, is taken from both.
    explain = torch.linalg.pinv(covariance[loose, loose], rtol=LEAST, hermitian=True)
    by_free = explain @ covariance[loose]  # (F, K)
    left = covariance - covariance[:, loose] @ by_free
    values, vectors = torch.linalg.eigh(left[held, held])
    turned = vectors.T @ left[held, outputs]
    probes = []
    for penalty in PENALTIES:
        weight = vectors @ (turned / (values.clamp_min(0) + penalty)[:, None])
        freed = by_free[:, outputs] - by_free[:, held] @ weight
        weight = torch.cat([weight, freed]) / scale[:, None]
        probes.append(Linear(weight, mean[outputs] - mean[:d] @ weight))
    return probes


def squared_errors(probe: Linear, sums: Sums) -> Float[Tensor, " M"]:
    """The mean squared error of each output over the rows of `sums`."""
    identity = torch.eye(len(probe.bias), dtype=probe.bias.dtype, device=probe.bias.device)
    residual = torch.cat([probe.weight, probe.bias[None], -identity])  # (K, M)
    return (residual * (sums.products @ residual)).sum(dim=0) / sums.count
