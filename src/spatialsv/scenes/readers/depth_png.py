"""Depth maps in 16-bit PNGs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from spatialsv.scenes.images import read_integers

SATURATED = 65535  # unknown in 7-Scenes; out of range elsewhere


def read_depth(
    path: Path, per_metre: float, size: tuple[int, int] | None = None
) -> Float[np.ndarray, "H W"]:
    """Read depth in metres; 0 where unknown (values 0 and 65535).

    Args:
        path: the file.
        per_metre: file values per metre.
        size: expected width and height; None: any.

    Returns:
        z-depth in metres.

    Raises:
        FileNotFoundError: `path` does not exist.
        ValueError: the file is not a 16-bit single-channel image of this size.
    """
    values = read_integers(path)
    if values.itemsize < 2:
        raise ValueError(f"{path}: expected one channel of 16 bits, found {values.dtype}.")
    if size and values.shape != size[::-1]:
        raise ValueError(f"{path}: expected {size} pixels, found {values.shape[::-1]}")
    return np.where(values == SATURATED, 0, values / per_metre).astype(np.float32)
