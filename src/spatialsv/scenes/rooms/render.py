"""Rooms to pictures: Embree casts the rays, NumPy shades them.

Every ray direction has z = 1 in its camera, so Embree's hit distance *is* z-depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Float, Int, UInt8

from spatialsv.scenes.rooms.parts import ACCENTS, COLOURS, TINTS, category_mesh, shape_mesh
from spatialsv.scenes.rooms.room import Room

WALL_COLOURS = ((0.72, 0.68, 0.60), (0.55, 0.64, 0.72), (0.68, 0.58, 0.55), (0.60, 0.68, 0.58))
FLOOR_COLOURS = ((0.42, 0.28, 0.17), (0.36, 0.36, 0.38), (0.52, 0.44, 0.34), (0.30, 0.22, 0.17))
PLAIN, PLANKS, CHECKER, STRIPES, LIGHT = range(5)  # a face's pattern


@dataclass(frozen=True, eq=False)
class Mesh:
    """A room's triangles."""

    vertices: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    albedo: Float[np.ndarray, "F 3"]  # linear RGB
    pattern: Int[np.ndarray, " F"]
    instance: Int[np.ndarray, " F"]  # 0 = the room itself
    lamp: Float[np.ndarray, "3"]  # where the light hangs, metres


@dataclass(frozen=True, eq=False)
class Picture:
    """What the cameras of one room see."""

    image: UInt8[np.ndarray, "N H W 3"]
    depth: Float[np.ndarray, "N H W"]  # metres, at pixel centres
    instance: Int[np.ndarray, "N H W"]
    rays: int  # how many were cast, shadows included


def build_mesh(room: Room) -> Mesh:
    """Walls, windows, a door and all things as one triangle mesh."""
    rng = np.random.default_rng([room.seed, 7])
    parts = [_shell(room, rng), *_openings(room, rng)]
    for number, thing in enumerate(room.things, start=1):
        mesh = category_mesh(thing.category)
        local = (mesh.vertices - np.array([0, 0, 0.5])) * thing.size
        main = np.array(COLOURS[thing.colour])
        palette = np.stack([main, 0.45 * main + 0.01, *(np.array(c) for c in ACCENTS.values())])
        assert len(palette) == len(TINTS)
        vertices = local @ thing.axes().T + thing.centre
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
        ),
        instance=np.repeat([part[4] for part in parts], sizes).astype(np.int16),
        lamp=np.array(
            [*(room.extent[:2] * rng.uniform(0.3, 0.7, size=2)), room.extent[2] - 0.3], np.float32
        ),
    )


def _shell(room: Room, rng):
    """Floor, ceiling and walls: a box seen from inside."""
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
    """A window or a door, flat on two of the walls."""
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


