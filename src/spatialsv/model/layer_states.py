"""States of each layer at the visual tokens: the encoder's output and the LLM's hidden states.

Families reorder, pool and crop an encoder's output in different ways on its way into the LLM, some
of them only after their projector. So the encoder's output takes the same way: it replaces the
projector's output, in slices as wide as the LLM. The state of a cell is then the encoder's output
for that cell as the projector reads it: of four patches, where these are merged.

Shapes: B samples, N views, h w visual tokens, D the width of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from spatialsv.model.families.family import Family
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.model.vision_cache import find_encoder_layers, override_forward
from spatialsv.samples.batch import Batch

ENCODER = -1  # next to HF's numbers of hidden states, of which 0 is the projector's output


@torch.no_grad()
def layer_states(
    model: SpatialSV, batch: Batch, layers: Sequence[int]
) -> list[Float[Tensor, "B N h w D"]]:
    """Return the states of these layers at the visual tokens; the LLM runs once.

    Args:
        model: the MLLM.
        batch: the samples.
        layers: ENCODER, or hidden states in Hugging Face's numbering.

    Returns:
        The states of each layer.

    Raises:
        ValueError: ENCODER is given, and the adapter does not name the projector's module.
    """
    hidden = [layer for layer in layers if layer != ENCODER]
    if ENCODER not in layers:
        return model.visual_states(batch, hidden)
    projector = _find_projector(model.mllm, model.family)
    projector_inputs: list[Tensor] = []  # of each call, one row for each token of its output

    def save_input(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        projector_inputs.append(inputs[0].reshape(*output.shape[:-1], -1))

    hook = projector.register_forward_hook(save_input)
    try:
        states = dict(zip(hidden, model.visual_states(batch, hidden or [0]), strict=False))
    finally:
        hook.remove()
    states[ENCODER] = _encoder_states(model, batch, projector, projector_inputs)
    return [states[layer] for layer in layers]


def _find_projector(mllm: nn.Module, family: Family) -> nn.Module:
    name = family.projector[0].rstrip(".")
    try:
        return mllm.get_submodule(name)
    except AttributeError:
        raise ValueError(
            f"The encoder's output is the projector's input, but {name!r}, the first prefix in"
            f" {type(family).__name__}.projector, is not a module of this model. Put the module"
            f" first, or remove {ENCODER} from probe.layers.states."
        ) from None


def _encoder_states(
    model: SpatialSV, batch: Batch, projector: nn.Module, projector_inputs: Sequence[Tensor]
) -> Float[Tensor, "B N h w D"]:
    """Return the projector's inputs, each where the LLM would read the projector's output."""
    slice_width = model.mllm.config.get_text_config().hidden_size
    width = projector_inputs[0].shape[-1]
    try:
        layers = find_encoder_layers(model.mllm, model.family)
    except ValueError:  # the encoder then runs, although its output is not used
        layers = nn.ModuleList()
    slices = []
    for start in range(0, width, slice_width):
        stop = start + slice_width
        padding = (0, max(0, stop - width))
        outputs = iter([pad(x[..., start:stop], padding) for x in projector_inputs])
        forwards = {layer: lambda states, *_, **__: states for layer in layers}
        with override_forward(forwards | {projector: lambda *_, out=outputs, **__: next(out)}):
            slices.append(batch.visual_states(_llm_inputs(model, batch)))
    return torch.cat(slices, dim=-1)[..., :width]


class _StopForwardError(Exception):
    """Raised where the LLM would begin."""


def _llm_inputs(model: SpatialSV, batch: Batch) -> Float[Tensor, "B T D"]:
    """Return the LLM's input embeddings; the LLM does not run."""
    embeddings = []

    def stop(_: nn.Module, __: tuple, kwargs: dict[str, Any]) -> None:
        embeddings.append(kwargs["inputs_embeds"])
        raise _StopForwardError

    hook = model.mllm.get_decoder().register_forward_pre_hook(stop, with_kwargs=True)
    try:
        model.visual_states(batch, [0])
    except _StopForwardError:
        return embeddings[0]
    finally:
        hook.remove()
    raise AssertionError("The LLM did not run.")
