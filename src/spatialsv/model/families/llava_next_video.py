"""LLaVA-NeXT-Video (transformers' Vicuna model): tiled images, and video frames pooled 2 x 2.

The paper's "LLaVA-NeXT-Video" is either this model or LLaVA-Video-7B-Qwen2, which it cites: see
`llava_video.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from transformers import LlavaNextVideoForConditionalGeneration
from transformers.models.llava_next.image_processing_pil_llava_next import (
    LlavaNextImageProcessorPil,
)

from spatialsv.model.families.anyres import Anyres, stack_tiles
from spatialsv.samples.views import Kind, PreparedViews


class LlavaNextVideo(Anyres):
    """LLaVA-NeXT-Video.

    Frames are resized to the encoder's square. The model's own video processor crops them, but then
    a grid would not cover its view.
    """

    model_class = LlavaNextVideoForConditionalGeneration
    image_processor_class = LlavaNextImageProcessorPil
    projector = ("model.multi_modal_projector.", "model.image_newline", "model.vision_resampler.")
    taps = {32: (4, 11, 18, 25)}  # noqa: RUF012

    def prepare(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], kind: Kind) -> PreparedViews:
        """See `Family`."""
        prepared = [self.image_processor(images=[i], return_tensors="pt") for i in images]
        tiles = [one["pixel_values"] for one in prepared]  # (1, P, C, H, W)
        if kind == "video":
            return self.as_video(tiles, self.side // self.config.spatial_pool_stride, ends=0)
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        inputs = {"pixel_values": stack_tiles(tiles), "image_sizes": torch.tensor(sizes)}
        return self.as_images(inputs, [self.tiled(*self.unpadded(size)) for size in sizes])
