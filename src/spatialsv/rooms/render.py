"""Ray-cast rendering of rooms: Embree intersects, NumPy shades.

Every ray direction has z = 1 in its camera frame, so Embree's hit distance is the z-depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Float, Int, UInt8

from spatialsv.rooms.parts import ACCENTS, COLOURS, TINTS, category_mesh, shape_mesh
from spatialsv.rooms.room import Room

WALL_COLOURS = ((0.72, 0.68, 0.60), (0.55, 0.64, 0.72), (0.68, 0.58, 0.55), (0.60, 0.68, 0.58))
FLOOR_COLOURS = ((0.42, 0.28, 0.17), (0.36, 0.36, 0.38), (0.52, 0.44, 0.34), (0.30, 0.22, 0.17))
PLAIN, PLANKS, CHECKER, STRIPES, LIGHT = range(5)  # pattern of a face


@dataclass(frozen=True, eq=False)
class Mesh:
    """The triangles of a room."""

    vertices: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    albedo: Float[np.ndarray, "F 3"]  # linear RGB
    pattern: Int[np.ndarray, " F"]
    instance: Int[np.ndarray, " F"]  # 0: walls, floor and ceiling
    lamp: Float[np.ndarray, "3"]  # position of the light, metres


@dataclass(frozen=True, eq=False)
class RenderedViews:
    """The rendered views of one room."""

    image: UInt8[np.ndarray, "N H W 3"]
    depth: Float[np.ndarray, "N H W"]  # metres, at pixel centres
    instance: Int[np.ndarray, "N H W"]
    rays: int  # number of rays cast, including shadow rays


def build_mesh(room: Room) -> Mesh:
    """Return walls, windows, a door and all objects as one triangle mesh."""
    rng = np.random.default_rng([room.seed, 7])
    parts = [_shell(room, rng), *_openings(room, rng)]
    for number, item in enumerate(room.objects, start=1):
        mesh = category_mesh(item.category)
        local = (mesh.vertices - np.array([0, 0, 0.5])) * item.size
        main = np.array(COLOURS[item.colour])
        palette = np.stack([main, 0.45 * main + 0.01, *(np.array(c) for c in ACCENTS.values())])
        assert len(palette) == len(TINTS)
        vertices = local @ item.axes().T + item.centre
        parts.append((vertices, mesh.faces, palette[mesh.tint], PLAIN, number))
    counts = np.cumsum([0] + [len(part[0]) for part in parts])
    sizes = [len(part[1]) for part in parts]
    return Mesh(
        vertices=np.concatenate([part[0] for part in parts]).astype(np.float32),
        faces=np.concatenate([p[1] + c for p, c in zip(parts, counts[:-1], strict=True)]).astype(
            np.int32
        ),
        albedo=np.concatenate([part[2] for part in parts]).astype(np.float32),
        pattern=np.concatenate(
            [np.broadcast_to(p[3], n) for p, n in zip(parts, sizes, strict=True)]
        ).astype(np.int8),
        instance=np.repeat([part[4] for part in parts], sizes).astype(np.int16),
        lamp=np.array(
            [*(room.extent[:2] * rng.uniform(0.3, 0.7, size=2)), room.extent[2] - 0.3], np.float32
        ),
    )


def _shell(room: Room, rng):
    """Return floor, ceiling and walls: a box seen from inside."""
    vertices, faces = shape_mesh("box")
    wall = np.array(WALL_COLOURS[rng.integers(len(WALL_COLOURS))]) * rng.uniform(0.85, 1.1)
    floor = np.array(FLOOR_COLOURS[rng.integers(len(FLOOR_COLOURS))]) * rng.uniform(0.85, 1.1)
    up = np.ptp(vertices[faces][..., 2], axis=1) == 0
    top = up & (vertices[faces][:, 0, 2] > 0.5)
    albedo = np.where(up[:, None], floor, wall)
    albedo[top] = 0.8
    pattern = np.where(up & ~top, rng.choice([PLANKS, CHECKER]), rng.choice([PLAIN, STRIPES]))
    pattern[top] = PLAIN
    return (vertices + np.array([0.5, 0.5, 0.0])) * room.extent, faces[:, ::-1], albedo, pattern, 0


def _openings(room: Room, rng):
    """Yield a window or a door on each of two walls."""
    vertices, faces = shape_mesh("box")
    for wall in rng.permutation(4)[:2]:
        is_door = rng.uniform() < 0.5
        width, low, high = (0.9, 0.0, 2.0) if is_door else (1.4, 0.9, 2.0)
        axis, far = divmod(int(wall), 2)
        along = rng.uniform(0.25, 0.75) * room.extent[1 - axis]
        size, centre = np.full(3, 0.04), np.zeros(3)
        size[1 - axis], size[2] = width, high - low
        centre[axis], centre[1 - axis], centre[2] = far * room.extent[axis], along, low
        colour = np.array((0.30, 0.17, 0.09) if is_door else (0.75, 0.88, 1.0))
        pattern = PLAIN if is_door else LIGHT
        yield vertices * size + centre, faces, np.broadcast_to(colour, (len(faces), 3)), pattern, 0


def sample_grid(size: int, offsets: Float[np.ndarray, "S 2"]) -> Float[np.ndarray, "R 3"]:
    """Return homogeneous pixel positions [u, v, 1] at `offsets` (u, v in [0, 1]) of every pixel."""
    v, u = np.divmod(np.arange(size * size, dtype=np.float32), np.float32(size))
    pixels = np.stack([u, v, np.ones_like(u)], axis=1)
    shifts = np.pad(offsets.astype(np.float32), ((0, 0), (0, 1)))
    return (shifts[:, None] + pixels).reshape(-1, 3)


def render_room(room: Room, size: int, samples: int) -> RenderedViews:
    """Render all views of `room`.

    Args:
        room: what to render; its intrinsics are for images of `size` pixels.
        size: image width and height, pixels.
        samples: rays per pixel for colour, a square number. Depth and instances are those at the
            pixel centre.

    Returns:
        Image (sRGB), z-depth in metres and instance masks of all views.
    """
    mesh = build_mesh(room)
    scene = EmbreeScene()
    TriangleMesh(scene, mesh.vertices, mesh.faces)
    side = round(samples**0.5)
    ticks = (np.arange(side) + 0.5) / side
    offsets = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    origins, directions = camera_rays(room, sample_grid(size, offsets))
    hits = scene.run(origins, directions, output=True)
    radiance, shadow_rays = _shade(mesh, scene, origins, directions, hits)
    count = len(origins) + shadow_rays
    if samples > 1:  # otherwise the only ray already passes through the centre
        origins, directions = camera_rays(room, sample_grid(size, np.array([[0.5, 0.5]])))
        hits = scene.run(origins, directions, output=True)
        count += len(origins)
    views = len(room.cam_to_world)
    pixels = radiance.reshape(views, len(offsets), size, size, 3).mean(axis=1)
    return RenderedViews(
        image=_to_srgb(pixels),
        depth=hits["tfar"].reshape(views, size, size),
        instance=mesh.instance[hits["primID"]].reshape(views, size, size),
        rays=count,
    )


def camera_rays(
    room: Room, pixels: Float[np.ndarray, "P 3"]
) -> tuple[Float[np.ndarray, "R 3"], Float[np.ndarray, "R 3"]]:
    """Return origins and directions R K^-1 [u, v, 1] of the rays of all views, view by view."""
    to_world = room.cam_to_world[:, :3, :3] @ np.linalg.inv(room.intrinsics)
    directions = pixels @ to_world.swapaxes(1, 2).astype(np.float32)
    origins = np.repeat(room.cam_to_world[:, :3, 3].astype(np.float32), len(pixels), axis=0)
    return origins, directions.reshape(-1, 3)


def _shade(mesh: Mesh, scene: EmbreeScene, origins, directions, hits):
    """Return radiance and shadow ray count: Lambertian, one lamp, hard shadows, ambient light.

    Faces are flat, so terms that do not depend on the distance to the lamp are computed per face.
    """
    corner, second, third = mesh.vertices[mesh.faces].swapaxes(0, 1)
    normals = np.cross(second - corner, third - corner)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    towards_lamp = np.einsum("fi,fi->f", normals, mesh.lamp - corner)  # n . (lamp - any point)
    ambient = 0.34 + 0.14 * normals[:, 2] + 0.05 * normals[:, 0]
    ambient[mesh.pattern == LIGHT], towards_lamp[mesh.pattern == LIGHT] = 1.1, 0.0

    face = hits["primID"]
    points = origins + hits["tfar"][:, None] * directions
    facing = np.flatnonzero(towards_lamp.take(face) > 1e-4)
    from_lamp = points.take(facing, axis=0) - mesh.lamp
    # from the lamp outwards: coherent rays, and no surface shadows itself
    blocked = scene.run(
        np.full_like(from_lamp, mesh.lamp),
        from_lamp,
        dists=np.full(len(facing), 0.999, np.float32),
        query="OCCLUDED",
    )
    squared = np.einsum("ri,ri->r", from_lamp, from_lamp)
    direct = 4.0 * towards_lamp.take(face.take(facing)) / (np.sqrt(squared) * (1.5 + squared))
    direct[blocked == 0] = 0
    light = ambient.take(face)
    light[facing] += direct
    light *= _texture(mesh.pattern.take(face), points)
    return mesh.albedo.take(face, axis=0) * light[:, None], len(facing)


def _texture(pattern, points):
    """Return the brightness of planks, tiles and stripes at world points."""
    factor = np.ones(len(points), np.float32)
    for kind in (PLANKS, CHECKER, STRIPES):
        index = np.flatnonzero(pattern == kind)
        x, y = points[index, 0], points[index, 1]
        if kind == PLANKS:
            factor[index] = 0.82 + 0.18 * (np.floor(x / 0.4) % 2 == 0)
        elif kind == CHECKER:
            factor[index] = 0.72 + 0.28 * ((np.floor(x / 0.6) + np.floor(y / 0.6)) % 2 == 0)
        else:
            factor[index] = 0.9 + 0.1 * (np.floor((x + y) / 0.35) % 2 == 0)
    return factor


def _to_srgb(linear: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    value = np.clip(linear, 0, 1)
    curve = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    return (curve * 255 + 0.5).astype(np.uint8)
