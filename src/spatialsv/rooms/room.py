"""Rooms: extent, objects and cameras. World frame: metres, z up, floor at z = 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Float

Motion = Literal["rotation", "among", "around", "free"]
MOTIONS: tuple[Motion, ...] = ("rotation", "among", "around")  # MindCube's camera motions


@dataclass(frozen=True, kw_only=True, eq=False)
class RoomObject:
    """An upright object on the floor."""

    category: str
    colour: str
    centre: Float[np.ndarray, "3"]  # of its bounding box, metres
    size: Float[np.ndarray, "3"]  # extents along its width, depth and height axes, metres
    yaw: float  # about z, radians; 0: width along x, front towards -y

    @property
    def name(self) -> str:
        """Return colour and category, such as "red chair"."""
        return f"{self.colour} {self.category}"

    def axes(self) -> Float[np.ndarray, "3 3"]:
        """Return its width, depth and height axes in the world frame, as columns."""
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def footprint(self) -> Float[np.ndarray, "4 2"]:
        """Return the corners of its bounding box on the floor, counterclockwise."""
        corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * self.size[:2]
        return corners @ self.axes()[:2, :2].T + self.centre[:2]


@dataclass(frozen=True, kw_only=True, eq=False)
class Room:
    """One scene; its interior is [0, extent]."""

    seed: int
    extent: Float[np.ndarray, "3"]  # width (x), depth (y), height (z), metres
    objects: tuple[RoomObject, ...]  # in instance masks, object i has the value i + 1
    motion: Motion
    cam_to_world: Float[np.ndarray, "N 4 4"]  # OpenCV axes
    intrinsics: Float[np.ndarray, "N 3 3"]  # pixels, centres at half integers

    @property
    def id(self) -> str:
        """Return the scene id."""
        return room_id(self.seed)


def room_id(seed: int) -> str:
    """Return the scene id of the room with this seed."""
    return f"rooms-{seed:08d}"


def room_seed(scene_id: str) -> int:
    """Return the seed encoded in the scene id of a room.

    Raises:
        ValueError: `scene_id` is not the id of a room.
    """
    prefix, _, digits = scene_id.partition("-")
    if prefix != "rooms" or not digits.isdigit():
        raise ValueError(f"Invalid room id {scene_id!r}. Expected the form rooms-NNNNNNNN.")
    return int(digits)


Angle = TypeVar("Angle", Float[np.ndarray, "*shape"], Float[np.floating, ""], float)


def wrap(angle: Angle) -> Angle:
    """Return `angle` (radians) wrapped to [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def camera_pose(eye: Float[np.ndarray, "2"], yaw: float, pitch: float, height: float):
    """Return the camera-to-world pose at `eye` and `height` metres, facing `yaw` (radians).

    Args:
        eye: x and y, metres.
        yaw: viewing direction on the floor, radians.
        pitch: downward tilt, degrees.
        height: metres above the floor.

    Returns:
        (4, 4), OpenCV camera axes.
    """
    down = np.radians(pitch)
    forward = np.array([np.cos(yaw) * np.cos(down), np.sin(yaw) * np.cos(down), -np.sin(down)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = [*eye, height]
    return pose
