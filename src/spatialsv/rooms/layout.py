"""Sample rooms by seed: object placement and camera motion.

Position, size and yaw of an object are drawn before, and independently of, its category and colour.
Names therefore carry no information about geometry, and questions can be balanced.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from spatialsv.rooms.free_views import FreeViews, draw_views
from spatialsv.rooms.parts import CATEGORIES, COLOURS, PROPORTIONS
from spatialsv.rooms.room import MOTIONS, Motion, Room, RoomObject, camera_pose

RADIUS_FACTOR = 0.62  # radius of an object's exclusion circle, relative to its longest side
GAP = 0.1  # metres between two exclusion circles
MAX_ATTEMPTS = 1000  # placements tried for one room before giving up
LAYOUTS = 20  # arrangements of objects tried for free cameras
CLEARANCE = 0.25  # metres between an exclusion circle and a camera


@dataclass(frozen=True, kw_only=True)
class RoomsConfig:
    """How rooms are sampled and rendered."""

    views: int = 4  # per room
    image_size: int = 64  # pixels, square
    samples: int = 4  # rays per pixel for colour; depth and instances use one, at its centre
    fov: tuple[float, float] = (64.0, 76.0)  # degrees, sampled per room
    extent: tuple[float, float] = (5.0, 7.0)  # metres, width and depth
    objects: tuple[int, int] = (5, 8)  # minimum and maximum per room
    size: tuple[float, float] = (0.7, 1.6)  # metres, an object's longest side
    repeat: float = 0.6  # probability that one category occurs several times
    distinct_colours: bool = False  # no colour occurs twice in a room
    motions: tuple[Motion, ...] = MOTIONS  # camera motions, sampled per room; also: free
    free: FreeViews = field(default_factory=FreeViews)  # cameras of the motion `free`

    def __post_init__(self) -> None:
        if not self.motions:
            raise ValueError(f"rooms.motions is empty. Give at least one of {', '.join(MOTIONS)}.")
        if self.distinct_colours and self.objects[1] > len(COLOURS):
            raise ValueError(
                f"rooms.distinct_colours: rooms.objects allows {self.objects[1]} objects, but there"
                f" are {len(COLOURS)} colours."
            )
        needed = self.free.shared + self.views * self.free.exclusive
        if "free" in self.motions and self.objects[0] < needed:
            raise ValueError(
                f"rooms.free: {self.free.shared} shared objects and {self.free.exclusive} exclusive"
                f" ones in each of {self.views} views need {needed} objects, but rooms.objects"
                f" allows {self.objects[0]}. Raise rooms.objects, or lower rooms.free."
            )


def make_room(seed: int, config: RoomsConfig) -> Room:
    """Return the room with this seed; it depends on seed and config only.

    Raises:
        ValueError: the objects are too many or too large for the room, or no cameras of the motion
            `free` meet their settings.
    """
    rng = np.random.default_rng([seed, 20_26])
    motion = config.motions[rng.integers(len(config.motions))]
    extent = np.array([*rng.uniform(*config.extent, size=2), rng.uniform(2.5, 3.0)])
    count = int(rng.integers(config.objects[0], config.objects[1] + 1))
    start = rng.integers(4) * np.pi / 2 + np.radians(rng.uniform(-8, 8))
    target = extent[:2] / 2
    if motion != "around":  # the position of the rotating camera, or of the central object
        target = target + rng.uniform(-0.2, 0.2, size=2)
    half = min(extent[:2]) / 2
    if motion == "free":
        for _ in range(LAYOUTS):  # placements without enough overlap between views are rejected
            objects = _furnish(rng, motion, extent, target, (), count, start, config)
            drawn = draw_views(rng, objects, extent, config.views, config.fov, config.free)
            if drawn is not None:
                break
        else:
            raise ValueError(config.free.describe_failure(config.views))
        cameras, tangents = drawn
    else:
        cameras = _cameras(rng, motion, target, half, start, config)
        objects = _furnish(rng, motion, extent, target, cameras, count, start, config)
        tangents = np.repeat(np.tan(np.radians(rng.uniform(*config.fov)) / 2), len(cameras))
    focal, middle = 0.5 * config.image_size / tangents, config.image_size / 2
    intrinsics = np.zeros((len(cameras), 3, 3))
    intrinsics[:, 0, 0] = intrinsics[:, 1, 1] = focal
    intrinsics[:, :2, 2], intrinsics[:, 2, 2] = middle, 1.0
    return Room(
        seed=seed,
        extent=extent,
        objects=objects,
        motion=motion,
        cam_to_world=cameras,
        intrinsics=intrinsics,
    )


def _furnish(
    rng, motion: Motion, extent, target, cameras, count: int, start: float, config: RoomsConfig
) -> tuple[RoomObject, ...]:
    """Return the objects of a room, clear of its `cameras`."""
    taken = [(float(pose[0, 3]), float(pose[1, 3]), CLEARANCE) for pose in cameras]
    for _ in range(MAX_ATTEMPTS):  # crowded samples are rejected
        placements = _place_objects(rng, motion, extent, target, taken, count, start, config)
        if len(placements) >= config.objects[0]:
            return _name_objects(rng, placements, extent, config)
    raise ValueError(
        f"rooms: {config.objects[0]} objects of {config.size} m do not fit into a room of"
        f" {extent[0]:.1f} by {extent[1]:.1f} m. Lower rooms.objects or rooms.size."
    )


def _place_objects(
    rng, motion: Motion, extent, target, taken, count: int, start: float, config: RoomsConfig
):
    """Return (x, y, longest side) of up to `count` objects that touch nothing.

    Plain floats: a room takes about 150 trials, which NumPy's overhead would dominate. `target` is
    where the cameras look, and the first object's position for the motion `among`; `taken` holds
    the circles (x, y, radius) of the cameras.
    """
    width, depth = float(extent[0]), float(extent[1])
    half = min(width, depth) / 2
    placements: list[tuple[float, float, float]] = []  # x, y, longest side
    for index in range(count):
        for _ in range(40):
            length = rng.uniform(*config.size)
            if motion == "among" and index == 0:  # small, so that objects behind it stay visible
                length = rng.uniform(config.size[0], max(config.size[0], 0.95))
                x, y = target.tolist()
            else:
                angle, radius = _direction(rng, motion, index, start, half)
                x, y = width / 2 + radius * math.cos(angle), depth / 2 + radius * math.sin(angle)
            circles = [*taken, *((a, b, RADIUS_FACTOR * other + GAP) for a, b, other in placements)]
            if _fits(x, y, RADIUS_FACTOR * length, circles, width, depth):
                placements.append((x, y, length))
                break
        else:
            if index < 5:  # the centre and all four directions must be occupied
                return []
    return placements


def _direction(rng, motion: Motion, index: int, start: float, half: float) -> tuple[float, float]:
    """Sample an angle and a distance from the room's centre for object `index`."""
    if motion in ("around", "free"):
        radius = 1.6 if motion == "around" else 1.4 * half
        return rng.uniform(0, 2 * math.pi), radius * math.sqrt(rng.uniform())
    side = index - (motion == "among")  # one object in each of four directions first
    wobble = rng.uniform(-0.35, 0.35) if side < 4 else rng.uniform(-math.pi, math.pi)
    angle = start - side * math.pi / 2 + wobble
    return angle, rng.uniform(1.5 if motion == "rotation" else 1.9, half)


