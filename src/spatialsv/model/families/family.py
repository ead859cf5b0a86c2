"""`Family`: all that SpatialSV must know of one family of MLLMs.

A file beside this one is an adapter: a subclass that says
- which classes of transformers load the model and prepare its images;
- which parameters are its vision encoder and its vision-language projector;
- how one sample's views are prepared, which tokens stand for them in the chat, and where among
  those tokens each cell of each view stands (`prepare`);
- where its encoder's layers stand and which are read, for `train.cache_vision` alone
  (`encoder_layers`, `encoder_output_layers`);
- what its forward takes of several samples together (`inputs`, `join`), where that is more than
  their tensors one after the other.
`tests/model/families` holds it to that by planting a marker in an image. An adapter of your own
needs no place here: see `spatialsv.model.mllm.load_mllm`.

Shapes: N views, h w a view's grid of visual tokens, B samples, T tokens, V images of all samples.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel

from spatialsv.samples.views import Kind, PreparedViews

SETTINGS_FILE = "spatialsv.json"  # in a checkpoint: `Family.settings` and its training's record
Component = Literal["vision", "projector", "llm"]
Taps = tuple[int, int, int, int]


class Family(ABC):
    """An MLLM's processor, and where its parts and its visual tokens are.

    Args:
        tokenizer: a fast one, with the chat template.
        image_processor: of the class `image_processor_class`.
        config: the model's.
    """

    model_class: ClassVar[type[PreTrainedModel]]
    image_processor_class: ClassVar[type]  # one that needs Pillow and no torchvision
    vision: ClassVar[tuple[str, ...]] = ("model.vision_tower.",)  # how its parameters' names begin
    projector: ClassVar[tuple[str, ...]] = ("model.multi_modal_projector.",)
    encoder_layers: ClassVar[str] = "model.vision_tower.encoder.layers"  # where they stand
    # Table 6 of the paper; an MLLM of another depth gets taps spread alike.
    taps: ClassVar[dict[int, Taps]] = {}  # layers of the LLM -> taps
    lr_llm: ClassVar[float] = 1e-5
    lr_vl_projector: ClassVar[float] = 1e-5
    lr_heads: ClassVar[float] = 1e-5

    def __init__(self, tokenizer: Any, image_processor: Any, config: PreTrainedConfig) -> None:
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.config = config
        self.views_as: Kind = "image"  # or the frames of one video, as it was trained
        # The tokens that hold visual states; where none is a video's own, frames are as images.
        image = config.image_token_id
        self.placeholder_ids: dict[Kind, int] = {
            "image": image,
            "video": getattr(config, "video_token_id", image),
        }
        # What the chat's template writes for one item: mostly the token itself, once.
        self.template_ids: dict[Kind, tuple[int, ...]] = {
            k: (id_,) for k, id_ in self.placeholder_ids.items()
        }

    @property
    def visual_tokens(self) -> frozenset[int]:
        """The ids of the tokens that hold visual states."""
        return frozenset(self.placeholder_ids.values())

    @classmethod
    def load_processor(cls, name: str, config: PreTrainedConfig, local: bool) -> Family:
        """The processor of the checkpoint in the folder, or of the hub id, `name`."""
        family = cls(
            AutoTokenizer.from_pretrained(name, local_files_only=local, trust_remote_code=False),
            cls.load_image_processor(name, config, local),
            config,
        )
        family.views_as = read_settings(name).get("views_as", family.views_as)
        return family

    @classmethod
    def load_image_processor(cls, name: str, config: PreTrainedConfig, local: bool) -> Any:
        """What prepares images, from the checkpoint's preprocessor_config.json."""
        return cls.image_processor_class.from_pretrained(name, local_files_only=local)

    def save_processor(self, folder: str | os.PathLike[str]) -> None:
        """Save what any other tool reads: tokenizer, chat template, image settings."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.tokenizer.save_pretrained(folder)
        self.image_processor.save_pretrained(folder)
        if own := self.settings():
            (Path(folder) / SETTINGS_FILE).write_text(json.dumps(own) + "\n")

    def settings(self) -> dict[str, str]:
        """What a checkpoint trained here tells the stages behind, where it is not as usual.

        That its views were shown as one video; and an adapter from outside this package.
        """
        found = {"views_as": self.views_as} if self.views_as != "image" else {}
        name = adapter_name(type(self))
        return found if name.startswith("spatialsv.") else found | {"family": name}

    def component_of(self, parameter: str) -> Component:
        """The part that the model's parameter of this name belongs to.

        "projector" is what turns the encoder's patches into LLM tokens.
        """
        if parameter.startswith(self.projector):
            return "projector"
        return "vision" if parameter.startswith(self.vision) else "llm"

    def default_taps(self) -> Taps:
        """The paper's taps for an LLM of this depth, or taps spread like its."""
        layers = self.config.get_text_config().num_hidden_layers
        return self.taps.get(layers) or tuple(layers * eighth // 8 for eighth in (1, 3, 5, 7))

    def encoder_output_layers(self) -> tuple[int, ...]:
        """The encoder's layers whose outputs something outside of it reads, counted from 0."""
        chosen = self.config.vision_feature_layer
        layers = self.config.vision_config.num_hidden_layers
        states = [chosen] if isinstance(chosen, int) else chosen  # 0: before the first layer
        return tuple(state % (layers + 1) - 1 for state in states)

    @abstractmethod
    def prepare(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], kind: Kind) -> PreparedViews:
        """The views of one sample, in the order in which they are shown."""

    def batch_inputs(
        self, shown: Sequence[PreparedViews], input_ids: Int[Tensor, "B T"]
    ) -> dict[str, Tensor]:
        """What the model's forward takes for B samples beside tokens and their mask."""
        names = dict.fromkeys(name for views in shown for name in views.inputs)
        return {
            name: self.join_inputs(name, [v.inputs[name] for v in shown if name in v.inputs])
            for name in names
        }

    def join_inputs(self, name: str, values: Sequence[Tensor]) -> Tensor:
        """The tensors of several samples as one."""
        return torch.cat(list(values))

    def packed_positions(
        self,
        mllm: PreTrainedModel,
        head: Int[Tensor, "B P"],
        inputs: dict[str, Tensor],
        steps: Int[Tensor, "B U"],
    ) -> Int[Tensor, "*axes B P+U"]:
        """The positions of packed chats' tokens: each goes on where the last view ends.

        Args:
            head: the tokens that a sample's chats share, up to the last visual one.
            inputs: what `inputs` gave for the whole batch.
            steps: the place of each token behind it in its own chat, from 0.
        """
        ahead = self.prefix_positions(mllm, head, inputs)
        follows = ahead.reshape(-1, *head.shape).amax(dim=(0, 2))[:, None] + 1
        behind = (follows + steps).expand(*ahead.shape[:-1], -1)
        return torch.cat([ahead, behind], dim=-1)

    def prefix_positions(
        self, mllm: PreTrainedModel, head: Int[Tensor, "B P"], inputs: dict[str, Tensor]
    ) -> Int[Tensor, "*axes B P"]:
        """The positions of a head's tokens: 0, 1, 2, ... where the model has none of its own."""
        return torch.arange(head.shape[1], device=head.device).expand(len(head), -1)


def adapter_name(family: type[Family]) -> str:
    """An adapter's name, as settings and command lines give it."""
    return f"{family.__module__}:{family.__qualname__}"


def read_settings(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What the checkpoint in `folder` tells of itself; empty for a hub id."""
    path = Path(folder) / SETTINGS_FILE
    return json.loads(path.read_text()) if path.is_file() else {}


def runs(lengths: Sequence[int]) -> list[Int[Tensor, " _"]]:
    """0, 1, 2, ... cut into runs of these lengths."""
    return list(torch.arange(sum(lengths)).split(list(lengths)))
