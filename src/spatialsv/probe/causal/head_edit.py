"""Edits of visual states through a model's own heads.

Heads read geometry nonlinearly, so that linear directions may miss it. The edit of a layer is found
by gradient descent: small changes of the second view's states, after which the heads predict its
rays and points moved by a given rigid motion (as Li et al. 2023, arXiv 2210.13382, edit through
nonlinear probes). Only the heads decide; answers play no part.

Shapes: B samples, N views, h w visual tokens, D the width of a layer, H W pixels of the maps, K
maps of vectors: ray origins, ray directions, points, as far as there are heads.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from spatialsv.model.heads import SpatialHeads
from spatialsv.model.interventions import change_states
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.probe.cells import Cells
from spatialsv.samples.batch import Batch

RATE = 0.1  # of Adam, in units of the states' deviation


def can_edit(model: SpatialSV) -> bool:
    """Return whether the model has heads that predict poses."""
    return model.heads is not None and "rays" in model.heads.config.tasks


def edit_through_heads(
    model: SpatialSV,
    batch: Batch,
    layer: int,
    rotation: Float[Tensor, "B 3 3"],
    translation: Float[Tensor, "B 3"],
    view: int,
    steps: int,
) -> tuple[Float[Tensor, "B N h w D"], Float[Tensor, " B"]]:
    """Find the change of one view's states after which the heads predict moved rays and points.

    Args:
        model: frozen, with heads, see `can_edit`.
        batch: the samples.
        layer: the hidden state to change; no head may read an earlier one.
        rotation: of all that the view shows, in the labels' frame.
        translation: in the labels' frame and unit.
        view: the view.
        steps: of gradient descent.

    Returns:
        The change, 0 in other views; and the share of the motion that the heads then predict: 1
        minus the squared distance to the moved prediction, relative to that without a change.
    """
    with torch.no_grad():
        (states,) = model.visual_states(batch, [layer])
        before = _predict(model, batch, view)
        target = _move(_heads(model), before, rotation, translation)
    zeros, size = torch.zeros_like(states, dtype=torch.float32), states.float().std()
    index = torch.tensor([view], device=states.device)
    change = torch.zeros_like(zeros[:, [view]], requires_grad=True)
    optimizer = torch.optim.Adam([change], lr=RATE)

    def edit() -> Float[Tensor, "B N h w D"]:
        return zeros.index_copy(1, index, size * change)

    def distances() -> Float[Tensor, " B"]:
        with change_states(model, batch, layer, lambda own: own + edit().to(own)):
            predicted = _predict(model, batch, view)
        return (predicted - target).square().flatten(1).mean(1)

    for _ in range(steps):
        optimizer.zero_grad()
        distances().sum().backward()
        optimizer.step()
    with torch.no_grad():
        needed = (before - target).square().flatten(1).mean(1).clamp_min(1e-9)
        return edit(), 1 - distances() / needed


@torch.no_grad()
def explained_by_heads(
    model: SpatialSV, batches: Iterable[Batch], labels: Cells, view: int
) -> dict[str, float]:
    """Return the share of variance over scenes that the heads' rays explain for one view.

    Args:
        model: with heads, see `can_edit`.
        batches: the images of all scenes, in order.
        labels: the scenes' geometry.
        view: the view.

    Returns:
        R^2 of `position` (mean ray origin) and `heading` (mean ray direction); at most 1.
    """
    parts = [_predict(model, batch, view)[..., :2, :].mean((1, 2)).cpu() for batch in batches]
    read = torch.cat(parts)  # (S, 2, 3)
    rays = torch.stack([labels.rays.origins, labels.rays.directions], dim=-2)
    truth = rays[:, view].mean((1, 2)).to(read)
    residual = (truth - read).square().sum((0, 2))
    total = (truth - truth.mean(0)).square().sum((0, 2))
    position, heading = (1 - residual / total).tolist()
    return {"position": position, "heading": heading}


def _heads(model: SpatialSV) -> SpatialHeads:
    if model.heads is None or not can_edit(model):
        raise ValueError("Edits through heads need a model with heads of the task rays.")
    return model.heads


def _predict(model: SpatialSV, batch: Batch, view: int) -> Float[Tensor, "B H W K 3"]:
    """Return a view's predicted maps of vectors."""
    heads = _heads(model)
    lifted = heads(model.visual_states(batch, list(heads.config.taps or ())))
    maps = (lifted.ray_origins, lifted.ray_directions, lifted.points)
    return torch.stack([one[:, view].float() for one in maps if one is not None], dim=-2)


def _move(
    heads: SpatialHeads,
    maps: Float[Tensor, "B H W K 3"],
    rotation: Float[Tensor, "B 3 3"],
    translation: Float[Tensor, "B 3"],
) -> Float[Tensor, "B H W K 3"]:
    """Move predicted maps; directions only turn."""
    turned = torch.einsum("bij,bhwkj->bhwki", rotation.to(maps), maps)
    is_position = [1.0, 0.0, 1.0] if "points" in heads.config.tasks else [1.0, 0.0]
    shift = maps.new_tensor(is_position)[:, None]  # (K, 1)
    return turned + translation.to(maps)[:, None, None, None] * shift
