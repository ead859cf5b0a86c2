"""Cache of the frozen vision encoder's outputs, for every step that shows the same views again.

Cached are the outputs of the encoder layers that the projector reads
(`Family.encoder_output_layers`). In a step these layers return the cached outputs, and the other
layers pass on their input. Only the patch embedding is computed again, so all shapes are the
model's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save
from torch import Tensor, nn
from transformers import PreTrainedModel

from spatialsv.io.atomic import write_bytes
from spatialsv.io.digests import digest_bytes
from spatialsv.model.families.family import Family


class CachedVisionEncoder:
    """The encoder of an MLLM, run once for each sample to fill a cache.

    Args:
        mllm: the model.
        family: its adapter.
        bf16: whether steps run under bfloat16 autocast, so that outputs are the same.

    Raises:
        ValueError: the adapter does not say where the encoder's layers are, or the encoder uses
            dropout, so that its outputs change from step to step.
    """

    def __init__(self, mllm: PreTrainedModel, family: Family, bf16: bool) -> None:
        self.mllm, self.family, self.bf16 = mllm, family, bf16
        find_encoder_layers(mllm, family)
        vision = mllm.config.vision_config.to_dict()
        if dropout := [name for name, value in vision.items() if "drop" in name and value]:
            raise ValueError(
                f"train.cache_vision: the encoder uses dropout ({', '.join(dropout)} in its"
                " config), so its outputs cannot be cached. Set cache_vision to false."
            )

    @torch.no_grad()
    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "rows ..."]]:
        """Return the outputs of the layers that are read, by number, for `PreparedViews.inputs`."""
        outputs: dict[str, Tensor] = {}

        def save_output(name: str) -> Callable[..., None]:
            return lambda _module, _inputs, states: outputs.update({name: states.cpu()})

        layers = find_encoder_layers(self.mllm, self.family)
        hooks = [
            layers[number].register_forward_hook(save_output(str(number)))
            for number in self.family.encoder_output_layers()
        ]
        device = self.mllm.device
        moved = {name: value.to(device) for name, value in inputs.items()}
        model: Any = self.mllm
        try:
            with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
                if "pixel_values_videos" in moved:  # its parameter names differ from forward's
                    model.get_video_features(*moved.values())
                else:
                    model.get_image_features(**moved)
        finally:
            for hook in hooks:
                hook.remove()
        return outputs


class FeatureCache:
    """Files with the outputs of `encode`, which is called once for each sample.

    A file is named by the digest of the inputs, so a resumed run finds it again, and processes that
    train together share it. Files are memory mapped.

    Args:
        encode: for example a `CachedVisionEncoder`.
        folder: for the files.
    """

    def __init__(
        self, encode: Callable[[Mapping[str, Tensor]], dict[str, Tensor]], folder: Path
    ) -> None:
        self.encode, self.folder = encode, folder

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "rows ..."]]:
        """Return `encode(inputs)`."""
        values = (value.contiguous().view(-1).view(torch.uint8) for value in inputs.values())
        name = digest_bytes(*(value.numpy().tobytes() for value in values))
        path = self.folder / f"{name}.safetensors"
        if not path.is_file():
            write_bytes(path, save({n: s.contiguous() for n, s in self.encode(inputs).items()}))
        return load_file(path)


@contextmanager
def use_cached_states(
    mllm: PreTrainedModel, family: Family, encoded: Mapping[str, Tensor]
) -> Iterator[None]:
    """Make the encoder return `encoded` without computing; if that is empty, change nothing."""
    layers = find_encoder_layers(mllm, family) if encoded else nn.ModuleList()

    def cached(number: int) -> Callable[..., Tensor]:
        output = encoded.get(str(number))
        return lambda states, *_, **__: states if output is None else output

    with override_forward({layer: cached(number) for number, layer in enumerate(layers)}):
        yield


@contextmanager
def override_forward(forwards: Mapping[nn.Module, Callable[..., Tensor]]) -> Iterator[None]:
    """Replace the forward of each module within the context."""
    for module, forward in forwards.items():
        module.forward = forward
    try:
        yield
    finally:
        for module in forwards:
            del module.forward


def find_encoder_layers(mllm: nn.Module, family: Family) -> nn.ModuleList:
    """Return the encoder's layers, each of which reads the output of the one before it.

    Raises:
        ValueError: they are not where the adapter says.
    """
    try:
        return cast(nn.ModuleList, mllm.get_submodule(family.encoder_layers))
    except AttributeError:
        raise ValueError(
            f"train.cache_vision: {type(family).__name__} expects its encoder's layers at"
            f" {family.encoder_layers!r}, which this model does not have. Correct encoder_layers"
            " and encoder_output_layers in the adapter, or set cache_vision to false."
        ) from None
