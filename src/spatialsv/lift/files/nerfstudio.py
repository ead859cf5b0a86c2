"""transforms.json, as nerfstudio reads it: the pictures in images/, depth/ and sparse_pc.ply.

Poses are camera-to-world with OpenGL's axes, in the world of all other files. An
`applied_transform` that changes nothing says that lengths are no metres; see
`scenes.readers.nerfstudio`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spatialsv.io.atomic import write_json
from spatialsv.lift.files.maps import DEPTH_STEPS
from spatialsv.lift.files.result import Result
from spatialsv.scenes.readers.capture import from_opengl

APPLIED = np.eye(4)[:3].tolist()


def write_transforms(path: Path, result: Result) -> None:
    """One frame a view, each with a camera of its own."""
    frames = []
    cameras = zip(
        result.names(),
        result.views,
        result.picture_intrinsics(),
        result.scenes.cam_to_world[0],
        strict=True,
    )
    for name, view, K, pose in cameras:
        frames.append(
            {
                "file_path": f"images/{name}.jpg",
                "depth_file_path": f"depth/{name}.png",
                "transform_matrix": from_opengl(pose).tolist(),  # its own inverse
                "w": view.picture.width,
                "h": view.picture.height,
                "fl_x": K[0, 0],
                "fl_y": K[1, 1],
                "cx": K[0, 2],
                "cy": K[1, 2],
            }
        )
    said = {
        "camera_model": "PINHOLE",
        "depth_unit_scale_factor": 1 / DEPTH_STEPS,
        "applied_transform": APPLIED,
        "ply_file_path": "sparse_pc.ply",
        "frames": frames,
    }
    write_json(path, said)
