"""How strongly each signal alone pulls at a layer that all of them go through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spatialsv.losses.total import signal_of
from spatialsv.model.spatialsv import SpatialSV


def gradient_norms(
    terms: Mapping[str, Float[Tensor, ""]], parameters: Sequence[nn.Parameter]
) -> dict[str, Float[Tensor, ""]]:
    """The norm at `parameters` of each signal's unweighted gradient, by signal.

    Nothing is added to any `.grad`, and the graph is kept for the step's own backward pass.
    """
    sums: dict[str, Tensor] = {}
    for name, term in terms.items():
        if name != "total" and term.requires_grad:
            sums[signal_of(name)] = sums.get(signal_of(name), 0) + term
    norms = {}
    for signal, loss in sums.items():
        found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        parts = [gradient.float().norm() for gradient in found if gradient is not None]
        norms[signal] = torch.stack(parts).norm() if parts else loss.detach() * 0
    return norms


def shared_parameters(model: SpatialSV) -> list[nn.Parameter]:
    """What is trained of the last LLM layer below every tap (GradNorm's choice of weights).

    Raises:
        ValueError: a tap reads the embeddings, below which the LLM has no layer.
    """
    lowest = min([*model.required_states(), model.last])
    if lowest == 0:
        raise ValueError(
            "train.weighting: gradient_norm needs a layer of the LLM below every tap, and a tap is"
            " 0, the embeddings; choose other heads.taps, or uncertainty"
        )
    layer = model.mllm.get_decoder().layers[lowest - 1]
    return [parameter for parameter in layer.parameters() if parameter.requires_grad]
