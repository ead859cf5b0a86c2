"""Where geometry's gradient goes, and what becomes of it where it conflicts with the text's.

Beyond the paper, where all of it is added to the text's. A step computes two gradients: the text's
by its backward pass, and geometry's by another one, over the parameters that it may change. They
are added when both are those of the full step, over all its passes and processes, so that a step
does not depend on how it is cut.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spatialsv.losses.terms import TINY
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.optim.distributed import sum_over_processes
from spatialsv.train.arm import ArmConfig


class GradientRouter:
    """Takes geometry's gradient at some parameters, and adds it at the end of a step.

    Args:
        shared: parameters of the MLLM that geometry may change.
        heads: parameters that only geometry changes.
        pcgrad: project conflicting gradients at the `shared` parameters.
    """

    def __init__(
        self, shared: Sequence[nn.Parameter], heads: Sequence[nn.Parameter], pcgrad: bool
    ) -> None:
        self.shared, self.heads, self.pcgrad = list(shared), list(heads), pcgrad
        self.cosine: Tensor | None = None  # of the last step's two gradients
        self._gradients: dict[nn.Parameter, Tensor] = {}

    def take(self, loss: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Take the gradient of geometry's loss.

        Returns:
            The loss, connected to the heads with a gradient of zero: copies of a model (DDP) wait
            until each parameter has one.
        """
        parameters = self.shared + self.heads
        found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        for parameter, gradient in zip(parameters, found, strict=True):
            if gradient is not None:  # None: above the last state that the heads read
                before = self._gradients.get(parameter)
                self._gradients[parameter] = gradient if before is None else before + gradient
        return loss.detach() + sum(0 * parameter.sum() for parameter in self.heads)

    @torch.no_grad()
    def combine(self) -> None:
        """Add the taken gradients to those of the parameters, which are full sums by now."""
        for parameter, gradient in self._gradients.items():
            # A copy, since gradients of several parameters may share memory.
            self._gradients[parameter] = sum_over_processes(gradient.clone())
        if self.pcgrad:
            both = [p for p in self.shared if p in self._gradients]
            texts = [p.grad for p in both if p.grad is not None]
            spatial = [self._gradients[p] for p in both]
            own, theirs, self.cosine = pcgrad_weights(texts, spatial)
            for gradients, weight in ((texts, own), (spatial, theirs)):
                for gradient in gradients:
                    gradient.mul_(weight)
        for parameter, gradient in self._gradients.items():
            parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
        self._gradients = {}


def pcgrad_weights(
    one: Sequence[Tensor], other: Sequence[Tensor]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the weights of two gradients g and h in the sum that PCGrad makes of them.

    Where g . h < 0, PCGrad (arXiv 2001.06782, Algorithm 1) replaces g by g - (g . h / h . h) h,
    and h by h - (g . h / g . g) g. Their sum is (1 - g . h / g . g) g + (1 - g . h / h . h) h.

    Args:
        one: g, one tensor for each parameter.
        other: h, the same.

    Returns:
        Both weights, 1 without a conflict; and the cosine of g and h, 0 where one of them is zero.
    """
    pairs = list(zip(one, other, strict=True))
    square, other_square = (torch.stack([(x * x).sum() for x in g]).sum() for g in (one, other))
    product = torch.stack([(g * h).sum() for g, h in pairs]).sum()
    conflict = product.clamp_max(0)  # no branch: a step that is estimated has no values
    cosine = product / (square.sqrt() * other_square.sqrt() + TINY)
    return 1 - conflict / (square + TINY), 1 - conflict / (other_square + TINY), cosine


def make_router(model: SpatialSV, arm: ArmConfig) -> GradientRouter | None:
    """Return what routes the gradient of `arm`; None where it is simply added to the text's.

    Raises:
        ValueError: layers of the LLM that do not exist, or that geometry does not reach.
    """
    if not arm.routes:
        return None
    first, last = arm.gradient_layers or (1, model.last)
    highest = max(model.required_states())
    if not 1 <= first <= last <= model.last or first > highest:
        raise ValueError(
            f"gradient_layers: found {[first, last]}, but the LLM has layers 1 to {model.last}, and"
            f" geometry is read after layer {highest}."
        )
    layers = model.mllm.get_decoder().layers[first - 1 : last]
    chosen = {id(parameter) for layer in layers for parameter in layer.parameters()}
    shared: list[nn.Parameter] = []
    heads: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        component = model.component_of(name)
        of_llm = component == "llm" and arm.gradient == "llm"
        in_range = arm.gradient_layers is None or id(parameter) in chosen
        if component == "heads":
            heads.append(parameter)
        elif parameter.requires_grad and (component == "projector" or (of_llm and in_range)):
            shared.append(parameter)
    return GradientRouter(shared, heads, arm.pcgrad)
