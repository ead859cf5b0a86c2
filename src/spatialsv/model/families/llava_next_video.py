"""LLaVA-NeXT-Video (transformers' Vicuna model): images in tiles, video frames pooled two by two.

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

    Frames are squashed to the encoder's square and not cropped to it, as its own video processor
    would, so that a grid is a whole view's (ours).
    """

    model_class = LlavaNextVideoForConditionalGeneration
    image_processor_class = LlavaNextImageProcessorPil
    projector = ("model.multi_modal_projector.", "model.image_newline", "model.vision_resampler.")
    taps = {32: (4, 11, 18, 25)}  # noqa: RUF012

    def prepare(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], kind: Kind) -> PreparedViews:
        """See `Family`."""
        prepared = [self.image_processor(images=[i], return_tensors="pt") for i in images]
        tiles = [one["pixel_values"] for one in prepared]  # (1, P, C, H, W), the squashed one first
        if kind == "video":
            return self.as_video(tiles, self.side // self.config.spatial_pool_stride, ends=0)
        maps = [self.tiled(*self.unpadded(image.shape[:2])) for image in images]
        sizes = torch.tensor([image.shape[:2] for image in images])
        return self.as_images({"pixel_values": stack_tiles(tiles), "image_sizes": sizes}, maps)
