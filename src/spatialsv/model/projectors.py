"""Projectors from the MLLM's width to the heads', and the activations of the heads' outputs."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

# Beyond e^4, or 55 units of the scene's mean distance, exponentials continue as straight lines. No
# depth or point lies there. An exponential's gradient would drive a stray output to 1e6, and a
# clamped output would have none.
LINEAR_FROM = 4.0


class Projector(nn.Sequential):
    """A LayerNorm, and two linear layers with a GELU between them.

    The norm is our addition: in the hidden states of a large LLM a few channels are thousands of
    times larger than the rest, and their scale grows from tap to tap.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.LayerNorm(inputs),
            nn.Linear(inputs, outputs),
            nn.GELU(),
            nn.Linear(outputs, outputs),
        )


def make_projectors(count: int, inputs: int, outputs: int, shared: bool) -> nn.ModuleList:
    """Return `count` projectors, or one projector `count` times (the paper's ablation)."""
    if shared:
        return nn.ModuleList([Projector(inputs, outputs)] * count)
    return nn.ModuleList(Projector(inputs, outputs) for _ in range(count))


def bounded_exp(raw: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
    """Return exp up to LINEAR_FROM, then its tangent."""
    curved = raw.clamp(max=LINEAR_FROM)
    return curved.exp() * (1 + raw - curved)


def positive(raw: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
    """Return exp, for depth: equal steps of the raw output are equal ratios of depth."""
    return bounded_exp(raw.clamp(min=-15))  # e^-15 is still above zero in every dtype


def inverse_log(raw: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
    """Return sign(x) (e^|x| - 1), for points: nearly linear at the origin, coarser far away."""
    size = raw.abs()
    near = size.clamp(max=LINEAR_FROM)
    return raw.sign() * (near.expm1() + (size - near) * near.exp())


def confidence(raw: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
    """Return 1 + e^x, which is at least 1, so that each pixel counts in a loss."""
    return 1 + bounded_exp(raw)


def in_float32(raw: Tensor) -> Tensor:
    """Return half-precision outputs in float32, whose range exponentials and losses need."""
    return raw.float() if raw.dtype in (torch.float16, torch.bfloat16) else raw
