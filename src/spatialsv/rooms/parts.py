"""Meshes of objects: each category consists of boxes, cylinders, cones and balls.

Parts are given in a unit frame (x, y in [-0.5, 0.5], z in [0, 1]) and scaled to the object's size.
Proportions are relative to the longest side, which is sampled independently of the category: a name
carries no information about size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Part:
    """A primitive that fills the box [low, high] of the unit frame."""

    shape: str  # a key of SHAPES
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    tint: str = "main"  # "main": the object's colour; "dark": darker; or a key of ACCENTS


ACCENTS = {"wood": (0.36, 0.22, 0.11), "screen": (0.02, 0.02, 0.03), "linen": (0.85, 0.83, 0.78)}
COLOURS = {  # linear RGB
    "red": (0.72, 0.03, 0.03),
    "orange": (0.85, 0.25, 0.01),
    "yellow": (0.85, 0.68, 0.03),
    "green": (0.04, 0.42, 0.06),
    "blue": (0.03, 0.09, 0.65),
    "purple": (0.28, 0.03, 0.45),
    "white": (0.88, 0.88, 0.88),
    "cyan": (0.03, 0.55, 0.60),
}


def _legs(top: float, inset: float = 0.06, width: float = 0.1) -> tuple[Part, ...]:
    near, far = 0.5 - inset - width, 0.5 - inset
    spans = ((-far, -near), (near, far))
    return tuple(
        Part("box", (x0, y0, 0.0), (x1, y1, top), "dark") for x0, x1 in spans for y0, y1 in spans
    )


def _full(low: float, high: float, shape: str = "box", tint: str = "main") -> Part:
    return Part(shape, (-0.5, -0.5, low), (0.5, 0.5, high), tint)


def _disc(radius: float, low: float, high: float, shape: str, tint: str = "main") -> Part:
    return Part(shape, (-radius, -radius, low), (radius, radius, high), tint)


PARTS: dict[str, tuple[Part, ...]] = {
    "chair": (
        *_legs(0.42),
        _full(0.40, 0.50),
        Part("box", (-0.5, 0.36, 0.5), (0.5, 0.5, 1.0)),
    ),
    "table": (*_legs(0.88, inset=0.03), _full(0.86, 1.0)),
    "sofa": (
        _full(0.0, 0.45),
        Part("box", (-0.5, 0.2, 0.45), (0.5, 0.5, 1.0)),
        Part("box", (-0.5, -0.5, 0.45), (-0.36, 0.2, 0.72), "dark"),
        Part("box", (0.36, -0.5, 0.45), (0.5, 0.2, 0.72), "dark"),
    ),
    "shelf": (
        Part("box", (-0.5, -0.5, 0.0), (-0.4, 0.5, 1.0)),
        Part("box", (0.4, -0.5, 0.0), (0.5, 0.5, 1.0)),
        Part("box", (-0.4, 0.4, 0.0), (0.4, 0.5, 1.0), "dark"),
        *(
            Part("box", (-0.4, -0.5, z), (0.4, 0.4, z + 0.05))
            for z in (0.0, 0.24, 0.48, 0.72, 0.95)
        ),
    ),
    "lamp": (
        _disc(0.32, 0.0, 0.04, "cylinder", "dark"),
        _disc(0.06, 0.04, 0.66, "cylinder", "dark"),
        Part("shade", (-0.5, -0.5, 0.6), (0.5, 0.5, 1.0)),
    ),
    "bed": (
        _full(0.0, 0.25, tint="wood"),
        Part("box", (-0.5, -0.5, 0.25), (0.5, 0.28, 0.6)),
        Part("box", (-0.42, 0.26, 0.25), (0.42, 0.44, 0.7), "linen"),
        Part("box", (-0.5, 0.44, 0.0), (0.5, 0.5, 1.0), "dark"),
    ),
    "plant": (
        Part("pot", (-0.3, -0.3, 0.0), (0.3, 0.3, 0.32), "wood"),
        _disc(0.05, 0.3, 0.55, "cylinder", "wood"),
        Part("ball", (-0.5, -0.5, 0.42), (0.1, 0.1, 0.82)),
        Part("ball", (-0.1, -0.15, 0.45), (0.5, 0.45, 0.85), "dark"),
        Part("ball", (-0.3, -0.3, 0.6), (0.3, 0.3, 1.0)),
    ),
    "ball": (_full(0.0, 1.0, "ball"),),
    "box": (_full(0.0, 0.92), Part("box", (-0.5, -0.5, 0.92), (0.5, 0.5, 1.0), "dark")),
    "cone": (_full(0.0, 0.08, tint="dark"), _disc(0.42, 0.08, 1.0, "cone")),
    "vase": (
        Part("pot", (-0.5, -0.5, 0.3), (0.5, 0.5, 0.68)),
        _disc(0.33, 0.0, 0.3, "pot"),
        Part("shade", (-0.5, -0.5, 0.68), (0.5, 0.5, 0.88)),
        _disc(0.34, 0.88, 1.0, "pot", "dark"),
    ),
    "television": (
        Part("box", (-0.25, -0.5, 0.0), (0.25, 0.5, 0.05), "dark"),
        Part("box", (-0.05, -0.1, 0.05), (0.05, 0.1, 0.25), "dark"),
        Part("box", (-0.5, -0.2, 0.2), (0.5, 0.2, 1.0)),
        Part("box", (-0.42, -0.26, 0.28), (0.42, -0.18, 0.92), "screen"),
    ),
    "stairs": tuple(
        Part("box", (-0.5, -0.5 + 0.25 * i, 0.0), (0.5, -0.25 + 0.25 * i, 0.25 * (i + 1)), tint)
        for i, tint in enumerate(("main", "dark", "main", "dark"))
    ),
}
PROPORTIONS: dict[str, tuple[float, float, float]] = {  # width, depth, height; the longest is 1
    "chair": (0.52, 0.52, 1.0),
    "table": (1.0, 0.68, 0.62),
    "sofa": (1.0, 0.5, 0.48),
    "shelf": (0.58, 0.34, 1.0),
    "lamp": (0.42, 0.42, 1.0),
    "bed": (0.62, 1.0, 0.42),
    "plant": (0.66, 0.66, 1.0),
    "ball": (1.0, 1.0, 1.0),
    "box": (1.0, 0.9, 0.8),
    "cone": (0.7, 0.7, 1.0),
    "vase": (0.5, 0.5, 1.0),
    "television": (1.0, 0.3, 0.72),
    "stairs": (0.7, 1.0, 0.85),
}
CATEGORIES = tuple(PARTS)


def _lathe(profile: list[tuple[float, float]], sides: int = 14) -> tuple[np.ndarray, np.ndarray]:
    """Return a solid of revolution from (radius, z) pairs, bottom to top, in the unit frame."""
    angles = np.arange(sides) * 2 * np.pi / sides
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rows = [np.column_stack([radius * ring, np.full(sides, z)]) for radius, z in profile]
    vertices = np.concatenate([*rows, [[0, 0, profile[0][1]], [0, 0, profile[-1][1]]]])
    j, k = np.arange(sides), (np.arange(sides) + 1) % sides
    faces = []
    for row in range(len(profile) - 1):
        a, b = row * sides, (row + 1) * sides
        faces += [np.stack([a + j, a + k, b + k], 1), np.stack([a + j, b + k, b + j], 1)]
    top = (len(profile) - 1) * sides
    faces.append(np.stack([np.full(sides, len(vertices) - 2), k, j], 1))
    faces.append(np.stack([np.full(sides, len(vertices) - 1), top + j, top + k], 1))
    return vertices, np.concatenate(faces)


@cache
def shape_mesh(shape: str) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """Return the mesh of a primitive that fills the unit frame; faces are oriented outwards."""
    if shape == "box":
        return _lathe_box()
    steps = np.linspace(0, np.pi, 9)
    profiles = {
        "cylinder": [(0.5, 0.0), (0.5, 1.0)],
        "cone": [(0.5, 0.0), (0.02, 1.0)],
        "shade": [(0.5, 0.0), (0.28, 1.0)],
        "pot": [(0.3, 0.0), (0.5, 1.0)],
        "ball": [(0.5 * np.sin(t) + 1e-4, 0.5 - 0.5 * np.cos(t)) for t in steps],
    }
    return _lathe(profiles[shape])


def _lathe_box() -> tuple[np.ndarray, np.ndarray]:
    x, y, z = np.meshgrid([-0.5, 0.5], [-0.5, 0.5], [0.0, 1.0], indexing="ij")
    vertices = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [f for a, b, c, d in quads for f in ((a, b, c), (a, c, d))]
    return vertices, np.array(faces)


@dataclass(frozen=True, eq=False)
class UnitMesh:
    """The mesh of a category in the unit frame."""

    vertices: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    tint: Int[np.ndarray, " F"]  # index into TINTS


TINTS = ("main", "dark", *ACCENTS)


@cache
def category_mesh(category: str) -> UnitMesh:
    """Return the parts of `category` as one mesh."""
    vertices, faces, tint, count = [], [], [], 0
    for part in PARTS[category]:
        v, f = shape_mesh(part.shape)
        low, high = np.array(part.low), np.array(part.high)
        vertices.append(np.concatenate([v[:, :2] + 0.5, v[:, 2:]], 1) * (high - low) + low)
        faces.append(f + count)
        tint.append(np.full(len(f), TINTS.index(part.tint)))
        count += len(v)
    return UnitMesh(np.concatenate(vertices), np.concatenate(faces), np.concatenate(tint))
