"""LLaVA-Video (arXiv 2410.02713): LLaVA-OneVision's images, and frames with line ends.

The paper cites it for its "LLaVA-NeXT-Video"; Table 6's taps are spread over 28 layers, as it has.

The network (`llava_qwen` in the LLaVA-NeXT code) is built from transformers' parts, since its
package `llava` requires transformers 4.40. It equals LLaVA-OneVision's but for the line ends in
videos. Parameters and settings keep the authors' names on disk, so that both codes open a
checkpoint. The settings do not give the encoder's sizes, since it is SigLIP-SO400M without its last
layer; the `vision_config` in checkpoints saved from here is an addition.

Shapes: B videos, F frames, P patches of a frame, D the LLM's width.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from math import ceil, isqrt
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d
from transformers import (
    AutoConfig,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionModel,
    PreTrainedConfig,
    Qwen2Config,
)
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import WeightRenaming
from transformers.modeling_outputs import BaseModelOutputWithPooling

from spatialsv.model.families.llava_onevision import LlavaOneVision
from spatialsv.samples.views import PreparedViews

POOLS = {"average": avg_pool2d, "max": max_pool2d, "bilinear": None}  # None: transformers' own
SUPPORTED: dict[str, tuple[Any, ...]] = {  # values of each setting; the first is the default
    "mm_vision_tower": ("google/siglip-so400m-patch14-384",),
    "mm_projector_type": ("mlp2x_gelu",),
    "mm_patch_merge_type": ("spatial_unpad",),
    "mm_resampler_type": (None,),
    "image_aspect_ratio": ("anyres_max_9",),
    "mm_newline_position": ("one_token", "grid"),  # in videos: a line end after all, or each line
    "mm_spatial_pool_mode": ("bilinear", *POOLS),
    "add_faster_video": (False,),
}
LLM_SETTINGS = {field.name for field in fields(Qwen2Config)} | {"rope_theta"}
LLM_SETTINGS -= {field.name for field in fields(PreTrainedConfig)}
IMAGE = "<image>"  # for images and videos alike; not in the tokenizer of a checkpoint as released
TEMPLATE = """\
{% if messages[0]['role'] != 'system' %}\
{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}\
{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}\
{% set shown = namespace(any=false) %}{% for content in message['content'] %}\
{% if content['type'] == 'text' %}{{ ('\\n' if shown.any else '') + content['text'] }}\
{% else %}{{ (' ' if shown.any else '') + '<image>' }}{% set shown.any = true %}{% endif %}\
{% endfor %}{{ '<|im_end|>\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""


class LlavaQwenConfig(LlavaOnevisionConfig):
    """The authors' flat settings, and transformers' nested ones, which follow from them.

    Raises:
        ValueError: a setting has a value that this network does not support.
    """

    model_type = "llava_qwen"

    def __init__(self, **settings: Any) -> None:
        for name, supported in SUPPORTED.items():
            if settings.setdefault(name, supported[0]) not in supported:
                values = " or ".join(map(repr, dict.fromkeys(supported)))
                raise ValueError(
                    f"config.json: {name} {settings[name]!r} is not supported. Expected {values}."
                )
        sizes = settings.pop("image_grid_pinpoints", None)
        if isinstance(sizes, str):
            side = (settings.get("vision_config") or {}).get("image_size", 384)
            sizes = _parse_pinpoints(sizes, side)
        image = settings.setdefault("image_token_index", 151646)
        derived = {
            "image_grid_pinpoints": _transposed(sizes),
            "text_config": {key: settings[key] for key in LLM_SETTINGS & settings.keys()},
            "video_token_index": image,
            "vision_aspect_ratio": settings["image_aspect_ratio"],
        }
        super().__init__(**settings | derived)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as the authors' code reads them."""
        settings = super().to_dict()
        settings.pop("text_config", None)  # repeats the flat settings
        return settings | {"image_grid_pinpoints": _transposed(self.image_grid_pinpoints)}


def _transposed(sizes: list[list[int]] | None) -> list[list[int]] | None:
    """Return (width, height) pairs as (height, width), or the reverse."""
    return sizes and [size[::-1] for size in sizes]


def _parse_pinpoints(text: str, side: int) -> list[list[int]]:
    """Return the widths and heights of, for example, "(1x1),...,(6x6)" in tiles of `side`."""
    pairs = [tuple(map(int, pair)) for pair in re.findall(r"\((\d+)x(\d+)\)", text)]
    columns, rows = zip(pairs[0], pairs[-1], strict=True)
    return [
        [column * side, row * side]
        for column in range(columns[0], columns[1] + 1)
        for row in range(rows[0], rows[1] + 1)
    ]


class LlavaQwenModel(LlavaOnevisionModel):
    """The network without the LLM's head."""

    def get_video_features(
        self, pixel_values_videos: Float[Tensor, "B F C H W"], **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """Return pooled frames, with a line end after each line or one after the last frame."""
        output = super().get_video_features(pixel_values_videos, **kwargs)
        if self.config.mm_newline_position == "grid":
            states = output.pooler_output[:, :-1]  # (B, F h w, D): transformers puts one at the end
            side = isqrt(states.shape[1] // pixel_values_videos.shape[1])
            lines = states.unflatten(1, (-1, side))
            ends = self.image_newline.to(states).expand(*lines.shape[:2], 1, -1)
            output.pooler_output = torch.cat([lines, ends], dim=2).flatten(1, 2)
        return output

    def apply_pooling(self, image_features: Float[Tensor, "F P D"]) -> Float[Tensor, "F _ D"]:
        """Pool 2 x 2 patches as `mm_spatial_pool_mode` says."""
        pool = POOLS[self.config.mm_spatial_pool_mode]
        if pool is None:
            return super().apply_pooling(image_features)
        maps = image_features.unflatten(1, (isqrt(image_features.shape[1]), -1)).movedim(-1, 1)
        return pool(maps, 2).flatten(2).mT


class LlavaQwenForCausalLM(LlavaOnevisionForConditionalGeneration):
    """The network, under the class name in its checkpoints."""

    config_class = LlavaQwenConfig

    def __init__(self, config: LlavaQwenConfig) -> None:
        super().__init__(config)
        self.model = LlavaQwenModel(config)
        self.post_init()


class LlavaVideo(LlavaOneVision):
    """LLaVA-Video, and other checkpoints of the LLaVA-NeXT code with Qwen2.

    Image token, chat template and image processor come from the package `llava`, not from the
    checkpoints, so they are defined here.

    Raises:
        ValueError: the tokenizer gives the image token another id than the config.
    """

    model_class = LlavaQwenForCausalLM
    taps = {28: (4, 11, 18, 25)}  # noqa: RUF012
    lr_llm = 1e-5

    def __init__(self, tokenizer: Any, image_processor: Any, config: PreTrainedConfig) -> None:
        tokenizer.add_tokens([IMAGE], special_tokens=True)
        tokenizer.chat_template = TEMPLATE
        super().__init__(tokenizer, image_processor, config)
        expected = self.config.image_token_id
        if (found := tokenizer.convert_tokens_to_ids(IMAGE)) != expected:
            raise ValueError(
                f"{tokenizer.name_or_path}: {IMAGE} is token {found}, but image_token_index in"
                f" config.json, or its default, is {expected}."
            )

    @classmethod
    def load_image_processor(cls, name: str, config: PreTrainedConfig, local: bool) -> Any:
        """See `Family`; the config has all settings."""
        settings: Any = config
        side, half = settings.vision_config.image_size, [0.5] * 3
        return cls.image_processor_class(
            size={"height": side, "width": side},
            image_grid_pinpoints=settings.image_grid_pinpoints,
            image_mean=half,
            image_std=half,
        )

    def frames(self, tiles: Sequence[Float[Tensor, "1 _ C H W"]]) -> PreparedViews:
        """See `LlavaOneVision`."""
        half_rounded_up = POOLS[self.config.mm_spatial_pool_mode] is None
        side = ceil(self.side / 2) if half_rounded_up else self.side // 2
        lines = self.config.mm_newline_position == "grid"
        return self.as_video(tiles, side, ends=not lines, line_ends=lines)


AutoConfig.register(LlavaQwenConfig.model_type, LlavaQwenConfig)
register_checkpoint_conversion_mapping(
    LlavaQwenForCausalLM.__name__,
    [
        WeightRenaming(r"^model\.(layers|embed_tokens|norm)\.", r"model.language_model.\1."),
        WeightRenaming(
            r"^model\.vision_tower\.vision_tower\.vision_model\.", "model.vision_tower."
        ),
        WeightRenaming(r"^model\.mm_projector\.0\.", "model.multi_modal_projector.linear_1."),
        WeightRenaming(r"^model\.mm_projector\.2\.", "model.multi_modal_projector.linear_2."),
    ],
)
