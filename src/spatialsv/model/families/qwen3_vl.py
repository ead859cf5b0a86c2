"""Qwen3-VL (arXiv 2511.21631): like Qwen2.5-VL, with DeepStack and timestamps in videos.

DeepStack adds features of earlier encoder layers to the visual states of the first LLM layers, so
hidden states there hold more than what entered the LLM; their token positions are the same.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedConfig, Qwen3VLForConditionalGeneration

from spatialsv.model.families.qwen2_5_vl import Qwen25VL

FRAME_SECONDS = 1.0  # between two frames: views have no timestamps


class Qwen3VL(Qwen25VL):
    """Qwen3-VL. The paper lists no settings for it; its learning rates are Qwen2.5-VL's."""

    model_class = Qwen3VLForConditionalGeneration
    projector = ("model.visual.merger.", "model.visual.deepstack_merger_list.")

    def __init__(self, tokenizer: Any, image_processor: Any, config: PreTrainedConfig) -> None:
        super().__init__(tokenizer, image_processor, config)
        start, end = self.config.vision_start_token_id, self.config.vision_end_token_id
        self.template_ids["video"] = (start, self.placeholder_ids["video"], end)

    def encoder_output_layers(self) -> tuple[int, ...]:
        """See `Family`."""
        deepstack = self.config.vision_config.deepstack_visual_indexes
        return (*deepstack, *super().encoder_output_layers())

    def _video_placeholder(
        self, slots: list[Int[Tensor, " _"]], frames: Int[Tensor, "slots together"]
    ) -> Int[Tensor, " _"]:
        """Return each slot's tokens between start and end, after the mean time of its frames."""
        start, pad, end = self.template_ids["video"]
        parts: list[int] = []
        for slot, time in zip(slots, frames.double().mean(dim=1) * FRAME_SECONDS, strict=True):
            stamp = f"<{time:.1f} seconds>"
            parts += self.tokenizer(stamp, add_special_tokens=False)["input_ids"]
            parts += [start, *[pad] * len(slot), end]
        return torch.tensor(parts)
