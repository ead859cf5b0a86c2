"""From the MLLM's width to the heads': two-layer projectors, and what the raw outputs mean.

Shapes: B samples, N views, h w visual tokens, D the MLLM's width.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

# Beyond e^4, or 55 units of the scene's mean distance, exponentials go on as straight lines: no
# depth or point lies there, and a head that strays would be driven to 1e6 by its own gradient, or
# cut off for good where the output is clamped.
STRAIGHT_FROM = 4.0


class Projector(nn.Sequential):
    """Two linear layers with a GELU between them, after a LayerNorm.

    The norm is our addition: hidden states of a large LLM carry a few channels thousands of times
    larger than the rest, and their scale grows from tap to tap.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.LayerNorm(inputs),
            nn.Linear(inputs, outputs),
            nn.GELU(),
            nn.Linear(outputs, outputs),
        )


def make_projectors(count: int, inputs: int, outputs: int, shared: bool) -> nn.ModuleList:
    """`count` projectors; with `shared`, the same one `count` times (the paper's ablation)."""
    if shared:
        return nn.ModuleList([Projector(inputs, outputs)] * count)
    return nn.ModuleList(Projector(inputs, outputs) for _ in range(count))


def bounded_exp(raw: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
    """exp up to STRAIGHT_FROM, then its tangent."""
    curved = raw.clamp(max=STRAIGHT_FROM)
    return curved.exp() * (1 + raw - curved)


def positive(raw: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
    """exp, for depth: positive, and equal steps are equal ratios."""
    return bounded_exp(raw.clamp(min=-15))  # e^-15 is still above zero in every dtype


def inverse_log(raw: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
    """sign(x) (e^|x| - 1), for points: near-linear at the origin, coarser far away."""
    size = raw.abs()
    near = size.clamp(max=STRAIGHT_FROM)
    return raw.sign() * (near.expm1() + (size - near) * near.exp())


def confidence(raw: Float[Tensor, "*size"]) -> Float[Tensor, "*size"]:
    """1 + e^x: never below 1, so that no pixel is ever switched off."""
    return 1 + bounded_exp(raw)


def in_float32(raw: Tensor) -> Tensor:
    """Half-precision outputs as float32: exponentials and their losses need its range."""
    return raw.float() if raw.dtype in (torch.float16, torch.bfloat16) else raw
