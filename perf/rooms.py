"""Compare the ray rate of rendering rooms with that of embreex without the pipeline.

Both sides cast the same rays into the same rooms in one run: ours through `make_room` and `render`,
embreex on scenes that are already built. Shadow rays count on both sides.

    python perf/rooms.py [--rooms 64] [--size 64] [--samples 4] [--repeats 5]
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from common.figures import Figure, make_parser, parse, report
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.render import build_mesh, camera_rays, render_room, sample_grid
from spatialsv.rooms.room import Room


def build_scene(room: Room, size: int, samples: int, rays: int):
    """Return a built scene with the primary and shadow rays that `render` casts in it."""
    mesh = build_mesh(room)
    scene = EmbreeScene()
    TriangleMesh(scene, mesh.vertices, mesh.faces)
    offsets = np.random.default_rng(0).uniform(size=(samples + 1, 2))
    origins, directions = camera_rays(room, sample_grid(size, offsets))
    points = (
        origins + 0.999 * scene.run(origins, directions, query="DISTANCE")[:, None] * directions
    )
    shadows = rays - len(origins)
    return scene, origins, directions, points[:shadows], (mesh.lamp - points[:shadows])


def embreex_seconds(scenes) -> float:
    """Return the time that embreex takes to cast the rays."""
    start = time.perf_counter()
    for scene, origins, directions, points, to_lamp in scenes:
        scene.run(origins, directions, output=True)
        scene.run(points, to_lamp, dists=np.full(len(points), 0.999, np.float32), query="OCCLUDED")
    return time.perf_counter() - start


def our_seconds(seeds: range, config: RoomsConfig) -> tuple[float, int]:
    """Return the time to make and render the rooms, and the number of rays."""
    start = time.perf_counter()
    rays = sum(
        render_room(make_room(seed, config), config.image_size, config.samples).rays
        for seed in seeds
    )
    return time.perf_counter() - start, rays


def main() -> None:
    """Parse the command line, measure and print."""
    sizes = {"rooms": (64, 2), "size": (64, 16), "samples": (4, 1), "repeats": (5, 1)}
    arguments = parse(make_parser(__doc__, **sizes))
    config = RoomsConfig(image_size=arguments.size, samples=arguments.samples)
    seeds = range(arguments.rooms)
    rooms = [make_room(seed, config) for seed in seeds]
    counts = [render_room(room, arguments.size, arguments.samples).rays for room in rooms]
    scenes = [
        build_scene(room, arguments.size, arguments.samples, count)
        for room, count in zip(rooms, counts, strict=True)
    ]
    ratios = []
    for _ in range(arguments.repeats):
        reference = embreex_seconds(scenes)
        ours, rays = our_seconds(seeds, config)
        ratios.append(reference / ours)
    about = f"{arguments.rooms} rooms of {arguments.size} pixels, {rays} rays, one thread"
    share = Figure(comparison="rays per second, ours / embreex", value=statistics.median(ratios))
    report(arguments, about, [share])


if __name__ == "__main__":
    main()
