"""scene.rrd for rerun (`pip install 'spatialsv[rerun]'`): points, cameras, pictures and depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spatialsv.lift.files.clouds import LENGTH
from spatialsv.lift.files.result import Cloud, Result


def check_rerun() -> None:
    """Nothing, where rerun is installed.

    Raises:
        ValueError: it is not.
    """
    try:
        import rerun  # noqa: F401
    except ImportError:
        raise ValueError("scene.rrd needs rerun: pip install 'spatialsv[rerun]'") from None


def write_rrd(path: Path, result: Result, cloud: Cloud) -> None:
    """`world/points`, and a camera `world/0000` with `image` and `depth` for each view."""
    import rerun as rr

    scenes, (height, width) = result.scenes, result.size
    with rr.RecordingStream("spatialsv") as stream:
        stream.save(path)
        stream.log("world", rr.ViewCoordinates.RDF, static=True)
        points = rr.Points3D(cloud.points, colors=cloud.colours, radii=0.002 * cloud.extent())
        stream.log("world/points", points, static=True)
        for number, name in enumerate(result.names()):
            pose = scenes.cam_to_world[0, number]
            at = f"world/{name}"
            turn = rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3])
            stream.log(at, turn, static=True)
            camera = rr.Pinhole(
                image_from_camera=scenes.intrinsics[0, number],
                resolution=[width, height],
                camera_xyz=rr.ViewCoordinates.RDF,
                image_plane_distance=LENGTH * cloud.extent(),
            )
            stream.log(at, camera, static=True)
            stream.log(f"{at}/image", rr.Image(scenes.image[0, number]), static=True)
            depth = np.where(scenes.valid[0, number], scenes.depth[0, number], 0)
            stream.log(f"{at}/depth", rr.DepthImage(depth, meter=1.0), static=True)
