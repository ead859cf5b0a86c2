"""Collate samples of different lengths into one `Batch`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import pad

from spatialsv.geometry.maps import GeometryLabels, labels_from_cameras
from spatialsv.samples.batch import Batch, Packing, pack
from spatialsv.samples.chat import IGNORED, Tokens
from spatialsv.samples.dataset import Sample
from spatialsv.samples.targets import Target
from spatialsv.samples.views import PreparedViews, ViewProcessor


@dataclass(frozen=True, kw_only=True)
class Collate:
    """Pads and stacks samples.

    Left padding is for generation, where all prompts must end at the same position.
    """

    processor: ViewProcessor
    side: Literal["left", "right"] = "right"
    packed: bool = False  # whether samples are packed chats

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Return one batch, with labels, and with geometry if any sample has a target."""
        chats = [sample.tokens for sample in samples]
        views = [sample.views for sample in samples]
        padding = self.processor.tokenizer.pad_token_id
        input_ids = self._pad([chat.input_ids for chat in chats], padding)
        return Batch(
            input_ids=input_ids,
            attention_mask=self._pad([torch.ones_like(chat.input_ids) for chat in chats], 0),
            inputs=self.processor.batch_inputs(views, input_ids),
            ids=tuple(name for sample in samples for name in sample.ids),
            token_index=locate_visual_tokens(input_ids, views, self.processor.visual_tokens),
            labels=self._pad([chat.labels for chat in chats], IGNORED),
            geometry=stack_targets([sample.target for sample in samples], list(map(len, views))),
            packing=_pack_chats(chats) if self.packed else None,
            encoded={n: torch.cat([v.encoded[n] for v in views]) for n in views[0].encoded},
        )

    def _pad(self, rows: list[Tensor], value: int) -> Tensor:
        longest = max(len(row) for row in rows)
        gaps = [longest - len(row) for row in rows]
        ends = [(gap, 0) if self.side == "left" else (0, gap) for gap in gaps]
        return torch.stack(
            [pad(row, end, value=value) for row, end in zip(rows, ends, strict=True)]
        )


def locate_visual_tokens(
    input_ids: Int[Tensor, "B T"], views: Sequence[PreparedViews], visual_tokens: frozenset[int]
) -> Int[Tensor, "B N h w"]:
    """Return the position of each cell's visual token in its row.

    Grids that are coarser than the finest of the batch are resized to it by nearest neighbour.

    Args:
        input_ids: the padded tokens.
        views: the prepared views of each sample.
        visual_tokens: ids of tokens that hold visual states.

    Returns:
        The positions; 0 for views that a sample does not have.

    Raises:
        ValueError: a row has another number of visual tokens than its views.
    """
    rows, columns = (max(grid.shape[axis] for v in views for grid in v.grids) for axis in (0, 1))
    visual = torch.tensor(sorted(visual_tokens))
    is_visual = torch.isin(input_ids, visual)
    token_index = input_ids.new_zeros(len(views), max(map(len, views)), rows, columns)
    for row, prepared in enumerate(views):
        found = is_visual[row].nonzero()[:, 0]
        expected = sum(int(torch.isin(stand, visual).sum()) for stand in prepared.placeholders)
        if len(found) != expected:
            raise ValueError(
                f"Sample {row} of the batch: expected {expected} visual tokens for its views, found"
                f" {len(found)}. Check whether the tokens were truncated."
            )
        for view, grid in enumerate(prepared.grids):
            token_index[row, view] = found[resize_grid(grid, rows, columns)]
    return token_index


def resize_grid(grid: Int[Tensor, "h w"], rows: int, columns: int) -> Int[Tensor, "H W"]:
    """Resize `grid` to rows x columns cells of the same image, by nearest neighbour."""
    height, width = grid.shape
    down = (torch.arange(rows) * 2 + 1) * height // (2 * rows)
    across = (torch.arange(columns) * 2 + 1) * width // (2 * columns)
    return grid[down[:, None], across[None]]


def _pack_chats(chats: Sequence[Tokens]) -> Packing:
    """Pack the questions of samples.

    Returns:
        Their positions.

    Raises:
        ValueError: samples whose heads differ in length: other numbers or sizes of views.
    """
    heads = {len(chat) - sum(chat.tails) for chat in chats}
    if len(heads) > 1:
        raise ValueError(
            f"Packed samples of one batch have {sorted(heads)} tokens up to the end of their last"
            " image, but packed questions need equal numbers of views of one size. Set train.packed"
            " to false."
        )
    return pack(heads.pop(), [chat.tails for chat in chats])


def stack_targets(targets: Sequence[Target | None], views: Sequence[int]) -> GeometryLabels | None:
    """Stack the targets of B samples, with their rays and points.

    Args:
        targets: one for each sample, or None.
        views: number of views of each sample.

    Returns:
        The labels; None if no sample has a target.

    Raises:
        ValueError: targets of different sizes or feature grids.
    """
    known = [target for target in targets if target is not None]
    if not known:
        return None
    if len({target.depth.shape[1:] for target in known}) > 1:
        shapes = sorted({tuple(target.depth.shape[1:]) for target in known})
        raise ValueError(
            f"Labels of (height, width) {shapes} in one batch. Set train.label_size, such as"
            " [252, 252], to resample all labels to one size."
        )
    grids = {target.features.shape[1:3] for target in known if target.features is not None}
    if len(grids) > 1:
        raise ValueError(
            f"Teacher features of {sorted(map(tuple, grids))} patches in one batch, but"
            " distillation needs one grid. Choose a teacher with one grid, or an arm with distill:"
            " false."
        )
    most = max(views)
    # Missing views and targets are filled with values of others, and marked absent.
    filled = [_pad_target(target or known[0], most) for target in targets]
    counts = [0 if target is None else n for target, n in zip(targets, views, strict=True)]
    present = torch.arange(most) < torch.tensor(counts)[:, None]
    return labels_from_cameras(
        torch.stack([target.depth for target in filled]),
        torch.stack([target.valid for target in filled]) & present[..., None, None],
        torch.stack([target.intrinsics for target in filled]),
        torch.stack([target.cam_to_world for target in filled]),
        features=_stack([target.features for target in filled]),
        present=present,
        confidence=_stack([target.confidence for target in filled]),
        border=_stack(_fill_borders(filled)),
    )


def _stack(values: Sequence[Tensor | None]) -> Tensor | None:
    """Return the stack of `values`; None where they are absent, as in all samples or in none."""
    found = [value for value in values if value is not None]
    return torch.stack(found) if found else None


def _fill_borders(targets: Sequence[Target]) -> list[Tensor | None]:
    """Return the borders of all targets, without any patch for uncropped ones; None if all are."""
    if all(target.border is None for target in targets):
        return []
    shapes = [t.features.shape[:3] for t in targets if t.features is not None]
    empty = torch.zeros(shapes[0], dtype=torch.bool)
    return [empty if target.border is None else target.border for target in targets]


def _pad_target(target: Target, views: int) -> Target:
    """Return `target` with `views` views, of which the last ones repeat its last view."""

    def repeat_last(value: Tensor) -> Tensor:
        return value[torch.arange(views).clamp_max(len(value) - 1)]

    return Target(
        depth=repeat_last(target.depth),
        valid=repeat_last(target.valid),
        intrinsics=repeat_last(target.intrinsics),
        cam_to_world=repeat_last(target.cam_to_world),
        features=None if target.features is None else repeat_last(target.features),
        confidence=None if target.confidence is None else repeat_last(target.confidence),
        border=None if target.border is None else repeat_last(target.border),
    )
