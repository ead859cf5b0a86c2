"""Interventions on hidden states: the LLM continues from states that differ from its own.

Shapes: B samples, T tokens, N views, h w visual tokens, D the width of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from spatialsv.model.spatialsv import SpatialSV
from spatialsv.model.vision_cache import override_forward
from spatialsv.samples.batch import Batch

Change = Callable[[Tensor], Tensor]


@contextmanager
def change_states(
    model: SpatialSV,
    batch: Batch,
    layer: int,
    change: Callable[[Float[Tensor, "B N h w D"]], Float[Tensor, "B N h w D"]],
) -> Iterator[None]:
    """Replace the visual states of one layer within the context.

    States of other tokens stay. Below `layer` nothing changes: there, text has attended to the
    original states. What an LLM adds to its states between layers (Qwen3-VL's deepstack features)
    is still added.

    Args:
        model: the MLLM.
        batch: the samples of each forward pass within the context.
        layer: a hidden state in Hugging Face's numbering: 0 is the embeddings. The last one, after
            the final norm, is not read by any layer.
        change: returns the new states.

    Raises:
        ValueError: the LLM has no layer that reads this state, or views share tokens.
    """
    layers = model.mllm.get_decoder().layers
    if not 0 <= layer < len(layers):
        raise ValueError(
            f"Hidden state {layer} is not read by a layer of this LLM. Choose 0 to"
            f" {len(layers) - 1}."
        )
    index = batch.token_index.flatten(1)
    if any(len(row.unique()) < len(row) for row in index):
        raise ValueError(
            "Views of a sample share tokens, as in frames of a video that are merged in pairs."
            " Show views as separate images to change the states of one."
        )

    def changed(states: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        rows = index[..., None].expand(-1, -1, states.shape[-1])
        new = change(batch.visual_states(states))
        return states.scatter(1, rows, new.to(states.dtype).flatten(1, 3))

    hooked = _changed_input if layer == 0 else _changed_output
    with hooked(layers[max(0, layer - 1)], changed):
        yield


@contextmanager
def _changed_input(module: nn.Module, change: Change) -> Iterator[None]:
    def change_input(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            return (change(args[0]), *args[1:]), kwargs
        return args, kwargs | {"hidden_states": change(kwargs["hidden_states"])}

    hook = module.register_forward_pre_hook(change_input, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _changed_output(module: nn.Module, change: Change) -> Iterator[None]:
    """Change a layer's output; after a hook, transformers would have recorded the original."""
    forward = module.forward

    def change_output(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    with override_forward({module: change_output}):
        yield
