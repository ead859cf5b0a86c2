"""`Batch`: what one training or evaluation step reads, whoever collated it.

Shapes: B samples, T tokens, V views of all samples together, P image patches of all views.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spatialsv.geometry.lifted import GeometryLabels, tensors_to
from spatialsv.samples.packing import Packing


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Tokens, images and targets of B samples, as the processor of the MLLM delivers them.

    A spatial-only sample has every label at -100: its tokens are its images' and nothing is said
    about them. `geometry` may be absent, or present for some samples only (`geometry.present`).

    Raises:
        ValueError: token maps of different shapes, or views that `image_grid_thw` does not hold.
    """

    input_ids: Int[Tensor, "B T"]
    attention_mask: Int[Tensor, "B T"]
    mm_token_type_ids: Int[Tensor, "B T"]  # 0 text, 1 image
    pixel_values: Float[Tensor, "P D"]
    image_grid_thw: Int[Tensor, "V 3"]  # patches of each view: time, height, width
    num_views: tuple[int, ...]  # views of each sample, in the order of image_grid_thw
    labels: Int[Tensor, "B T"] | None = None  # -100: not scored
    geometry: GeometryLabels | None = None
    packing: Packing | None = None  # where each sample's tokens are several chats

    def __post_init__(self) -> None:
        size = tuple(self.input_ids.shape)
        for name in ("attention_mask", "mm_token_type_ids", "labels"):
            value = getattr(self, name)
            if value is not None and tuple(value.shape) != size:
                raise ValueError(f"{name}: expected {size} like input_ids, found {value.shape}")
        if len(self.num_views) != size[0] or sum(self.num_views) != len(self.image_grid_thw):
            raise ValueError(
                f"num_views {self.num_views}: expected {size[0]} counts that add up to the"
                f" {len(self.image_grid_thw)} images of image_grid_thw"
            )

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with all tensors on `device`."""
        return tensors_to(self, device)

    def model_inputs(self) -> dict[str, Tensor]:
        """The keyword arguments of the MLLM's forward; labels stay out, losses are ours."""
        return {
            "input_ids": self.input_ids,
            "attention_mask": self.attention_mask,
            "mm_token_type_ids": self.mm_token_type_ids,
            "pixel_values": self.pixel_values,
            "image_grid_thw": self.image_grid_thw,
        }
