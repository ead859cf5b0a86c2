"""Edits of visual states along the directions from which linear probes read geometry.

A ridge probe reads ray origin, ray direction and point of each cell from its state. The edit is the
smallest change of a state, in units of its channels' deviations, that changes what the probe reads
by a given amount (Li et al. 2023, arXiv 2210.13382; Nanda et al. 2023, arXiv 2309.00941). Its
control is equally large and in random directions.

Shapes: S scenes, N views, h w cells, D the width of a layer, 9 outputs: origin, direction, point.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.probe.cells import Cells, output_slices, position_features
from spatialsv.probe.layers import MAX_WAVES
from spatialsv.probe.ridge import Linear, Sums, fit_ridge

HELD_OUT = 8  # one scene in so many selects the ridge penalty
OUTPUTS = slice(output_slices(1)["origins"].start, output_slices(1)["points"].stop)


@dataclass(frozen=True, eq=False)
class PoseProbe:
    """A linear probe of one layer, and the changes of states that it reads as given changes."""

    linear: Linear  # from a cell's state and position
    edit: Float[Tensor, "9 D"]  # change of a state for a unit change of each output
    random_edit: Float[Tensor, "9 D"]  # equally large in units of deviation, other directions

    def read(self, states: Float[Tensor, "S N h w D"]) -> Float[Tensor, "S N h w 9"]:
        """Return what the probe reads from states."""
        return self.linear(_inputs(states))


def fit_pose_probe(states: Float[Tensor, "S N h w D"], labels: Cells, seed: int) -> PoseProbe:
    """Fit a probe of one layer.

    Args:
        states: of the training scenes.
        labels: their geometry at one pixel a cell.
        seed: of the control's directions.

    Returns:
        The probe.

    Raises:
        ValueError: fewer scenes than HELD_OUT, so that none can select the penalty.
    """
    if len(states) < HELD_OUT:
        raise ValueError(f"Probes need at least {HELD_OUT} training scenes, found {len(states)}.")
    targets, usable = labels.targets()
    targets, inputs = targets[..., OUTPUTS], _inputs(states)
    held_out = torch.arange(len(states)) % HELD_OUT == 0
    train, validation = (
        Sums.from_rows(inputs[rows][usable[rows]], targets[rows][usable[rows]])
        for rows in (~held_out, held_out)
    )
    width = states.shape[-1]
    linear, _ = fit_ridge(
        train, validation, {"pose": slice(0, targets.shape[-1])}, inputs.shape[-1] - width
    )
    deviation = (train + validation).deviation[:width]
    inverse = torch.linalg.pinv(deviation[:, None] * linear.weight[:width].double())
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(width, width, generator=generator, dtype=torch.float64)
    rotation, _ = torch.linalg.qr(noise)
    return PoseProbe(
        linear=linear,
        edit=(inverse * deviation).float(),
        random_edit=(inverse @ rotation * deviation).float(),
    )


def explained(
    probe: PoseProbe, states: Float[Tensor, "S N h w D"], labels: Cells, view: int
) -> dict[str, float]:
    """Return the share of variance over scenes that the probe explains for one view.

    Means over the cells of a view are compared, so that only differences between scenes count.

    Args:
        probe: of the layer.
        states: of scenes that the probe was not fitted to.
        labels: their geometry at one pixel a cell.
        view: of the cells.

    Returns:
        R^2 of `position` (ray origins) and `heading` (ray directions); at most 1.
    """
    targets, usable = labels.targets()
    weight = usable[:, view].flatten(1).float()[..., None]

    def average(values: Float[Tensor, "S N h w 9"]) -> Float[Tensor, "S 9"]:
        return (values[:, view].flatten(1, 2) * weight).sum(1) / weight.sum(1).clamp_min(1)

    truth, read = average(targets[..., OUTPUTS]), average(probe.read(states))
    residual = (truth - read).square().sum(0)
    total = (truth - truth.mean(0)).square().sum(0)
    return {
        name: float(1 - residual[part].sum() / total[part].sum())
        for name, part in (("position", slice(0, 3)), ("heading", slice(3, 6)))
    }


def moved_outputs(
    labels: Cells,
    rotation: Float[Tensor, "S 3 3"],
    translation: Float[Tensor, "S 3"],
    view: int,
) -> tuple[Float[Tensor, "S N h w 9"], Bool[Tensor, "S N h w"]]:
    """Return how a probe's outputs change when all that one view shows moves rigidly.

    Args:
        labels: the geometry of the scenes at one pixel a cell.
        rotation: of each scene's view, in the labels' frame.
        translation: in the labels' frame and unit.
        view: the view that moves.

    Returns:
        The changes, 0 in other views; and the cells with known geometry.
    """
    targets, usable = labels.targets()
    before = targets[..., OUTPUTS]
    origin, direction, point = before[:, view].unflatten(-1, (3, 3)).unbind(-2)

    def move(vectors: Float[Tensor, "S h w 3"], shift: bool) -> Float[Tensor, "S h w 3"]:
        turned = torch.einsum("sij,shwj->shwi", rotation.to(vectors), vectors)
        return turned + translation.to(vectors)[:, None, None] if shift else turned

    after = torch.cat([move(origin, True), move(direction, False), move(point, True)], dim=-1)
    change = torch.zeros_like(before)
    change[:, view] = after - before[:, view]
    return change, usable


def _inputs(states: Float[Tensor, "S N h w D"]) -> Float[Tensor, "S N h w _"]:
    """Return states and positions of cells; positions are not penalised, see `probe.layers`."""
    _, views, height, width, _ = states.shape
    waves = min(MAX_WAVES, height), min(MAX_WAVES, width)
    position = position_features(views, (height, width), waves)
    return torch.cat([states.float(), position.expand(*states.shape[:-1], -1)], dim=-1)
