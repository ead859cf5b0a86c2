"""What the frozen vision encoder makes of views, kept for every step that shows them again.

Kept are the outputs of the encoder's layers that the projector reads
(`Family.encoder_output_layers`). In a step these layers give what was kept, and those before them
hand on what they get. Only the patch embedding is computed again, which gives every shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save
from torch import Tensor, nn
from transformers import PreTrainedModel

from spatialsv.io.atomic import write_bytes
from spatialsv.io.digests import digest_bytes
from spatialsv.model.families.family import Family


class CachedVisionEncoder:
    """The encoder of `mllm`, to be asked once a sample.

    Args:
        bf16: whether steps run under bfloat16 autocast, so that outputs are the same.

    Raises:
        ValueError: the family does not say where the encoder's layers are, or the encoder drops
            out at random, so that no two steps see the same.
    """

    def __init__(self, mllm: PreTrainedModel, family: Family, bf16: bool) -> None:
        self.mllm, self.family, self.bf16 = mllm, family, bf16
        find_encoder_layers(mllm, family)
        vision = mllm.config.vision_config.to_dict()
        if drops := [name for name, value in vision.items() if "drop" in name and value]:
            raise ValueError(
                f"train.cache_vision: the encoder drops out at random ({', '.join(drops)} in its"
                " config), so its outputs cannot be kept; set cache_vision to false"
            )

    @torch.no_grad()
    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "rows ..."]]:
        """The outputs of the layers that are read, by their number, in main memory.

        Args:
            inputs: of the model's forward for a sample's views: `PreparedViews.inputs`.
        """
        layers, found = find_encoder_layers(self.mllm, self.family), {}
        hooks = [
            layers[number].register_forward_hook(
                lambda _, __, states, name=str(number): found.update({name: states.cpu()})
            )
            for number in self.family.encoder_output_layers()
        ]
        device = self.mllm.device
        given = {name: value.to(device) for name, value in inputs.items()}
        try:
            with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
                if "pixel_values_videos" in given:  # whose parameters' names differ from forward's
                    self.mllm.get_video_features(*given.values())
                else:
                    self.mllm.get_image_features(**given)
        finally:
            for hook in hooks:
                hook.remove()
        return found


class FeatureCache:
    """What `encode` gives, asked once for each sample; then read from its file, memory mapped.

    Files are named by what was shown, so a run that was killed finds them again, and processes that
    train together share them.
    """

    def __init__(
        self, encode: Callable[[Mapping[str, Tensor]], dict[str, Tensor]], folder: Path
    ) -> None:
        self.encode, self.folder = encode, folder

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "rows ..."]]:
        """As `CachedVisionEncoder`."""
        shown = (value.contiguous().view(-1).view(torch.uint8) for value in inputs.values())
        name = digest_bytes(*(value.numpy().tobytes() for value in shown))
        path = self.folder / f"{name}.safetensors"
        if not path.is_file():
            write_bytes(path, save({n: s.contiguous() for n, s in self.encode(inputs).items()}))
        return load_file(path)


@contextmanager
def use_cached_states(
    mllm: PreTrainedModel, family: Family, encoded: Mapping[str, Tensor]
) -> Iterator[None]:
    """Within it, the encoder computes nothing and gives `encoded`; without any, it is itself."""
    layers = find_encoder_layers(mllm, family) if encoded else []
    for number, layer in enumerate(layers):
        kept = encoded.get(str(number))
        layer.forward = lambda states, *_, kept=kept, **__: states if kept is None else kept
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def find_encoder_layers(mllm: PreTrainedModel, family: Family) -> nn.ModuleList:
    """The layers of the encoder, which work one after the other.

    Raises:
        ValueError: they are not where the family says.
    """
    try:
        return mllm.get_submodule(family.encoder_layers)
    except AttributeError:
        raise ValueError(
            f"train.cache_vision: {type(family).__name__} looks for its encoder's layers at"
            f" {family.encoder_layers!r}, where this model has none; correct encoder_layers and"
            " encoder_output_layers in the adapter, or set cache_vision to false"
        ) from None
