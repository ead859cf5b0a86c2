"""The LLaVA-NeXT code's network before Qwen2 (`llava_qwen`), in transformers' parts.

It is LLaVA-OneVision's, but for the line ends in videos; its package `llava` asks for transformers
4.40. Parameters and settings keep the authors' names on disk, so checkpoints open on either side.
The settings say nothing of the encoder's sizes, since it is SigLIP-SO400M without its last layer;
what `vision_config` says, in checkpoints saved from here, is an addition.

Shapes: B videos, F frames, P patches of a frame, h w its pooled map, D the LLM's width.
"""

from __future__ import annotations

import re
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

POOLS = {"average": avg_pool2d, "max": max_pool2d, "bilinear": None}  # None: transformers' own
UNDERSTOOD: dict[str, tuple[Any, ...]] = {  # of each setting; the first where it is not given
    "mm_vision_tower": ("google/siglip-so400m-patch14-384",),
    "mm_projector_type": ("mlp2x_gelu",),
    "mm_patch_merge_type": ("spatial_unpad",),
    "mm_resampler_type": (None,),
    "image_aspect_ratio": ("anyres_max_9",),
    "mm_newline_position": ("one_token", "grid"),  # line ends in videos: one at the end, or each
    "mm_spatial_pool_mode": ("bilinear", *POOLS),
    "add_faster_video": (False,),
}
OF_THE_LLM = {field.name for field in fields(Qwen2Config)} | {"rope_theta"}
OF_THE_LLM -= {field.name for field in fields(PreTrainedConfig)}


class LlavaQwenConfig(LlavaOnevisionConfig):
    """The authors' settings, which are flat, and beside them transformers', which follow from them.

    Raises:
        ValueError: a setting of which this is no reading.
    """

    model_type = "llava_qwen"

    def __init__(self, **settings: Any) -> None:
        for name, known in UNDERSTOOD.items():
            if settings.setdefault(name, known[0]) not in known:
                said = " or ".join(map(repr, dict.fromkeys(known)))
                raise ValueError(f"config.json: {name} {settings[name]!r}; this reads {said} only")
        sizes = settings.pop("image_grid_pinpoints", None)
        if isinstance(sizes, str):
            sizes = range_of(sizes, (settings.get("vision_config") or {}).get("image_size", 384))
        image = settings.setdefault("image_token_index", 151646)
        own = {
            "image_grid_pinpoints": flipped(sizes),
            "text_config": {key: settings[key] for key in OF_THE_LLM & settings.keys()},
            "video_token_index": image,
            "vision_aspect_ratio": settings["image_aspect_ratio"],
        }
        super().__init__(**settings | own)

    def to_dict(self) -> dict[str, Any]:
        """As the authors' code reads it."""
        found = super().to_dict()
        found.pop("text_config", None)  # it is what the flat settings say
        return found | {"image_grid_pinpoints": flipped(self.image_grid_pinpoints)}


def flipped(sizes: list[list[int]] | None) -> list[list[int]] | None:
    """Heights and widths changed about."""
    return sizes and [size[::-1] for size in sizes]


def range_of(told: str, side: int) -> list[list[int]]:
    """The widths and heights that such as "(1x1),...,(6x6)" stands for, in tiles of this side."""
    pairs = [tuple(map(int, pair)) for pair in re.findall(r"\((\d+)x(\d+)\)", told)]
    columns, rows = zip(pairs[0], pairs[-1], strict=True)
    return [
        [column * side, row * side]
        for column in range(columns[0], columns[1] + 1)
        for row in range(rows[0], rows[1] + 1)
    ]


class LlavaQwenModel(LlavaOnevisionModel):
    """The network below the logits."""

    def get_video_features(
        self, pixel_values_videos: Float[Tensor, "B F C H W"], **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """Pooled frames, with a line end behind each line or one behind all."""
        found = super().get_video_features(pixel_values_videos, **kwargs)
        if self.config.mm_newline_position == "grid":
            states = found.pooler_output[:, :-1]  # (B, F h w, D): transformers puts one at the end
            side = isqrt(states.shape[1] // pixel_values_videos.shape[1])
            lines = states.unflatten(1, (-1, side))
            ends = self.image_newline.to(states).expand(*lines.shape[:2], 1, -1)
            found.pooler_output = torch.cat([lines, ends], dim=2).flatten(1, 2)
        return found

    def apply_pooling(self, image_features: Float[Tensor, "F P D"]) -> Float[Tensor, "F _ D"]:
        """Two by two, as `mm_spatial_pool_mode` says."""
        pool = POOLS[self.config.mm_spatial_pool_mode]
        if pool is None:
            return super().apply_pooling(image_features)
        maps = image_features.unflatten(1, (isqrt(image_features.shape[1]), -1)).movedim(-1, 1)
        return pool(maps, 2).flatten(2).mT


class LlavaQwenForCausalLM(LlavaOnevisionForConditionalGeneration):
    """The network, under the name that its checkpoints tell."""

    config_class = LlavaQwenConfig

    def __init__(self, config: LlavaQwenConfig) -> None:
        super().__init__(config)
        self.model = LlavaQwenModel(config)
        self.post_init()


def pooled_side(config: LlavaQwenConfig) -> int:
    """Visual tokens of a video's frame, one way."""
    side = config.vision_config.image_size // config.vision_config.patch_size
    return ceil(side / 2) if POOLS[config.mm_spatial_pool_mode] is None else side // 2


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
