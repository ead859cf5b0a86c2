"""Qwen2.5-VL (arXiv 2502.13923): tokens in raster order; two video frames share a slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from transformers import PreTrainedModel, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from spatialsv.model.families.family import Family, consecutive_runs
from spatialsv.samples.views import Kind, PreparedViews


class Qwen25VL(Family):
    """Qwen2.5-VL."""

    model_class: ClassVar[type[PreTrainedModel]] = Qwen2_5_VLForConditionalGeneration
    image_processor_class = Qwen2VLImageProcessorPil
    vision = ("model.visual.",)
    projector: ClassVar[tuple[str, ...]] = ("model.visual.merger.",)
    encoder_layers = "model.visual.blocks"
    taps = {36: (4, 12, 20, 28), 28: (3, 10, 17, 24)}  # noqa: RUF012
    lr_llm = 2e-7

    def prepare(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], kind: Kind) -> PreparedViews:
        """See `Family`; the frames of a video must have one size after resizing."""
        out = self.image_processor(images=list(images), return_tensors="pt")
        values, patches = out["pixel_values"], out["image_grid_thw"]
        if kind == "video":
            return self._video(values, patches)
        sizes = [self._cells(patch) for patch in patches]
        tokens = consecutive_runs([rows * columns for rows, columns in sizes])
        image = self.placeholder_ids["image"]
        return PreparedViews(
            kind="image",
            inputs={"pixel_values": values, "image_grid_thw": patches},
            placeholders=tuple(torch.full_like(run, image) for run in tokens),
            grids=tuple(run.view(size) for run, size in zip(tokens, sizes, strict=True)),
        )

    def _video(self, values: Float[Tensor, "P D"], patches: Int[Tensor, "N 3"]) -> PreparedViews:
        if len(patches.unique(dim=0)) > 1:
            raise ValueError(
                f"Frames of a video must have the same number of patches, found {patches.tolist()}."
            )
        height, width = patches[0, 1:].tolist()
        frames = values.unflatten(0, (len(patches), -1))
        together = self.image_processor.temporal_patch_size
        slots = -(-len(frames) // together)
        # The processor repeats an image in time; a slot takes each moment from another frame.
        side = self.image_processor.patch_size
        moments = frames.unflatten(-1, (3, together, side * side))
        order = torch.arange(slots * together).clamp_max(len(frames) - 1).view(slots, together)
        slot_values = torch.stack(
            [moments[order[:, at], :, :, at] for at in range(together)], dim=-2
        )  # (slots, P, 3, together, side^2)
        tokens = consecutive_runs([height * width // self.image_processor.merge_size**2] * slots)
        return PreparedViews(
            kind="video",
            inputs={
                "pixel_values_videos": slot_values.flatten(2).flatten(0, 1),
                "video_grid_thw": torch.tensor([[slots, height, width]]),
            },
            placeholders=(self._video_placeholder(tokens, order),),
            grids=tuple(
                tokens[frame // together].view(self._cells(patches[0]))
                for frame in range(len(frames))
            ),
        )

    def _video_placeholder(
        self, slots: list[Int[Tensor, " _"]], frames: Int[Tensor, "slots together"]
    ) -> Int[Tensor, " _"]:
        """Return the tokens that stand for a video, from each slot's tokens and frames."""
        return torch.full_like(torch.cat(slots), self.placeholder_ids["video"])

    def _cells(self, patches: Int[Tensor, " 3"]) -> tuple[int, int]:
        """Return rows and columns of visual tokens."""
        _, height, width = patches.tolist()
        return height // self.image_processor.merge_size, width // self.image_processor.merge_size

    def encoder_output_layers(self) -> tuple[int, ...]:
        """See `Family`."""
        return (self.config.vision_config.depth - 1,)

    def batch_inputs(
        self, views: Sequence[PreparedViews], input_ids: Int[Tensor, "B T"]
    ) -> dict[str, Tensor]:
        """See `Family`; adds `mm_token_type_ids`: 1 at image tokens, 2 at video tokens."""
        image, video = (input_ids == self.placeholder_ids[kind] for kind in ("image", "video"))
        types = image.int() + 2 * video
        return super().batch_inputs(views, input_ids) | {"mm_token_type_ids": types}

    def prefix_positions(
        self, mllm: PreTrainedModel, prefix: Int[Tensor, "B P"], inputs: dict[str, Tensor]
    ) -> Int[Tensor, "3 B P"]:
        """See `Family`; the axes are time, row and column."""
        grids = {name: value for name, value in inputs.items() if name.endswith("_grid_thw")}
        types = inputs["mm_token_type_ids"][:, : prefix.shape[1]]
        model: Any = mllm.model
        return model.get_rope_index(prefix, types, **grids)[0]