def _fits(x: float, y: float, reach: float, circles, width: float, depth: float) -> bool:
    """Return whether a circle lies in the room and touches none of `circles`."""
    if not (reach <= x <= width - reach and reach <= y <= depth - reach):
        return False
    return all(math.hypot(x - a, y - b) > reach + radius for a, b, radius in circles)


def _name_objects(rng, placements, extent, config: RoomsConfig) -> tuple[RoomObject, ...]:
    """Assign a category and a colour to each position; no combination occurs twice."""
    count = len(placements)
    categories = list(rng.permutation(CATEGORIES)[:count])
    if rng.uniform() < config.repeat:
        copies = int(rng.integers(2, min(4, count - 2) + 1))
        categories = [categories[0]] * copies + categories[copies:]
        categories = list(rng.permutation(categories))
    colours: list[str] = []
    if config.distinct_colours:
        colours = [str(name) for name in rng.permutation(list(COLOURS))[:count]]
    for i, category in enumerate(categories[len(colours) :]):
        taken = {c for c, k in zip(colours, categories[:i], strict=True) if k == category}
        colours.append(str(rng.choice([c for c in COLOURS if c not in taken])))
    objects = []
    for (x, y, length), category, colour in zip(placements, categories, colours, strict=True):
        shape = np.array(PROPORTIONS[category]) * rng.uniform(0.9, 1.1, size=3)
        size = shape / shape.max() * length
        size[2] = min(size[2], extent[2] - 0.1)
        turn = rng.integers(4) * np.pi / 2 + np.radians(rng.uniform(-15, 15))
        objects.append(
            RoomObject(
                category=str(category),
                colour=colour,
                centre=np.array([x, y, size[2] / 2]),
                size=size,
                yaw=float(turn),
            )
        )
    return tuple(objects)


def _cameras(
    rng, motion: Motion, target, half: float, start: float, config: RoomsConfig
) -> Float[np.ndarray, "N 4 4"]:
    """Return cameras at eye height that follow one of MindCube's motions around `target`."""
    height = rng.uniform(1.3, 1.6)
    clockwise = rng.choice([-1.0, 1.0])
    step = np.radians(rng.uniform(32, 50)) * min(
        1, 3 / max(config.views - 1, 1)
    )  # less than 180 degrees in total
    views = np.arange(config.views)
    if motion == "rotation":  # each view turns right by 90 degrees
        yaws = start - views * np.pi / 2 + np.radians(rng.uniform(-4, 4, size=len(views)))
        eyes = np.repeat(target[None], len(views), axis=0)
        return np.stack(
            [camera_pose(eye, yaw, 20.0, height) for eye, yaw in zip(eyes, yaws, strict=True)]
        )
    if motion == "among":  # from four sides of the central object
        radius = rng.uniform(1.35, 1.6)
        angles = start + np.pi - views * np.pi / 2
        pitch = 24.0
    else:
        radius = rng.uniform(half - 0.5, half - 0.25)
        angles = start + clockwise * step * (views - (config.views - 1) / 2)
        pitch = 26.0
    angles = angles + np.radians(rng.uniform(-4, 4, size=len(views)))
    eyes = target + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.stack(
        [
            camera_pose(eye, angle + np.pi, pitch, height)
            for eye, angle in zip(eyes, angles, strict=True)
        ]
    )
