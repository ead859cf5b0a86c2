"""exports/mini_npz/results.npz: what Depth Anything 3 writes under this name, by its own keys."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spatialsv.io.atomic import temporary_path
from spatialsv.lift.files.result import Result


def write_npz(out: Path, result: Result) -> None:
    """`depth` and `conf` (N H W, 0 = invalid depth), `extrinsics` (N 3 4), `intrinsics` (N 3 3).

    Extrinsics are world-to-camera, as DA3's. K is for pixel centres at half integers, as everywhere
    here; code that takes (0, 0) for the first pixel's centre wants half a pixel less in cx and cy.
    """
    path = out / "exports" / "mini_npz" / "results.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    with temporary.open("wb") as opened:
        np.savez_compressed(
            opened,
            depth=np.where(result.scenes.valid[0], result.scenes.depth[0], 0),
            conf=result.scenes.confidence[0],
            extrinsics=result.world_to_cam()[:, :3],
            intrinsics=result.scenes.intrinsics[0],
        )
    temporary.replace(path)
