"""Lifted geometry as files that other programs open: PNG, JSON, GLB, PLY.

Shapes: one scene of N views, H W pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float, UInt8
from matplotlib.figure import Figure
from PIL import Image

from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.lift.photo import Photo
from spatialsv.manifest import write_json
from spatialsv.scenes.scene import Scenes

DEPTH_STEPS = 1000  # of a depth PNG, in one unit of length
GLTF_AXES = np.diag([1.0, -1.0, -1.0, 1.0])  # glTF has y up and looks along -z
CONVENTION = {
    "cam_to_world": "OpenCV camera (x right, y down, z forward) to the first photo's camera",
    "intrinsics": "K for the lifted map of `size` pixels; the top-left pixel's centre: (0.5, 0.5)",
    "intrinsics_photo": "K for the upright photo's own pixels, same convention",
    "unit": "relative: 1 = mean distance of the points to the first camera, as predicted",
    "depth_png": f"z-depth; {DEPTH_STEPS} steps a unit, 16 bit, 0 = invalid, 65535 = that or more",
    "scene.glb": "glTF axes (y up): this world after diag(1, -1, -1)",
    "scene.ply": "this world",
}


def write_maps(out: Path, lifted: Scenes, names: list[str]) -> None:
    """depth/ as 16-bit PNG, confidence/ as 8-bit PNG, figures/ with colours and colour bars."""
    for folder in ("depth", "confidence", "figures"):
        (out / folder).mkdir(exist_ok=True)
    depth, valid, confidence = lifted.depth[0], lifted.valid[0], lifted.confidence[0]
    near, far = np.quantile(depth[valid], [0.01, 0.99]) if valid.any() else (0.0, 1.0)
    sure = 1 - 1 / np.maximum(confidence, 1)  # confidences are 1 and more, without an end
    for view, name in enumerate(file_names(names)):
        steps = np.clip(np.round(depth[view] * DEPTH_STEPS), 1, 65535)
        steps = np.where(valid[view], steps, 0).astype(np.uint16)
        Image.fromarray(steps).save(out / "depth" / f"{name}.png")
        Image.fromarray((255 * sure[view]).astype(np.uint8)).save(
            out / "confidence" / f"{name}.png"
        )
        figure = _figure(
            lifted.image[0, view],
            np.where(valid[view], depth[view], np.nan),
            confidence[view],
            (float(near), float(far)),
        )
        figure.savefig(out / "figures" / f"{name}.png", dpi=150)


def file_names(names: list[str]) -> list[str]:
    """A photo's name after its number, since two folders may hold photos of one name."""
    return [f"{number:02d}_{name}" for number, name in enumerate(names)]


def write_cameras(path: Path, lifted: Scenes, photos: list[Photo]) -> None:
    """K and pose of each photo, with what they mean."""
    height, width = lifted.depth.shape[-2:]
    views = []
    for view, photo in enumerate(photos):
        K = lifted.intrinsics[0, view]
        views.append(
            {
                "photo": str(photo.path),
                "photo_size": list(photo.size),
                "square": {"left": photo.corner[0], "top": photo.corner[1], "side": photo.side},
                "size": [width, height],
                "intrinsics": K.tolist(),
                "intrinsics_photo": photo.intrinsics(K, width).tolist(),
                "cam_to_world": lifted.cam_to_world[0, view].tolist(),
            }
        )
    write_json(path, {"convention": CONVENTION, "source": lifted.source, "views": views})


def write_clouds(out: Path, lifted: Scenes) -> None:
    """scene.glb, the coloured points with a frustum for each camera, and scene.ply, the points."""
    points, colours = coloured_points(lifted)
    cloud = trimesh.PointCloud(points, colors=colours)
    _write(out / "scene.ply", cloud.export(file_type="ply"))
    turned = trimesh.PointCloud(trimesh.transform_points(points, GLTF_AXES), colors=colours)
    scene = trimesh.Scene({"points": turned})
    height, width = lifted.depth.shape[-2:]
    for view in range(lifted.depth.shape[1]):
        corners = frustum(lifted.intrinsics[0, view], lifted.cam_to_world[0, view], height, width)
        lines = trimesh.load_path(trimesh.transform_points(corners, GLTF_AXES).reshape(-1, 2, 3))
        lines.colors = np.tile([230, 97, 1, 255], (len(lines.entities), 1))
        scene.add_geometry(lines, geom_name=f"camera_{view:02d}")
    _write(out / "scene.glb", scene.export(file_type="glb"))


def coloured_points(
    lifted: Scenes,
) -> tuple[Float[np.ndarray, "p 3"], UInt8[np.ndarray, "p 4"]]:
    """The valid pixels of all views as points in the first view's frame, RGBA."""
    depth, K, poses = (
        torch.from_numpy(array[0]).double()
        for array in (lifted.depth, lifted.intrinsics, lifted.cam_to_world)
    )
    valid: Bool[np.ndarray, "N H W"] = lifted.valid[0]
    points = point_map(depth, ray_map(K, poses, *depth.shape[-2:])).numpy()[valid]
    colours = lifted.image[0][valid]
    return points, np.concatenate([colours, np.full_like(colours[:, :1], 255)], axis=1)


def frustum(
    K: Float[np.ndarray, "3 3"],
    cam_to_world: Float[np.ndarray, "4 4"],
    height: int,
    width: int,
    depth: float = 0.1,
) -> Float[np.ndarray, "16 3"]:
    """Eight edges, two points each: from the centre to the image's corners, and around them."""
    pixels = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], dtype=float)
    corners = depth * pixels @ np.linalg.inv(K).T @ cam_to_world[:3, :3].T + cam_to_world[:3, 3]
    centre = cam_to_world[:3, 3]
    edges = [(centre, corner) for corner in corners]
    edges += [(corners[i], corners[(i + 1) % 4]) for i in range(4)]
    return np.array(edges).reshape(16, 3)


def _figure(
    image: UInt8[np.ndarray, "H W 3"],
    depth: Float[np.ndarray, "H W"],
    confidence: Float[np.ndarray, "H W"],
    limits: tuple[float, float],
) -> Figure:
    """The image, its depth (grey where invalid; one scale for all photos) and its confidence."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axes = figure.subplots(1, 3)
    axes[0].imshow(image)
    axes[0].set_title("image")
    axes[1].set_facecolor("0.7")
    shown = axes[1].imshow(depth, cmap="viridis_r", vmin=limits[0], vmax=limits[1])
    axes[1].set_title("depth")
    figure.colorbar(shown, ax=axes[1], label="mean distances")
    shown = axes[2].imshow(confidence, cmap="cividis")
    axes[2].set_title("confidence")
    figure.colorbar(shown, ax=axes[2], label="1 = unsure")
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
    return figure


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    temporary.replace(path)
