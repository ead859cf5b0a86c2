"""What two views show of many rooms, as arrays.

Shapes: R rooms, 2 views, P objects (padded to the largest room). Positions are on the floor, in the
frame of a view: metres to the right of its optical axis, and forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int

from spatialsv.progress import progress
from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.parts import CATEGORIES, COLOURS
from spatialsv.rooms.questions.visibility import Visibility, measure_visibility
from spatialsv.rooms.render import render_room
from spatialsv.rooms.room import wrap


@dataclass(frozen=True, kw_only=True, eq=False)
class ViewPairs:
    """Rooms with two views each."""

    measured: tuple[Visibility, ...]
    position: Float[np.ndarray, "R 2 P 2"]  # right and forward, in each view's frame, metres
    visible: Bool[np.ndarray, "R 2 P"]  # well enough to be recognised
    exclusive: Bool[np.ndarray, "R 2 P"]  # visible in this view and not in the other
    box: Float[np.ndarray, "R 2 P 4"]  # left, top, right, bottom, relative to the image; 0: none
    share: Float[np.ndarray, "R 2 P"]  # of the view's pixels
    colour: Int[np.ndarray, "R P"]  # index into COLOURS
    category: Int[np.ndarray, "R P"]  # index into CATEGORIES
    turn: Float[np.ndarray, " R"]  # from the first to the second heading, radians; left > 0
    shift: Float[np.ndarray, "R 2"]  # of the second camera, in the first view's frame, metres

    def __len__(self) -> int:
        """Return the number of rooms."""
        return len(self.measured)

    def select(self, rooms: Int[np.ndarray, " Q"]) -> ViewPairs:
        """Return these rooms, which may repeat."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)[1:]}
        return ViewPairs(
            measured=tuple(self.measured[room] for room in rooms),
            **{name: array[rooms] for name, array in arrays.items()},
        )


def render_pairs(seeds: Sequence[int], config: RoomsConfig) -> ViewPairs:
    """Render the instance masks of the rooms with these seeds, and measure their views.

    Args:
        seeds: of the rooms.
        config: with two views.

    Returns:
        Arrays over all rooms.

    Raises:
        ValueError: the rooms do not have two views, or no cameras meet their settings.
    """
    measured, masks = [], []
    for seed in progress(seeds, "measuring rooms"):
        room = make_room(seed, config)
        masks.append(render_room(room, config.image_size, samples=1).instance)
        measured.append(measure_visibility(room, masks[-1]))
    return measure_pairs(measured, masks)


def measure_pairs(
    measured: Sequence[Visibility], instances: Sequence[Int[np.ndarray, "N H W"]]
) -> ViewPairs:
    """Collect the views of `measured` rooms.

    Args:
        measured: rooms with two views each.
        instances: the instance masks of each room.

    Returns:
        Arrays over all rooms.

    Raises:
        ValueError: a room does not have two views.
    """
    for one in measured:
        if len(one.views) != 2:
            raise ValueError(
                f"Room {one.room.id} has {len(one.views)} views. Cross-view questions need 2: set"
                " rooms.views to 2."
            )
    count = max(len(one.room.objects) for one in measured)
    visible = _pad([one.visible for one in measured], count)
    hidden = _pad([one.invisible for one in measured], count)
    range_, azimuth = (
        _pad([getattr(one, name) for one in measured], count) for name in ("range", "azimuth")
    )
    heading = np.stack([one.heading for one in measured])
    eyes = np.stack([one.room.cam_to_world[:, :2, 3] for one in measured])
    moved, ahead = eyes[:, 1] - eyes[:, 0], heading[:, 0]
    forward = np.stack([np.cos(ahead), np.sin(ahead)], axis=-1)
    right = np.stack([np.sin(ahead), -np.cos(ahead)], axis=-1)
    return ViewPairs(
        measured=tuple(measured),
        position=np.stack([-range_ * np.sin(azimuth), range_ * np.cos(azimuth)], axis=-1),
        visible=visible,
        exclusive=visible & hidden[:, ::-1],
        box=_pad([find_boxes(i, count) for i in instances], count, axis=1),
        share=_pad([one.share for one in measured], count),
        colour=_pad([_index(one, "colour", tuple(COLOURS)) for one in measured], count),
        category=_pad([_index(one, "category", CATEGORIES) for one in measured], count),
        turn=wrap(heading[:, 1] - heading[:, 0]),
        shift=np.stack([(moved * right).sum(-1), (moved * forward).sum(-1)], axis=-1),
    )


def _pad(arrays: list[np.ndarray], count: int, axis: int = -1) -> np.ndarray:
    """Stack arrays after padding `axis` with zeros to `count`."""
    padded = []
    for array in arrays:
        widths = [(0, 0)] * array.ndim
        widths[axis] = (0, count - array.shape[axis])
        padded.append(np.pad(array, widths))
    return np.stack(padded)


def _index(one: Visibility, field: str, names: tuple[str, ...]) -> np.ndarray:
    return np.array([names.index(getattr(item, field)) for item in one.room.objects])


def find_boxes(instance: Int[np.ndarray, "N H W"], objects: int) -> Float[np.ndarray, "N P 4"]:
    """Return left, top, right and bottom of each object's pixels, relative to the image."""
    views, height, width = instance.shape
    boxes = np.zeros((views, objects, 4))
    for view, mask in enumerate(instance):
        for number in np.unique(mask[mask > 0]):
            rows, columns = np.nonzero(mask == number)
            boxes[view, number - 1] = (
                columns.min() / width,
                rows.min() / height,
                (columns.max() + 1) / width,
                (rows.max() + 1) / height,
            )
    return boxes


def move_to_view(
    pairs: ViewPairs, turn: Float[np.ndarray, " R"], shift: Float[np.ndarray, "R 2"]
) -> Float[np.ndarray, "R 2 P 2"]:
    """Return positions in each view's frame, with those of hidden objects from the other view.

    An object visible in a view keeps its position there. Any other one gets its position in the
    other view, moved by the given relative pose; with the true pose this returns true positions.

    Args:
        pairs: the rooms.
        turn: from the first to the second heading, radians.
        shift: of the second camera, in the first view's frame, metres.
    """
    c, s = np.cos(turn)[:, None], np.sin(turn)[:, None]
    u, f = np.moveaxis(pairs.position, -1, 0)  # (R, 2, P) each
    second = (u[:, 1] * c - f[:, 1] * s, u[:, 1] * s + f[:, 1] * c)
    first = (u[:, 0] - shift[:, :1], f[:, 0] - shift[:, 1:])
    moved = np.stack(
        [
            np.stack([second[0] + shift[:, :1], second[1] + shift[:, 1:]], axis=-1),
            np.stack([first[0] * c + first[1] * s, first[1] * c - first[0] * s], axis=-1),
        ],
        axis=1,
    )
    return np.where(pairs.visible[..., None], pairs.position, moved)