def pixel_directions(
    intrinsics: Float[np.ndarray, "N 3 3"], size: int, offsets: Float[np.ndarray, "S 2"]
) -> Float[np.ndarray, "N S size size 3"]:
    """Camera-frame directions K^-1 [u, v, 1] through `offsets` (u, v in [0, 1]) of every pixel."""
    grid = np.arange(size)
    u = grid[None, None, :] + offsets[:, 0, None, None]
    v = grid[None, :, None] + offsets[:, 1, None, None]
    u, v = np.broadcast_arrays(u, v)
    k = intrinsics[:, None, None, None]
    x = (u - k[..., 0, 2]) / k[..., 0, 0]
    y = (v - k[..., 1, 2]) / k[..., 1, 1]
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def render(room: Room, size: int, samples: int) -> Picture:
    """Photograph `room`: colour from `samples` rays a pixel, depth and instances from its centre.

    Args:
        size: pixels, square; the room's intrinsics are for this size.
        samples: a square number.
    """
    mesh = build_mesh(room)
    scene = EmbreeScene()
    TriangleMesh(scene, mesh.vertices, mesh.faces)
    side = round(samples**0.5)
    ticks = (np.arange(side) + 0.5) / side
    offsets = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    centre = np.array([[0.5, 0.5]])
    shared = side % 2 == 1  # the middle sample is the pixel's centre
    if not shared:
        offsets = np.concatenate([offsets, centre])
    middle = len(offsets) // 2 if shared else len(offsets) - 1
    local = pixel_directions(room.intrinsics, size, offsets)
    rotation = room.cam_to_world[:, :3, :3]
    shape = local.shape[:-1]
    directions = np.einsum("nij,nshwj->nshwi", rotation, local).reshape(-1, 3).astype(np.float32)
    eyes = np.broadcast_to(room.cam_to_world[:, None, None, None, :3, 3], (*shape, 3))
    origins = np.ascontiguousarray(eyes.reshape(-1, 3), dtype=np.float32)
    hits = scene.run(origins, directions, output=True)
    face = hits["primID"].reshape(shape)
    depth = hits["tfar"].reshape(shape)[:, middle]
    colour = slice(None) if shared else slice(0, -1)
    lit = np.ascontiguousarray(np.broadcast_to(np.arange(shape[1])[:, None, None], shape[1:]))
    keep = np.broadcast_to(np.isin(lit, np.arange(shape[1])[colour]), shape).reshape(-1)
    radiance, shadow_rays = _shade(mesh, scene, origins[keep], directions[keep], hits, keep)
    pixels = radiance.reshape(shape[0], -1, size, size, 3).mean(axis=1)
    return Picture(
        image=_to_srgb(pixels),
        depth=depth.astype(np.float32),
        instance=mesh.instance[face[:, middle]],
        rays=len(origins) + shadow_rays,
    )


def _shade(mesh: Mesh, scene: EmbreeScene, origins, directions, hits, keep):
    """Lambert under one lamp with hard shadows, sky light from above and a little bounce."""
    face = hits["primID"][keep]
    points = origins + hits["tfar"][keep, None] * directions
    normals = hits["Ng"][keep]
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(np.einsum("ri,ri->r", normals, directions)[:, None] > 0, -normals, normals)
    to_lamp = mesh.lamp - points
    distance = np.linalg.norm(to_lamp, axis=1)
    cosine = np.einsum("ri,ri->r", normals, to_lamp) / distance
    facing = np.flatnonzero(cosine > 0)
    start = points[facing] + 1e-3 * normals[facing]
    blocked = scene.run(
        start, mesh.lamp - start, dists=np.full(len(facing), 0.999, np.float32), query="OCCLUDED"
    )
    direct = np.zeros(len(points), np.float32)
    direct[facing] = np.where(blocked == 0, 0, cosine[facing])
    direct *= 4.0 / (1.5 + distance**2)
    ambient = 0.34 + 0.14 * normals[:, 2] + 0.05 * normals[:, 0]
    albedo = mesh.albedo[face] * _texture(mesh.pattern[face], points)[:, None]
    light = np.where(mesh.pattern[face] == LIGHT, 1.1, ambient + direct)
    return albedo * light[:, None], len(facing)


def _texture(pattern, points):
    """Brightness of planks, tiles and stripes at world points."""
    x, y = points[:, 0], points[:, 1]
    factor = np.ones(len(points), np.float32)
    planks = 0.82 + 0.18 * ((np.floor(x / 0.4) % 2) == 0)
    checker = 0.72 + 0.28 * ((np.floor(x / 0.6) + np.floor(y / 0.6)) % 2 == 0)
    stripes = 0.9 + 0.1 * (np.floor((x + y) / 0.35) % 2 == 0)
    for kind, value in ((PLANKS, planks), (CHECKER, checker), (STRIPES, stripes)):
        factor = np.where(pattern == kind, value, factor)
    return factor


def _to_srgb(linear: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    value = np.clip(linear, 0, 1)
    curve = np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)
    return (curve * 255 + 0.5).astype(np.uint8)
