"""Instance masks without a renderer, and an independent distance between boxes."""

from __future__ import annotations

import numpy as np

from spatialsv.rooms.room import Room, RoomObject

CORNERS = np.stack(np.meshgrid(*[[-0.5, 0.5]] * 3, indexing="ij"), axis=-1).reshape(8, 3)
SHRINK = 0.8  # of the rectangle that holds all corners


def sketch(room: Room, size: int = 64) -> np.ndarray:
    """Return (N, size, size) instance numbers: each box's outline as a rectangle, far to near."""
    instance = np.zeros((len(room.cam_to_world), size, size), dtype=np.int16)
    corners = np.stack([CORNERS * t.size @ t.axes().T + t.centre for t in room.objects])
    for view, (pose, K) in enumerate(zip(room.cam_to_world, room.intrinsics, strict=True)):
        inside = (corners - pose[:3, 3]) @ pose[:3, :3]  # (P, 8, 3) in the camera's frame
        pixels = inside @ K.T
        for i in np.argsort(-inside[..., 2].mean(axis=1)):
            if inside[i, :, 2].min() < 0.1:
                continue
            corner = pixels[i, :, :2] / pixels[i, :, 2:]
            middle, half = (np.ptp(corner, axis=0) / 2 + corner.min(axis=0)), np.ptp(corner, axis=0)
            low = np.clip(middle - SHRINK * half / 2, 0, size).round().astype(int)
            high = np.clip(middle + SHRINK * half / 2, 0, size).round().astype(int)
            instance[view, low[1] : high[1], low[0] : high[0]] = i + 1
    return instance


def alternate(one: RoomObject, other: RoomObject) -> float:
    """Distance of two convex boxes by projecting back and forth between them."""
    point, gap = other.centre, np.inf
    for _ in range(1000):
        for item in (one, other):
            local = (point - item.centre) @ item.axes()
            near = local.clip(-item.size / 2, item.size / 2)
            previous, point = point, near @ item.axes().T + item.centre
        before, gap = gap, float(np.linalg.norm(point - previous))
        if before - gap < 1e-6:
            break
    return gap
