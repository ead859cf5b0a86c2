"""What a room is: its walls, its things, its cameras. World metres, z up, floor at z = 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

Motion = Literal["rotation", "among", "around"]  # MindCube's camera motions
MOTIONS: tuple[Motion, ...] = ("rotation", "among", "around")


@dataclass(frozen=True, kw_only=True, eq=False)
class RoomObject:
    """One piece of furniture, upright on the floor."""

    category: str
    colour: str
    centre: Float[np.ndarray, "3"]  # of its box, metres
    size: Float[np.ndarray, "3"]  # full extents along its own width, depth, height, metres
    yaw: float  # about z, radians; 0 = its width along x, its front towards -y

    @property
    def name(self) -> str:
        return f"{self.colour} {self.category}"

    def axes(self) -> Float[np.ndarray, "3 3"]:
        """Columns: its own width, depth and height directions in the world."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def footprint(self) -> Float[np.ndarray, "4 2"]:
        """The corners of its box on the floor, in order around it."""
        corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * self.size[:2]
        return corners @ self.axes()[:2, :2].T + self.centre[:2]


@dataclass(frozen=True, kw_only=True, eq=False)
class Room:
    """One scene; it spans [0, extent]."""

    seed: int
    extent: Float[np.ndarray, "3"]  # width (x), depth (y), height (z), metres
    objects: tuple[RoomObject, ...]  # a thing's number in instance masks is its index + 1
    motion: Motion
    cam_to_world: Float[np.ndarray, "N 4 4"]  # OpenCV axes
    intrinsics: Float[np.ndarray, "N 3 3"]  # pixels, centres at half integers

    @property
    def id(self) -> str:
        return room_id(self.seed)


def room_id(seed: int) -> str:
    """The scene id of the room with this seed."""
    return f"rooms-{seed:08d}"


def room_seed(scene_id: str) -> int:
    """The seed of a room from its scene id.

    Raises:
        ValueError: `scene_id` is not a room's.
    """
    prefix, _, digits = scene_id.partition("-")
    if prefix != "rooms" or not digits.isdigit():
        raise ValueError(f"{scene_id!r} is no room: expected rooms-NNNNNNNN")
    return int(digits)
