"""All files of one lifted place. Names are Depth Anything 3's where it has such a file.

| file | what | as named by |
|---|---|---|
| lifted.zarr | all of it, unrounded: a store of one scene, see `scenes.store.encoding` | |
| cameras.json | K and pose of each view, what was cut of its picture, what all files mean | |
| exports/mini_npz/results.npz | depth, conf, extrinsics, intrinsics | DA3 |
| scene.glb, scene.jpg, depth_vis/0000.png | points and cameras; figures | DA3 |
| scene.ply, scene.rrd | points and cameras | |
| depth/0000.png, confidence/0000.png | 16 and 8 bits | |
| images/0000.jpg | the part of each picture that was lifted | COLMAP, nerfstudio |
| sparse/0/*.txt | a COLMAP model of these | COLMAP, DA3 |
| transforms.json, sparse_pc.ply | the same for nerfstudio, and the points alone | nerfstudio |

lifted.zarr opens by `xarray.open_zarr(path, consolidated=False)`; the world is the first camera's:

| variable | dims | what |
|---|---|---|
| depth, valid | scene, view, y, x | z-depth, and whether it may be used |
| confidence | scene, view, y, x | from 1, unsure, upwards |
| intrinsics | scene, view, 3, 3 | K in pixels of the maps, their centres at half integers |
| cam_to_world | scene, view, 4, 4 | OpenCV's axes |
| image | scene, view, y, x, channel | the pictures at the maps' size |
| frame_ids | scene, view | the pictures' names |
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spatialsv.io.atomic import write_json
from spatialsv.lift.files.arrays import write_npz
from spatialsv.lift.files.clouds import write_glb, write_ply
from spatialsv.lift.files.colmap import write_colmap
from spatialsv.lift.files.maps import DEPTH_STEPS, write_figures, write_maps
from spatialsv.lift.files.nerfstudio import write_transforms
from spatialsv.lift.files.rerun import write_rrd
from spatialsv.lift.files.result import Cloud, Result
from spatialsv.scenes.store import write_store

FOLDERS = ("depth", "confidence", "depth_vis", "images", "sparse/0")  # of one file a view
CONVENTION = {
    "cam_to_world": "OpenCV camera (x right, y down, z forward) to the first picture's camera",
    "intrinsics": "K for the lifted map of `size` pixels; the top-left pixel's centre: (0.5, 0.5)",
    "intrinsics_image": "K for images/, the `part` of the picture that was lifted; likewise",
    "intrinsics_photo": "K for the whole upright picture's own pixels; likewise",
    "unit": "relative: 1 = mean distance of the points to the first camera, as predicted",
    "depth_png": f"z-depth; {DEPTH_STEPS} steps a unit, 16 bit, 0 = invalid, 65535 = that or more",
    "confidence_png": "255 (1 - 1 / confidence); confidences start at 1",
    "scene.glb": "glTF axes (y up): this world after diag(1, -1, -1)",
    "scene.ply": "this world; dots of confidence 0 draw the cameras; sparse_pc.ply has none",
    "transforms.json": "this world; camera axes are OpenGL's",
    "sparse/0": "this world; for the pictures in images/",
}


def write_result(
    out: Path, result: Result, cloud: Cloud, about: Mapping[str, Any], rrd: bool = False
) -> None:
    """Write everything into `out`; files of an earlier lift there are replaced.

    Args:
        about: what cameras.json tells of the model and the clouds.
        rrd: scene.rrd as well.
    """
    for name in ("scene.rrd", "errors.json"):
        (out / name).unlink(missing_ok=True)
    for folder in FOLDERS:  # an earlier lift may have had more views
        shutil.rmtree(out / folder, ignore_errors=True)
        (out / folder).mkdir(parents=True)
    for name, view in zip(result.names(), result.views, strict=True):
        view.picture.save(out / "images" / f"{name}.jpg", quality=95, subsampling=0)
    write_maps(out, result)
    write_figures(out, result, cloud)
    write_npz(out, result)
    write_cameras(out / "cameras.json", result, about)
    write_glb(out / "scene.glb", result, cloud)
    write_ply(out / "scene.ply", result, cloud)
    write_ply(out / "sparse_pc.ply", result, cloud, cameras=False)
    write_colmap(out / "sparse" / "0", result, cloud)
    write_transforms(out / "transforms.json", result)
    if rrd:
        write_rrd(out / "scene.rrd", result, cloud)
    write_store(out / "lifted.zarr", result.scenes)


def write_cameras(path: Path, result: Result, about: Mapping[str, Any]) -> None:
    """K and pose of each view, with what they mean."""
    height, width = result.size
    views = []
    for number, (name, view) in enumerate(zip(result.names(), result.views, strict=True)):
        K = result.scenes.intrinsics[0, number]
        views.append(
            {
                "photo": view.name,
                "photo_size": list(view.size),
                "part": dict(zip(("left", "top", "width", "height"), view.part, strict=True)),
                "image": f"images/{name}.jpg",
                "image_size": list(view.picture.size),
                "size": [width, height],
                "intrinsics": K.tolist(),
                "intrinsics_image": view.picture_intrinsics(K, result.size).tolist(),
                "intrinsics_photo": view.whole_intrinsics(K, result.size).tolist(),
                "cam_to_world": result.scenes.cam_to_world[0, number].tolist(),
            }
        )
    write_json(path, {"convention": CONVENTION, "views": views, **about})
