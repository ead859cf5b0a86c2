"""`Batch`, the input of one training or evaluation step, and `Packing` of questions within it.

Most tokens of a prompt belong to its images. Questions that are packed after the images they share
cost only their own tokens. None sees another, so each is answered exactly as in a separate prompt,
which turns of one chat are not.

Shapes: B samples, T tokens, N views of the sample that has most, h w visual tokens of a view; P
tokens of the shared head and U after it, Q questions at most, L tokens of the longest question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from spatialsv.geometry.maps import GeometryLabels, tensors_to_device


@dataclass(frozen=True, kw_only=True, eq=False)
class Packing:
    """Positions of packed questions after the heads of B samples."""

    head: int  # P
    slots: Int[Tensor, "B Q L"]  # position of each question's tokens after the head; rest arbitrary
    slot_index: Int[Tensor, "B U"]  # which of the Q * L slots holds each token; of padding, any
    visible: Bool[Tensor, "B Q P"]  # tokens of the head that a question attends to

    def to(self, device: torch.device) -> Packing:
        """Return the same packing with all tensors on `device`."""
        return tensors_to_device(self, device)

    @property
    def steps(self) -> Int[Tensor, "B U"]:
        """Position of each token in its question."""
        return self.slot_index % self.slots.shape[-1]


def pack(head: int, lengths: Sequence[Sequence[int]]) -> Packing:
    """Return the packing of consecutive questions that attend to the full head.

    Args:
        head: tokens that all questions of a sample share.
        lengths: tokens of each question, by sample.

    Returns:
        The packing.
    """
    longest = max(max(sample) for sample in lengths)
    count = max(len(sample) for sample in lengths)
    slots = np.zeros((len(lengths), count, longest), np.int64)
    slot_index = np.zeros((len(lengths), max(sum(sample) for sample in lengths)), np.int64)
    for row, sample in enumerate(lengths):
        at = 0
        for question, length in enumerate(sample):
            steps = np.arange(length)
            slots[row, question, :length] = at + steps
            slot_index[row, at : at + length] = question * longest + steps
            at += length
    return Packing(
        head=head,
        slots=torch.from_numpy(slots),
        slot_index=torch.from_numpy(slot_index),
        visible=torch.ones(len(lengths), count, head, dtype=torch.bool),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Tokens, views and targets of B samples.

    A spatial-only sample has no question: its tokens are those of its images, and all its labels
    are -100. `geometry` may be absent, or present for some samples only (`geometry.present`).

    Raises:
        ValueError: masks or labels of another shape than the tokens.
    """

    input_ids: Int[Tensor, "B T"]
    attention_mask: Int[Tensor, "B T"]
    inputs: dict[str, Tensor]  # further arguments of the MLLM's forward, named by its family
    ids: tuple[str, ...]  # ids of the questions; of scenes without any
    token_index: Int[Tensor, "B N h w"]  # position of each visual state's token; of no view, 0
    labels: Int[Tensor, "B T"] | None = None  # -100: not scored
    geometry: GeometryLabels | None = None
    packing: Packing | None = None  # where each sample's tokens are several chats
    encoded: dict[str, Tensor] = field(default_factory=dict)  # as in `PreparedViews`, concatenated

    def __post_init__(self) -> None:
        size = tuple(self.input_ids.shape)
        for name in ("attention_mask", "labels"):
            value = getattr(self, name)
            if value is not None and tuple(value.shape) != size:
                raise ValueError(
                    f"{name}: expected {size} like input_ids, found {tuple(value.shape)}."
                )

    def to(self, device: torch.device | str) -> Batch:
        """Return the same batch with all tensors on `device`."""
        return tensors_to_device(self, device)

    def model_inputs(self) -> dict[str, Tensor]:
        """Return the arguments of the MLLM's forward, without labels: losses are computed here."""
        return {
            "input_ids": self.input_ids,
            "attention_mask": self.attention_mask,
            **self.inputs,
        }

    def visual_states(self, states: Float[Tensor, "B T D"]) -> Float[Tensor, "B N h w D"]:
        """Select the hidden states at the visual tokens, view by view in raster order."""
        rows = torch.arange(len(states), device=states.device)[:, None, None, None]
        return states[rows, self.token_index]
