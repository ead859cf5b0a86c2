"""Questions packed behind the images that they share, none of which sees another.

Most of a prompt is its images. Packed, a scene's questions cost their own tokens only, and each is
answered exactly as if it were asked alone, which turns of one chat are not.

Shapes: B samples, T tokens: P of the head that is shared and U behind it; Q questions at most,
L tokens of the longest question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from spatialsv.geometry.maps import tensors_to_device


@dataclass(frozen=True, kw_only=True, eq=False)
class Packing:
    """Where the questions of B samples stand behind their heads."""

    head: int  # P
    slots: Int[Tensor, "B Q L"]  # each question's tokens, counted from the head; past its end, any
    places: Int[Tensor, "B U"]  # which of the Q * L slots holds each token; of padding, any
    sees: Bool[Tensor, "B Q P"]  # which of the head's tokens a question sees

    def to(self, device: torch.device | str) -> Packing:
        """The same packing with all tensors on `device`."""
        return tensors_to_device(self, device)

    @property
    def steps(self) -> Int[Tensor, "B U"]:
        """Each token's place in its own question."""
        return self.places % self.slots.shape[-1]


def pack(head: int, lengths: Sequence[Sequence[int]]) -> Packing:
    """Questions of these lengths, each sample's one after the other; all see the whole head."""
    longest = max(max(sample) for sample in lengths)
    count = max(len(sample) for sample in lengths)
    slots = np.zeros((len(lengths), count, longest), np.int64)
    places = np.zeros((len(lengths), max(sum(sample) for sample in lengths)), np.int64)
    for row, sample in enumerate(lengths):
        at = 0
        for question, length in enumerate(sample):
            steps = np.arange(length)
            slots[row, question, :length] = at + steps
            places[row, at : at + length] = question * longest + steps
            at += length
    return Packing(
        head=head,
        slots=torch.from_numpy(slots),
        places=torch.from_numpy(places),
        sees=torch.ones(len(lengths), count, head, dtype=torch.bool),
    )
