"""Samples of different lengths as one `Batch`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from spatialsv.geometry.lifted import GeometryLabels, labels_from_cameras
from spatialsv.samples.batch import Batch
from spatialsv.samples.chat import IGNORED, Tokens
from spatialsv.samples.dataset import Sample
from spatialsv.samples.packing import Packing, pack
from spatialsv.samples.targets import Target


@dataclass(frozen=True, kw_only=True)
class Collate:
    """Pads and stacks samples.

    Left padding is for generation, where all prompts must end together.
    """

    pad_token_id: int
    image_token_id: int
    side: Literal["left", "right"] = "right"
    packed: bool = False  # whether samples are packed chats

    @classmethod
    def of(cls, processor: Any, **settings: Any) -> Collate:
        """The collation that an MLLM's processor asks for."""
        tokenizer = processor.tokenizer
        image_token_id = tokenizer.convert_tokens_to_ids(processor.image_token)
        return cls(pad_token_id=tokenizer.pad_token_id, image_token_id=image_token_id, **settings)

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """One batch, with labels, and with geometry where any sample has some."""
        chats = [sample.tokens for sample in samples]
        input_ids = self._pad([chat.input_ids for chat in chats], self.pad_token_id)
        return Batch(
            input_ids=input_ids,
            attention_mask=self._pad([torch.ones_like(chat.input_ids) for chat in chats], 0),
            mm_token_type_ids=(input_ids == self.image_token_id).int(),
            pixel_values=torch.cat([sample.pixel_values.flatten(0, 1) for sample in samples]),
            image_grid_thw=torch.cat([sample.grid for sample in samples]),
            num_views=tuple(len(sample.grid) for sample in samples),
            labels=self._pad([chat.labels for chat in chats], IGNORED),
            geometry=stack_targets([sample.target for sample in samples]),
            packing=_pack_chats(chats) if self.packed else None,
        )

    def _pad(self, rows: list[Tensor], value: int) -> Tensor:
        longest = max(len(row) for row in rows)
        gaps = [longest - len(row) for row in rows]
        ends = [(gap, 0) if self.side == "left" else (0, gap) for gap in gaps]
        return torch.stack(
            [pad(row, end, value=value) for row, end in zip(rows, ends, strict=True)]
        )


def _pack_chats(chats: Sequence[Tokens]) -> Packing:
    """Where the chats of packed samples stand.

    Raises:
        ValueError: samples with heads of different lengths, that is, other numbers or sizes of
            views.
    """
    heads = {len(chat) - sum(chat.tails) for chat in chats}
    if len(heads) > 1:
        raise ValueError(
            f"samples with {sorted(heads)} tokens up to their last image's end in one batch: packed"
            " questions need equally many views of one size, so set train.packed to false"
        )
    return pack(heads.pop(), [chat.tails for chat in chats])


def stack_targets(targets: Sequence[Target | None]) -> GeometryLabels | None:
    """The labels of B samples, rays and points computed; None if no sample has any.

    Raises:
        ValueError: samples with different numbers of views or sizes of depth.
    """
    known = [target for target in targets if target is not None]
    if not known:
        return None
    if len({target.depth.shape for target in known}) > 1:
        shapes = sorted({tuple(target.depth.shape) for target in known})
        raise ValueError(
            f"labels of (views, height, width) {shapes} in one batch: geometry is taught in"
            " batches of one shape, so let all questions show equally many views"
        )
    # A sample without labels stands in the batch as the first one that has some, marked absent.
    filled = [target or known[0] for target in targets]
    present = torch.tensor([target is not None for target in targets])
    valid = torch.stack([target.valid for target in filled]) & present[:, None, None, None]
    features = None
    if known[0].features is not None:
        features = torch.stack([target.features for target in filled])
    return labels_from_cameras(
        torch.stack([target.depth for target in filled]),
        valid,
        torch.stack([target.intrinsics for target in filled]),
        torch.stack([target.cam_to_world for target in filled]),
        features=features,
        present=present,
    )
