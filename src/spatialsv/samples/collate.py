"""Samples of different lengths as one `Batch`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import pad

from spatialsv.geometry.maps import GeometryLabels, labels_from_cameras
from spatialsv.samples.batch import Batch
from spatialsv.samples.chat import IGNORED, Tokens
from spatialsv.samples.dataset import Sample
from spatialsv.samples.packing import Packing, pack
from spatialsv.samples.targets import Target
from spatialsv.samples.views import PreparedViews, ViewProcessor


@dataclass(frozen=True, kw_only=True)
class Collate:
    """Pads and stacks samples.

    Left padding is for generation, where all prompts must end together.
    """

    processor: ViewProcessor
    side: Literal["left", "right"] = "right"
    packed: bool = False  # whether samples are packed chats

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """One batch, with labels, and with geometry where any sample has some."""
        chats = [sample.tokens for sample in samples]
        shown = [sample.views for sample in samples]
        padding = self.processor.tokenizer.pad_token_id
        input_ids = self._pad([chat.input_ids for chat in chats], padding)
        return Batch(
            input_ids=input_ids,
            attention_mask=self._pad([torch.ones_like(chat.input_ids) for chat in chats], 0),
            inputs=self.processor.batch_inputs(shown, input_ids),
            ids=tuple(name for sample in samples for name in sample.ids),
            places=visual_places(input_ids, shown, self.processor.visual_tokens),
            labels=self._pad([chat.labels for chat in chats], IGNORED),
            geometry=stack_targets([sample.target for sample in samples], list(map(len, shown))),
            packing=_pack_chats(chats) if self.packed else None,
            encoded={n: torch.cat([v.encoded[n] for v in shown]) for n in shown[0].encoded},
        )

    def _pad(self, rows: list[Tensor], value: int) -> Tensor:
        longest = max(len(row) for row in rows)
        gaps = [longest - len(row) for row in rows]
        ends = [(gap, 0) if self.side == "left" else (0, gap) for gap in gaps]
        return torch.stack(
            [pad(row, end, value=value) for row, end in zip(rows, ends, strict=True)]
        )


def visual_places(
    input_ids: Int[Tensor, "B T"], shown: Sequence[PreparedViews], visual_tokens: frozenset[int]
) -> Int[Tensor, "B N h w"]:
    """Where in each row of tokens the visual state of each view's cell stands.

    Views of coarser grids than the batch's finest are spread over it, nearest token to each cell.
    A sample of fewer views than another has 0 in place of those it lacks.

    Raises:
        ValueError: a row with another number of visual tokens than its views have.
    """
    rows, columns = (max(grid.shape[axis] for v in shown for grid in v.grids) for axis in (0, 1))
    visual = torch.tensor(sorted(visual_tokens))
    is_visual = torch.isin(input_ids, visual)
    places = input_ids.new_zeros(len(shown), max(map(len, shown)), rows, columns)
    for row, views in enumerate(shown):
        found = is_visual[row].nonzero()[:, 0]
        needed = sum(int(torch.isin(stand, visual).sum()) for stand in views.placeholders)
        if len(found) != needed:
            raise ValueError(
                f"sample {row} of the batch has {len(found)} visual tokens, and its views need"
                f" {needed}; were the tokens truncated?"
            )
        for view, grid in enumerate(views.grids):
            places[row, view] = found[spread(grid, rows, columns)]
    return places


def spread(grid: Int[Tensor, "h w"], rows: int, columns: int) -> Int[Tensor, "H W"]:
    """`grid` on rows x columns cells of the same picture, by the nearest cell's entry."""
    height, width = grid.shape
    down = (torch.arange(rows) * 2 + 1) * height // (2 * rows)
    across = (torch.arange(columns) * 2 + 1) * width // (2 * columns)
    return grid[down[:, None], across[None]]


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


def stack_targets(targets: Sequence[Target | None], views: Sequence[int]) -> GeometryLabels | None:
    """The labels of B samples of so many views, rays and points computed; None if none has any.

    Raises:
        ValueError: labels of different sizes.
    """
    known = [target for target in targets if target is not None]
    if not known:
        return None
    if len({target.depth.shape[1:] for target in known}) > 1:
        shapes = sorted({tuple(target.depth.shape[1:]) for target in known})
        raise ValueError(
            f"labels of (height, width) {shapes} in one batch: geometry is taught at one size, so"
            " set train.label_size, such as [252, 252]; labels are then brought to it"
        )
    grids = {target.features.shape[1:3] for target in known if target.features is not None}
    if len(grids) > 1:
        raise ValueError(
            f"teacher's features of {sorted(map(tuple, grids))} patches in one batch: distillation"
            " needs one grid, so choose a teacher that has one, or an arm with distill: false"
        )
    most = max(views)
    # What a sample lacks, views or all labels, stands in the batch as another's, marked absent.
    filled = [_filled(target, known[0], most) for target in targets]
    taught = [0 if target is None else count for target, count in zip(targets, views, strict=True)]
    present = torch.arange(most) < torch.tensor(taught)[:, None]
    features = None
    if known[0].features is not None:
        features = torch.stack([target.features for target in filled])
    return labels_from_cameras(
        torch.stack([target.depth for target in filled]),
        torch.stack([target.valid for target in filled]) & present[..., None, None],
        torch.stack([target.intrinsics for target in filled]),
        torch.stack([target.cam_to_world for target in filled]),
        features=features,
        present=present,
    )


def _filled(target: Target | None, like: Target, views: int) -> Target:
    """`target` with as many `views`, the last one repeated; without a target, `like`'s."""
    own = target or like

    def repeated(value: Tensor | None) -> Tensor | None:
        if value is None:
            return None
        return value[torch.arange(views).clamp_max(len(value) - 1)]

    return Target(
        depth=repeated(own.depth),
        valid=repeated(own.valid),
        intrinsics=repeated(own.intrinsics),
        cam_to_world=repeated(own.cam_to_world),
        features=repeated(own.features),
    )
