"""The result of lifting one image set, and the files of its point cloud.

scene.glb, scene.ply and scene.rrd have points and cameras; sparse_pc.ply, from which nerfstudio
initialises, has points only. In scene.glb a camera is a wireframe pyramid. Few viewers draw lines
of a PLY file, so there pyramids are dotted: vertices after the points, with confidence 0, where a
point has 1 or more. The property `view` is the view that a point is from.

Shapes: N views, H W pixels of the maps, p points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float, Int, UInt8

from spatialsv.geometry.camera import invert_pose
from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.io.atomic import write_bytes
from spatialsv.lift.views import View
from spatialsv.lift.windows import Join
from spatialsv.scenes.scene import Scenes

GLTF_AXES = np.diag([1.0, -1.0, -1.0, 1.0])  # glTF has y up and looks along -z
# Of a pyramid: its tip is corner 0, the image's corners are 1 to 4.
EDGES = np.array([(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1)])
LENGTH = 0.05  # of a pyramid, as a share of the cloud's extent; DA3's is 0.03
DOTS = 32  # on each edge of a pyramid in scene.ply
VERTEX = {  # the properties of a PLY vertex, in NumPy's and in PLY's types
    **dict.fromkeys("xyz", ("<f4", "float")),
    **dict.fromkeys(("red", "green", "blue"), ("u1", "uchar")),
    "confidence": ("<f4", "float"),
    "view": ("<i4", "int"),
}
VERTEX_TYPE = np.dtype([(name, kind) for name, (kind, _) in VERTEX.items()])


@dataclass(frozen=True, kw_only=True, eq=False)
class LiftResult:
    """The geometry of one image set: maps, cameras, and the views that they belong to."""

    scenes: Scenes  # one scene, with images of the maps' size
    views: Sequence[View]
    joins: Sequence[Join] = ()  # of windows, if there are several

    @property
    def depth(self) -> Float[np.ndarray, "N H W"]:
        """Z-depth; 1 is the mean distance of the points to the first camera."""
        return self.scenes.depth[0]

    @property
    def valid(self) -> Bool[np.ndarray, "N H W"]:
        """Pixels with usable depth."""
        return self.scenes.valid[0]

    @property
    def confidence(self) -> Float[np.ndarray, "N H W"]:
        """Confidence of the depth, at least 1."""
        return self.scenes.confidence[0]

    @property
    def intrinsics(self) -> Float[np.ndarray, "N 3 3"]:
        """K for the maps."""
        return self.scenes.intrinsics[0]

    @property
    def cam_to_world(self) -> Float[np.ndarray, "N 4 4"]:
        """Poses; the world is the first view's camera."""
        return self.scenes.cam_to_world[0]

    @property
    def images(self) -> UInt8[np.ndarray, "N H W 3"]:
        """The images at the maps' size."""
        return self.scenes.image[0]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the maps."""
        return self.scenes.shape[1:]

    @property
    def names(self) -> list[str]:
        """The name of each view's files, without suffix: 0000, 0001, ..., like DA3's."""
        return [f"{number:04d}" for number in range(len(self.views))]

    def image_intrinsics(self) -> Float[np.ndarray, "N 3 3"]:
        """Return K of each view's image."""
        pairs = zip(self.views, self.intrinsics.astype(np.float64), strict=True)
        return np.stack([view.image_intrinsics(K, self.size) for view, K in pairs])

    def world_to_cam(self) -> Float[np.ndarray, "N 4 4"]:
        """Return the inverse poses."""
        return invert_pose(torch.from_numpy(self.cam_to_world).double()).numpy()


@dataclass(frozen=True, kw_only=True, eq=False)
class PointCloud:
    """Coloured points in the first view's frame, each from one pixel of one view."""

    points: Float[np.ndarray, "p 3"]  # float64
    colours: UInt8[np.ndarray, "p 3"]
    confidence: Float[np.ndarray, " p"]
    view: Int[np.ndarray, " p"]
    pixels: Float[np.ndarray, "p 2"]  # u, v in the view's map
    min_confidence: float
    skipped: int  # valid pixels without a point

    def extent(self) -> float:
        """Return the diagonal of the points' box, without the outermost 5 % on each side."""
        if not len(self.points):
            return 1.0
        low, high = np.percentile(self.points, [5, 95], axis=0)
        return float(np.linalg.norm(high - low)) or 1.0


def make_point_cloud(result: LiftResult, percentile: float | int, max_points: int) -> PointCloud:
    """Unproject all valid pixels except those below a percentile of their confidences."""
    depth, K, poses = (
        torch.from_numpy(array).double()
        for array in (result.depth, result.intrinsics, result.cam_to_world)
    )
    points = point_map(depth, ray_map(K, poses, *result.size)).numpy()
    valid, confidence = result.valid, result.confidence
    least = float(np.percentile(confidence[valid], percentile)) if valid.any() else 0.0
    view, row, column = np.nonzero(valid & (confidence >= least))
    if len(view) > max_points:
        kept = np.linspace(0, len(view) - 1, max_points).astype(int)
        view, row, column = view[kept], row[kept], column[kept]
    return PointCloud(
        points=points[view, row, column],
        colours=result.images[view, row, column],
        confidence=confidence[view, row, column],
        view=view,
        pixels=np.column_stack([column, row]) + 0.5,
        min_confidence=least,
        skipped=int(valid.sum()) - len(view),
    )


