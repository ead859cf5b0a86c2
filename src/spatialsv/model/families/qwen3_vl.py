"""Qwen3-VL (arXiv 2511.21631): as Qwen2.5-VL, but for DeepStack and the times in a video.

DeepStack adds features of earlier encoder layers to the visual states of the first LLM layers, so
hidden states there hold more than what entered the LLM; their places are the same.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedConfig, Qwen3VLForConditionalGeneration

from spatialsv.model.families.qwen2_5_vl import Qwen25VL

SECONDS = 1.0  # between two frames: views have no times of their own


class Qwen3VL(Qwen25VL):
    """Qwen3-VL. The paper has no settings for it; its rates are those of Qwen2.5-VL."""

    model_class = Qwen3VLForConditionalGeneration
    projector = ("model.visual.merger.", "model.visual.deepstack_merger_list.")

    def __init__(self, tokenizer: Any, image_processor: Any, config: PreTrainedConfig) -> None:
        super().__init__(tokenizer, image_processor, config)
        start, end = config.vision_start_token_id, config.vision_end_token_id
        self.template_ids["video"] = (start, self.placeholder_ids["video"], end)

    def encoder_output_layers(self) -> tuple[int, ...]:
        """See `Family`."""
        return (
            *self.config.vision_config.deepstack_visual_indexes,
            *super().encoder_output_layers(),
        )

    def _stand_for_video(
        self, slots: list[Int[Tensor, " _"]], frames: Int[Tensor, "slots together"]
    ) -> tuple[Int[Tensor, " _"], ...]:
        """Each slot between tokens of its own, after the mean time of its frames."""
        start, pad, end = self.template_ids["video"]
        parts = []
        for slot, time in zip(slots, frames.double().mean(dim=1) * SECONDS, strict=True):
            told = self.tokenizer(f"<{time:.1f} seconds>", add_special_tokens=False)["input_ids"]
            parts += [*told, start, *[pad] * len(slot), end]
        return (torch.tensor(parts),)
