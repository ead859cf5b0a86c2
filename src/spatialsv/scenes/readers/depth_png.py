"""Depth as a 16-bit PNG, in which most datasets have it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from spatialsv.scenes.images import open_image

SATURATED = 65535  # 7-Scenes' unknown; elsewhere what was too far to be written


def read_depth(
    path: Path, per_metre: float, size: tuple[int, int] | None = None
) -> Float[np.ndarray, "H W"]:
    """Depth in metres, 0 where unknown: where the file holds 0, or the largest number there is.

    Args:
        per_metre: the file's numbers to a metre.
        size: width and height that it must have.

    Raises:
        FileNotFoundError: `path` is missing.
        ValueError: no 16-bit picture of one channel, or of another size.
    """
    with open_image(path) as opened:
        mode, found = opened.mode, np.asarray(opened)
    if mode not in ("I;16", "I;16B", "I"):
        raise ValueError(f"{path}: a picture of kind {mode}, expected one channel of 16 bits")
    if size and found.shape != size[::-1]:
        raise ValueError(f"{path}: {found.shape[1]} x {found.shape[0]} pixels, expected {size}")
    return np.where(found == SATURATED, 0, found / per_metre).astype(np.float32)
