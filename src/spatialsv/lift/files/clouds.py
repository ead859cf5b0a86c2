"""scene.glb and scene.ply: points, and a wire pyramid for each camera; sparse_pc.ply has none.

Viewers draw lines of a PLY file seldom, and some take one with lines for no cloud, so there the
pyramids are dotted: vertices behind the points, of confidence 0, where a point's is 1 or more. The
properties `view` and `confidence` tell which view a point is from, and how sure the model is of it.
nerfstudio starts from sparse_pc.ply, in which dots at the cameras would be taken for surfaces.

Shapes: N views, p points.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import trimesh
from jaxtyping import Float, UInt8

from spatialsv.io.atomic import temporary_path
from spatialsv.lift.files.result import Cloud, Result

GLTF_AXES = np.diag([1.0, -1.0, -1.0, 1.0])  # glTF has y up and looks along -z
# Of a pyramid: its tip is corner 0, the image's corners are 1 to 4.
EDGES = np.array([(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1)])
LENGTH = 0.05  # of a pyramid, of the cloud's extent; DA3's are 0.03
DOTS = 32  # on each edge of a pyramid in scene.ply
VERTEX = np.dtype(
    [
        *((axis, "<f4") for axis in "xyz"),
        *((channel, "u1") for channel in ("red", "green", "blue")),
        ("confidence", "<f4"),
        ("view", "<i4"),
    ]
)
PLY_TYPES = {"<f4": "float", "|u1": "uchar", "<i4": "int"}


def write_glb(path: Path, result: Result, cloud: Cloud) -> None:
    """The cloud as `points`, the cameras as `camera_0000` and so on, in glTF's axes."""
    opaque = np.concatenate([cloud.colours, np.full_like(cloud.colours[:, :1], 255)], axis=1)
    turned = trimesh.transform_points(cloud.points, GLTF_AXES)
    scene = trimesh.Scene({"points": trimesh.PointCloud(turned, colors=opaque)})
    shapes, colours = pyramids(result, cloud.extent()), view_colours(len(result.views))
    for name, corners, colour in zip(result.names(), shapes, colours, strict=True):
        lines = trimesh.load_path(trimesh.transform_points(corners, GLTF_AXES)[EDGES])
        lines.colors = np.tile([*colour, 255], (len(lines.entities), 1))
        scene.add_geometry(lines, geom_name=f"camera_{name}")
    _write(path, scene.export(file_type="glb"))


def write_ply(path: Path, result: Result, cloud: Cloud, cameras: bool = True) -> None:
    """The same in this world, binary."""
    points = np.zeros(len(cloud.points), VERTEX)
    _fill(points, cloud.points, cloud.colours)
    points["confidence"], points["view"] = cloud.confidence, cloud.view
    dots = _dotted(result, cloud.extent()) if cameras else points[:0]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        "comment first camera's frame: x right, y down, z forward",
        f"comment {len(points)} points, then {len(dots)} dots of confidence 0 that draw cameras",
        f"element vertex {len(points) + len(dots)}",
        *(f"property {PLY_TYPES[VERTEX[name].str]} {name}" for name in VERTEX.names),
        "end_header\n",
    ]
    _write(path, "\n".join(header).encode() + points.tobytes() + dots.tobytes())


def _dotted(result: Result, extent: float) -> np.ndarray:
    """The pyramids' edges as vertices."""
    ends = pyramids(result, extent)[:, EDGES]  # (N, 8, 2, 3)
    along = np.linspace(0, 1, DOTS)[:, None]
    dots = ends[:, :, :1] * (1 - along) + ends[:, :, 1:] * along  # (N, 8, DOTS, 3)
    vertices = np.zeros(dots.shape[:-1], VERTEX)
    colours = view_colours(len(dots))[:, None, None]
    _fill(vertices, dots, np.broadcast_to(colours, dots.shape))
    vertices["view"] = np.arange(len(dots))[:, None, None]
    return vertices.ravel()


def pyramids(result: Result, extent: float) -> Float[np.ndarray, "N 5 3"]:
    """Each camera's centre, and the corners of its image at a small depth, clockwise."""
    height, width = result.size
    pixels = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], dtype=float)
    K, poses = result.scenes.intrinsics[0], result.scenes.cam_to_world[0]
    rays = LENGTH * extent * np.einsum("nij,cj->nci", np.linalg.inv(K), pixels)
    corners = np.concatenate([np.zeros((len(K), 1, 3)), rays], axis=1)
    return np.einsum("nij,ncj->nci", poses[:, :3, :3], corners) + poses[:, None, :3, 3]


def view_colours(views: int) -> UInt8[np.ndarray, "N 3"]:
    """From dark blue, the first view, to yellow, the last."""
    shades = matplotlib.colormaps["plasma"](np.linspace(0.0, 0.9, views))
    return (255 * shades[:, :3]).astype(np.uint8)


def _fill(vertices: np.ndarray, points: np.ndarray, colours: np.ndarray) -> None:
    for i, axis in enumerate("xyz"):
        vertices[axis] = points[..., i]
    for i, channel in enumerate(("red", "green", "blue")):
        vertices[channel] = colours[..., i]


def _write(path: Path, content: bytes) -> None:
    temporary = temporary_path(path)
    temporary.write_bytes(content)
    temporary.replace(path)