def write_glb(path: Path, result: LiftResult, cloud: PointCloud) -> None:
    """Write the cloud as `points` and cameras as `camera_0000` and so on, in glTF's axes."""
    colours = np.concatenate([cloud.colours, np.full_like(cloud.colours[:, :1], 255)], axis=1)
    points = trimesh.transform_points(cloud.points, GLTF_AXES)
    scene = trimesh.Scene()
    scene.add_geometry(trimesh.PointCloud(points, colors=colours), geom_name="points")
    shapes = pyramids(result, cloud.extent())
    for name, corners, colour in zip(
        result.names, shapes, view_colours(len(result.views)), strict=True
    ):
        lines = trimesh.load_path(trimesh.transform_points(corners, GLTF_AXES)[EDGES])
        lines.colors = np.tile([*colour, 255], (len(lines.entities), 1))
        scene.add_geometry(lines, geom_name=f"camera_{name}")
    write_bytes(path, scene.export(file_type="glb"))


def write_ply(path: Path, result: LiftResult, cloud: PointCloud, cameras: bool = True) -> None:
    """Write the cloud and, by default, the cameras, in the first camera's frame."""
    points = _vertices(cloud.points, cloud.colours)
    points["confidence"], points["view"] = cloud.confidence, cloud.view
    dots = _dotted_pyramids(result, cloud.extent()) if cameras else points[:0]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        "comment first camera's frame: x right, y down, z forward",
        f"comment {len(points)} points, then {len(dots)} dots of confidence 0 that draw cameras",
        f"element vertex {len(points) + len(dots)}",
        *(f"property {kind} {name}" for name, (_, kind) in VERTEX.items()),
        "end_header\n",
    ]
    write_bytes(path, "\n".join(header).encode() + points.tobytes() + dots.tobytes())


def _dotted_pyramids(result: LiftResult, extent: float) -> np.ndarray:
    ends = pyramids(result, extent)[:, EDGES]  # (N, 8, 2, 3)
    along = np.linspace(0, 1, DOTS)[:, None]
    dots = ends[:, :, :1] * (1 - along) + ends[:, :, 1:] * along  # (N, 8, DOTS, 3)
    vertices = _vertices(dots, view_colours(len(dots))[:, None, None])
    vertices["view"] = np.arange(len(dots))[:, None, None]
    return vertices.ravel()


def _vertices(points: np.ndarray, colours: np.ndarray) -> np.ndarray:
    vertices = np.zeros(points.shape[:-1], VERTEX_TYPE)
    for i, (axis, channel) in enumerate(zip("xyz", ("red", "green", "blue"), strict=True)):
        vertices[axis], vertices[channel] = points[..., i], colours[..., i]
    return vertices


def pyramids(result: LiftResult, extent: float) -> Float[np.ndarray, "N 5 3"]:
    """Return each camera's centre and its image's corners at a small depth, clockwise."""
    pixels = np.stack([_corners(*view.window(result.size)) for view in result.views])
    K, poses = result.intrinsics, result.cam_to_world
    rays = LENGTH * extent * np.einsum("nij,ncj->nci", np.linalg.inv(K), pixels)
    corners = np.concatenate([np.zeros((len(K), 1, 3)), rays], axis=1)
    return np.einsum("nij,ncj->nci", poses[:, :3, :3], corners) + poses[:, None, :3, 3]


def _corners(rows: slice, columns: slice) -> Float[np.ndarray, "4 3"]:
    """Return the corners of rows and columns as homogeneous pixels, clockwise from the top left."""
    left, right, top, bottom = columns.start, columns.stop, rows.start, rows.stop
    return np.array([[left, top, 1], [right, top, 1], [right, bottom, 1], [left, bottom, 1.0]])


def view_colours(views: int) -> UInt8[np.ndarray, "N 3"]:
    """Return colours from dark blue, the first view, to yellow, the last."""
    colours = matplotlib.colormaps["plasma"](np.linspace(0.0, 0.9, views))
    return (255 * colours[:, :3]).astype(np.uint8)


def check_rerun() -> None:
    """Raise a ValueError if rerun is not installed."""
    try:
        import rerun  # noqa: F401
    except ImportError:
        raise ValueError("scene.rrd requires rerun: pip install 'spatialsv[rerun]'.") from None


def write_rrd(path: Path, result: LiftResult, cloud: PointCloud) -> None:
    """Write `world/points`, and a camera `world/0000` with `image` and `depth` for each view."""
    import rerun as rr

    height, width = result.size
    depth = np.where(result.valid, result.depth, 0)
    with rr.RecordingStream("spatialsv") as stream:
        stream.save(path)
        stream.log("world", rr.ViewCoordinates.RDF, static=True)
        points = rr.Points3D(cloud.points, colors=cloud.colours, radii=0.002 * cloud.extent())
        stream.log("world/points", points, static=True)
        for number, (name, pose) in enumerate(zip(result.names, result.cam_to_world, strict=True)):
            entity = f"world/{name}"
            transform = rr.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3])
            stream.log(entity, transform, static=True)
            camera = rr.Pinhole(
                image_from_camera=result.intrinsics[number],
                resolution=[width, height],
                camera_xyz=rr.ViewCoordinates.RDF,
                image_plane_distance=LENGTH * cloud.extent(),
            )
            stream.log(entity, camera, static=True)
            stream.log(f"{entity}/image", rr.Image(result.images[number]), static=True)
            stream.log(f"{entity}/depth", rr.DepthImage(depth[number], meter=1.0), static=True)
