"""`Batch`: what one training or evaluation step reads, whoever collated it.

Shapes: B samples, T tokens, N views of the sample that has most, h w visual tokens of a view.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spatialsv.geometry.maps import GeometryLabels, tensors_to_device
from spatialsv.samples.packing import Packing


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Tokens, views and targets of B samples.

    A spatial-only sample has every label at -100: its tokens are its images' and nothing is said
    about them. `geometry` may be absent, or present for some samples only (`geometry.present`).

    Raises:
        ValueError: token maps of different shapes.
    """

    input_ids: Int[Tensor, "B T"]
    attention_mask: Int[Tensor, "B T"]
    inputs: dict[str, Tensor]  # what else the MLLM's forward takes, in its family's own names
    ids: tuple[str, ...]  # of the questions, or of scenes without any
    places: Int[Tensor, "B N h w"]  # the token that holds each visual state; of no view, 0
    labels: Int[Tensor, "B T"] | None = None  # -100: not scored
    geometry: GeometryLabels | None = None
    packing: Packing | None = None  # where each sample's tokens are several chats
    # As in `PreparedViews`, of all samples.
    encoded: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size = tuple(self.input_ids.shape)
        for name in ("attention_mask", "labels"):
            value = getattr(self, name)
            if value is not None and tuple(value.shape) != size:
                raise ValueError(f"{name}: expected {size} like input_ids, found {value.shape}")

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with all tensors on `device`."""
        return tensors_to_device(self, device)

    def model_inputs(self) -> dict[str, Tensor]:
        """The keyword arguments of the MLLM's forward; labels stay out, losses are ours."""
        return {
            "input_ids": self.input_ids,
            "attention_mask": self.attention_mask,
            **self.inputs,
        }

    def visual_states(self, states: Float[Tensor, "B T D"]) -> Float[Tensor, "B N h w D"]:
        """Hidden states at the visual tokens, view by view in raster order."""
        rows = torch.arange(len(states), device=states.device)[:, None, None, None]
        return states[rows, self.places]
