"""`Family`: the adapter through which SpatialSV uses one family of MLLMs.

To support another family, write a subclass that states
- the transformers classes that load the model and prepare its images (`model_class`,
  `image_processor_class`);
- the name prefixes of its vision encoder and its vision-language projector (`vision`, `projector`);
- how the views of one sample are prepared, which tokens stand for them in the chat, and which of
  those tokens holds which cell of which view (`prepare`);
- for `train.cache_vision` only, where the encoder's layers are and which of them are read
  (`encoder_layers`, `encoder_output_layers`);
- what the model's forward takes for several samples, where that is more than their tensors
  concatenated (`batch_inputs`, `join_inputs`), and its position ids, where these are not 0, 1, 2,
  ... (`prefix_positions`).
The adapters in this package are examples; `tests/model/families` checks each of them by planting a
marker in an image. An adapter outside this package is named by `--family my_package.my_module:Name`
or passed to `spatialsv.model.mllm.load_mllm`.

Shapes: N views of a sample, h w visual tokens of a view, B samples, T tokens, V images of all
samples.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.utils import PROCESSOR_NAME, VIDEO_PROCESSOR_NAME, cached_file

from spatialsv.model.checkpoint import SETTINGS_FILE, read_settings
from spatialsv.samples.views import Kind, PreparedViews

Component = Literal["vision", "projector", "llm"]
Taps = tuple[int, int, int, int]


class Family(ABC):
    """The processor of an MLLM, and the layout of its parameters and visual tokens.

    An adapter for a model whose processor resizes every image to one size, with 16 x 16 visual
    tokens in raster order::

        class MyFamily(Family):
            model_class = MyForConditionalGeneration
            image_processor_class = MyImageProcessorPil
            vision = ("model.vision_tower.",)
            projector = ("model.multi_modal_projector.",)

            def prepare(self, images, kind):
                out = self.image_processor(images=list(images), return_tensors="pt")
                tokens = consecutive_runs([256] * len(images))
                image = self.placeholder_ids["image"]
                return PreparedViews(
                    kind=kind,
                    inputs={"pixel_values": out["pixel_values"]},
                    placeholders=tuple(torch.full_like(run, image) for run in tokens),
                    grids=tuple(run.view(16, 16) for run in tokens),
                )

    Args:
        tokenizer: a fast tokenizer with the chat template.
        image_processor: an instance of `image_processor_class`.
        config: the model's config.

    Attributes:
        views_as: whether the chat shows views as separate images or as the frames of one video.
        processor_files: the checkpoint's settings of transformers' full processor, kept as they
            are for tools that use it.
        placeholder_ids: for each kind, the id of the token that holds a visual state.
        template_ids: for each kind, the ids that the chat template writes for one item; they are
            replaced by `PreparedViews.placeholders`.
    """

    model_class: ClassVar[type[PreTrainedModel]]
    image_processor_class: ClassVar[Any]  # one that needs Pillow and not torchvision
    vision: ClassVar[tuple[str, ...]] = ("model.vision_tower.",)  # prefixes of parameter names
    projector: ClassVar[tuple[str, ...]] = ("model.multi_modal_projector.",)  # likewise
    encoder_layers: ClassVar[str] = "model.vision_tower.encoder.layers"  # a submodule's name
    unused: ClassVar[tuple[str, ...]] = ()  # prefixes of a checkpoint's tensors that are not read
    # Table 6 of the paper, by the number of LLM layers; see `default_taps` for other depths.
    taps: ClassVar[dict[int, Taps]] = {}
    lr_llm: ClassVar[float] = 1e-5
    lr_vl_projector: ClassVar[float] = 1e-5
    lr_heads: ClassVar[float] = 1e-5

    def __init__(self, tokenizer: Any, image_processor: Any, config: PreTrainedConfig) -> None:
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.processor_files: dict[str, bytes] = {}  # of transformers' AutoProcessor; not read here
        self.config: Any = config  # of the family's config class
        self.views_as: Kind = "image"
        image = self.config.image_token_id
        video = getattr(config, "video_token_id", image)
        self.placeholder_ids: dict[Kind, int] = {"image": image, "video": video}
        self.template_ids: dict[Kind, tuple[int, ...]] = {"image": (image,), "video": (video,)}

    @property
    def visual_tokens(self) -> frozenset[int]:
        """The ids of all tokens that hold visual states."""
        return frozenset(self.placeholder_ids.values())

    @classmethod
    def load_processor(cls, name: str, config: PreTrainedConfig, local: bool) -> Family:
        """Return the adapter of a checkpoint.

        Args:
            name: the checkpoint's folder or hub id.
            config: the checkpoint's config.
            local: whether `name` is a folder; nothing is downloaded then.

        Returns:
            The adapter, with the checkpoint's tokenizer and image settings.
        """
        family = cls(
            AutoTokenizer.from_pretrained(name, local_files_only=local, trust_remote_code=False),
            cls.load_image_processor(name, config, local),
            config,
        )
        family.views_as = read_settings(name).get("views_as", family.views_as)
        for file in (PROCESSOR_NAME, VIDEO_PROCESSOR_NAME):
            with suppress(OSError):  # the checkpoint may lack it
                if path := cached_file(name, file, local_files_only=local):
                    family.processor_files[file] = Path(path).read_bytes()
        return family

    @classmethod
    def load_image_processor(cls, name: str, config: PreTrainedConfig, local: bool) -> Any:
        """Return the image processor of the checkpoint's preprocessor_config.json."""
        return cls.image_processor_class.from_pretrained(name, local_files_only=local)

    def save_processor(self, folder: str | os.PathLike[str]) -> None:
        """Save tokenizer, chat template and image settings, as any other tool reads them."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.tokenizer.save_pretrained(folder)
        self.image_processor.save_pretrained(folder)
        for name, content in self.processor_files.items():
            (Path(folder) / name).write_bytes(content)
        if settings := self.settings():
            (Path(folder) / SETTINGS_FILE).write_text(json.dumps(settings) + "\n")

    def settings(self) -> dict[str, str]:
        """Return what a checkpoint must record beyond transformers' own files.

        Returns:
            `views_as` if views are the frames of a video, and `family` if this adapter is from
            outside this package.
        """
        settings: dict[str, str] = {"views_as": self.views_as} if self.views_as != "image" else {}
        name = adapter_name(type(self))
        return settings if name.startswith("spatialsv.") else settings | {"family": name}

    def component_of(self, parameter: str) -> Component:
        """Return the component of the model to which the parameter of this name belongs."""
        if parameter.startswith(self.projector):
            return "projector"
        return "vision" if parameter.startswith(self.vision) else "llm"

    def default_taps(self) -> Taps:
        """Return the hidden states that the heads read, in Hugging Face's numbering.

        Returns:
            The paper's taps for an LLM of this depth; else those at 1/8, 3/8, 5/8 and 7/8 of it.
        """
        layers = self.config.get_text_config().num_hidden_layers
        first, second, third, fourth = (layers * eighth // 8 for eighth in (1, 3, 5, 7))
        return self.taps.get(layers, (first, second, third, fourth))

    def encoder_output_layers(self) -> tuple[int, ...]:
        """Return the encoder layers, counted from 0, whose outputs are read outside of it."""
        chosen = self.config.vision_feature_layer
        layers = self.config.vision_config.num_hidden_layers
        states = [chosen] if isinstance(chosen, int) else chosen  # 0: before the first layer
        return tuple(state % (layers + 1) - 1 for state in states)

    @abstractmethod
    def prepare(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], kind: Kind) -> PreparedViews:
        """Prepare the views of one sample.

        Args:
            images: N images in the order in which the chat shows them; sizes may differ.
            kind: "image" for N separate images, "video" for the N frames of one video.

        Returns:
            The views: `inputs` of the model's forward; `placeholders`, the token ids that replace
            each item of the chat (N items, or one video); and `grids`, for each view an (h, w) map
            of the visual token at each cell, counted from 0 over all visual tokens of the sample.
            Cells are in raster order whatever the order of the tokens; tokens that show no part of
            a view (line ends, thumbnails) are in no grid.
        """

    def batch_inputs(
        self, views: Sequence[PreparedViews], input_ids: Int[Tensor, "B T"]
    ) -> dict[str, Tensor]:
        """Return what the model's forward takes for B samples, besides tokens and their mask.

        Args:
            views: the prepared views of each sample.
            input_ids: the samples' tokens, padded.

        Returns:
            Keyword arguments of the forward, in the model's own names.
        """
        names = dict.fromkeys(name for one in views for name in one.inputs)
        return {
            name: self.join_inputs(name, [one.inputs[name] for one in views if name in one.inputs])
            for name in names
        }

    def join_inputs(self, name: str, values: Sequence[Tensor]) -> Tensor:
        """Return the input `name` of several samples as one tensor; by default concatenated."""
        return torch.cat(list(values))

    def packed_positions(
        self,
        mllm: PreTrainedModel,
        prefix: Int[Tensor, "B P"],
        inputs: dict[str, Tensor],
        steps: Int[Tensor, "B U"],
    ) -> Int[Tensor, "*axes B P+U"]:
        """Return the position ids of packed chats, each of which continues after the last view.

        Args:
            mllm: the model.
            prefix: the tokens that all chats of a sample share, up to the last visual token.
            inputs: what `batch_inputs` returned for all samples.
            steps: the index of each token after the prefix within its chat, from 0.

        Returns:
            Position ids of the prefix and of the tokens after it.
        """
        positions = self.prefix_positions(mllm, prefix, inputs)
        first = positions.reshape(-1, *prefix.shape).amax(dim=(0, 2))[:, None] + 1
        following = (first + steps).expand(*positions.shape[:-1], -1)
        return torch.cat([positions, following], dim=-1)

    def prefix_positions(
        self, mllm: PreTrainedModel, prefix: Int[Tensor, "B P"], inputs: dict[str, Tensor]
    ) -> Int[Tensor, "*axes B P"]:
        """Return the position ids of a prefix; 0, 1, 2, ... unless a family overrides this."""
        return torch.arange(prefix.shape[1], device=prefix.device).expand(len(prefix), -1)


def adapter_name(family: type[Family]) -> str:
    """Return an adapter's name as settings and command lines give it: `module:Class`."""
    return f"{family.__module__}:{family.__qualname__}"


def consecutive_runs(lengths: Sequence[int]) -> list[Int[Tensor, " _"]]:
    """Return 0, 1, 2, ... split into runs of these lengths."""
    return list(torch.arange(sum(lengths)).split(list(lengths)))
