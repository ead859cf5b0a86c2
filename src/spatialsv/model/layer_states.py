"""What each layer makes of each cell of each view: the encoder's output and the LLM's states.

Families order, pool and cut an encoder's output in ways of their own on the way into the LLM, and
some only behind their projector. So the encoder's output is sent that way as well: in place of
the projector's, in pieces as wide as the LLM. What stands at a cell is then the encoder's output
for that cell, as the projector takes it: where it merges four patches, all four.

Shapes: B samples, N views, h w visual tokens, D the width of a layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from spatialsv.model.families.family import Family
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.model.vision_cache import use_cached_states
from spatialsv.samples.batch import Batch

ENCODER = -1  # beside HF's numbers of hidden states, of which 0 is what the projector gave


@torch.no_grad()
def layer_states(
    model: SpatialSV, batch: Batch, layers: Sequence[int]
) -> list[Float[Tensor, "B N h w D"]]:
    """The states at the visual tokens of these layers: ENCODER, and hidden states as HF counts.

    The LLM runs once.

    Raises:
        ValueError: ENCODER, and the adapter does not say which module is the projector.
    """
    hidden = [layer for layer in layers if layer != ENCODER]
    if ENCODER not in layers:
        return model.visual_states(batch, hidden)
    projector = _projector(model.mllm, model.family)
    with _taken(projector) as taken:
        found = dict(zip(hidden, model.visual_states(batch, hidden or [0]), strict=False))
    found[ENCODER] = _at_cells(model, batch, projector, taken)
    return [found[layer] for layer in layers]


def _projector(mllm: nn.Module, family: Family) -> nn.Module:
    name = family.projector[0].rstrip(".")
    try:
        return mllm.get_submodule(name)
    except AttributeError:
        raise ValueError(
            f"the encoder's output is what the projector takes, but {name!r}, with which"
            f" {type(family).__name__}.projector begins, is no module here; put the module first,"
            f" or leave {ENCODER} out of probe.layers.states"
        ) from None


@contextmanager
def _taken(projector: nn.Module) -> Iterator[list[Float[Tensor, "tokens D"]]]:
    """What the projector takes in each call within, a row a token that it gives."""
    calls: list[Tensor] = []

    def keep(_: nn.Module, given: tuple[Tensor, ...], gives: Tensor) -> None:
        calls.append(given[0].reshape(*gives.shape[:-1], -1))

    handle = projector.register_forward_hook(keep)
    try:
        yield calls
    finally:
        handle.remove()


def _at_cells(
    model: SpatialSV, batch: Batch, projector: nn.Module, taken: Sequence[Tensor]
) -> Float[Tensor, "B N h w D"]:
    """What was `taken`, where the LLM would get what the projector makes of it."""
    width = model.mllm.config.get_text_config().hidden_size
    whole = taken[0].shape[-1]
    pieces = []
    for start in range(0, whole, width):
        piece = [
            pad(x[..., start : start + width], (0, max(0, start + width - whole))) for x in taken
        ]
        with _gives(projector, piece), _encoder_skipped(model.mllm, model.family):
            pieces.append(batch.visual_states(_embeddings(model, batch)))
    return torch.cat(pieces, dim=-1)[..., :whole]


@contextmanager
def _gives(module: nn.Module, outputs: Sequence[Tensor]) -> Iterator[None]:
    """Within it, the calls of `module` give `outputs`, one after the other."""
    following = iter(outputs)
    module.forward = lambda *_, **__: next(following)
    try:
        yield
    finally:
        del module.forward


def _encoder_skipped(mllm: nn.Module, family: Family) -> AbstractContextManager[None]:
    """Its layers hand on what they get, if the adapter says where they stand: it saves time."""
    try:
        mllm.get_submodule(family.encoder_layers)
    except AttributeError:
        return nullcontext()
    return use_cached_states(mllm, family, {"none": torch.empty(0)})


class _Reached(Exception):  # noqa: N818
    """The LLM is about to begin."""


def _embeddings(model: SpatialSV, batch: Batch) -> Float[Tensor, "B T D"]:
    """What enters the LLM, which itself does not run."""
    entering = []

    def stop(_: nn.Module, __: tuple, given: dict[str, Any]) -> None:
        entering.append(given["inputs_embeds"])
        raise _Reached

    handle = model.mllm.get_decoder().register_forward_pre_hook(stop, with_kwargs=True)
    try:
        model.visual_states(batch, [0])
    except _Reached:
        return entering[0]
    finally:
        handle.remove()
    raise AssertionError("the LLM did not run")
