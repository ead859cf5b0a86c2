"""LLaVA-OneVision-1.5 (arXiv 2509.23661): images as Qwen2.5-VL's, frames of a video one by one."""

from __future__ import annotations

from spatialsv.model.families.family import Family
from spatialsv.model.families.qwen2_5_vl import Qwen25VL
from spatialsv.model.families.rice_qwen3 import LLaVAOneVision1_5_ForConditionalGeneration


class LlavaOneVision15(Qwen25VL):
    """LLaVA-OneVision-1.5. Its processor's `temporal_patch_size` is 1: no frames share a slot."""

    model_class = LLaVAOneVision1_5_ForConditionalGeneration
    taps = {36: (4, 12, 20, 28)}  # noqa: RUF012  both 4B and 8B
    batch_inputs = Family.batch_inputs  # no token types, and
    prefix_positions = Family.prefix_positions  # positions in one dimension
