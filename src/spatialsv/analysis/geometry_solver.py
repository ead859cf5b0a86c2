"""The geometry-only solver: answers to questions about rooms from a model's lifted geometry.

Each object's box comes from the lifted points that its mask covers, in the room as the lifted
cameras see it; the rules that generated the questions then give the answer. Taken from the truth:
which pixels belong to which object, where the first camera is and which way is up, and one length
per scene (the ratio of median depths, as in the depth errors). All else is the model's.

The same solver answers from exact depth and cameras, which shows the limit set by masks of this
size and by one-sided views; and from exact and lifted parts mixed, with the mean depth of the
other rooms as a baseline.

Shapes: N views, H W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from spatialsv.config import from_mapping
from spatialsv.geometry.camera import resample
from spatialsv.geometry.rays import point_map, ray_map
from spatialsv.io.manifest import Manifest
from spatialsv.rooms.from_points import visibility_from_points
from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.questions.solve import SOLVERS, solve
from spatialsv.rooms.questions.visibility import Visibility
from spatialsv.rooms.room import Room, room_seed
from spatialsv.scenes.question import Question, read_questions
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import load_groups

SOURCES = ("exact", "lifted_depth", "mean_depth", "lifted", "lifted_cameras")
Answers = dict[str, str | float | None]  # by source


@dataclass(frozen=True, kw_only=True, eq=False)
class RoomTruth:
    """A room, the true geometry and masks of its images (one scene), and its questions."""

    room: Room
    scenes: Scenes
    questions: tuple[Question, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ResizedTruth:
    """True geometry at the size of the lifted depth."""

    depth: Float[np.ndarray, "N H W"]
    valid: Bool[np.ndarray, "N H W"]
    intrinsics: Float[np.ndarray, "N 3 3"]
    instance: Int[np.ndarray, "N H W"]  # 0 where depth is unknown

    def scale_of(self, depth: Float[np.ndarray, "N H W"]) -> float:
        """Return the ratio of medians, by which `depth` is brought to metres."""
        return float(np.median(self.depth[self.valid]) / np.median(depth[self.valid]))


def load_rooms(manifests: Sequence[Manifest]) -> list[RoomTruth]:
    """Load the rooms of manifests of the stage `scenes`; scenes of other origin are skipped.

    Returns:
        One record per room.

    Raises:
        ValueError: the settings make another room than the stored one.
    """
    rooms = []
    for manifest in manifests:
        if "rooms" not in manifest.config or "split" not in manifest.about:
            continue
        config = from_mapping(RoomsConfig, manifest.config["rooms"], str(manifest.path))
        questions: dict[str, list[Question]] = {}
        for question in read_questions(manifest.find(".questions.jsonl")):
            if question.task in SOLVERS:
                questions.setdefault(question.scene, []).append(question)
        for group in load_groups(manifest.find(".zarr"), ["instance", "depth"]):
            for one in group:
                room = make_room(room_seed(one.ids[0]), config)
                if not np.allclose(room.cam_to_world, one.cam_to_world[0]):
                    raise ValueError(
                        f"{manifest.path}: the settings make another room than the stored"
                        f" {room.id}. Force the stage `scenes`."
                    )
                own = tuple(questions.get(room.id, ()))
                rooms.append(RoomTruth(room=room, scenes=one, questions=own))
    return rooms


def solve_rooms(rooms: Sequence[RoomTruth], lifted: Mapping[str, Scenes]) -> dict[str, Answers]:
    """Answer each question about the lifted rooms from each source of geometry.

    Args:
        rooms: of `load_rooms`.
        lifted: one scene by id, in the first view's frame and a unit of the model; all of one size.

    Returns:
        By question id the answer from each of SOURCES; None where masks show too little.
    """
    rooms = [one for one in rooms if one.room.id in lifted]
    if not rooms:
        return {}
    size = next(iter(lifted.values())).shape[1:]
    truths = [resize_to(one.scenes, size) for one in rooms]
    total = sum(one.depth * one.valid for one in truths)
    count = sum(one.valid.astype(int) for one in truths)
    answers: dict[str, Answers] = {}
    for one, true in zip(rooms, truths, strict=True):
        others = count - true.valid
        mean = (total - true.depth * true.valid) / np.maximum(others, 1)
        guess = np.where(others > 0, mean, np.median(true.depth))
        own = lifted[one.room.id]
        K, poses = true.intrinsics, one.room.cam_to_world
        visibilities = {
            "exact": _visibility(one.room, true, true.depth, K, poses),
            "lifted_depth": _visibility(one.room, true, own.depth[0], K, poses),
            "mean_depth": _visibility(one.room, true, guess, K, poses),
            "lifted": _visibility_by_lifted_cameras(one.room, true, own.depth[0], own),
            "lifted_cameras": _visibility_by_lifted_cameras(one.room, true, guess, own),
        }
        answers |= {
            question.id: {name: solve(question, one) for name, one in visibilities.items()}
            for question in one.questions
        }
    return answers


def resize_to(scenes: Scenes, size: tuple[int, int]) -> ResizedTruth:
    """Resample one scene's geometry and masks to `size` (height, width)."""
    arrays = [scenes.depth[0], scenes.valid[0], scenes.intrinsics[0], scenes.instance[0]]
    depth, valid, K, instance = map(torch.from_numpy, arrays)
    instance = resample(depth.double(), instance, K.double(), size)[1]
    small, valid, K_small = resample(depth.double(), valid, K.double(), size)
    small = torch.where(valid, small, 0)
    return ResizedTruth(
        depth=small.numpy(),
        valid=valid.numpy(),
        intrinsics=K_small.numpy(),
        instance=torch.where(valid, instance, 0).numpy(),
    )


def _visibility_by_lifted_cameras(
    room: Room, true: ResizedTruth, depth: Float[np.ndarray, "N H W"], lifted: Scenes
) -> Visibility:
    """Measure visibility in `room` by this depth and the lifted cameras.

    The first camera is the true one. The lifted depth, which was predicted together with the
    cameras, scales the distances between them.

    Returns:
        Which objects each view sees, and where they are.
    """
    poses = lifted.cam_to_world[0].astype(float)
    poses[:, :3, 3] *= true.scale_of(lifted.depth[0])
    poses = room.cam_to_world[0] @ poses
    return _visibility(room, true, depth, lifted.intrinsics[0], poses)


def _visibility(
    room: Room,
    true: ResizedTruth,
    depth: Float[np.ndarray, "N H W"],
    intrinsics: Float[np.ndarray, "N 3 3"],
    cam_to_world: Float[np.ndarray, "N 4 4"],
) -> Visibility:
    """Measure visibility in `room` by these cameras and this depth, scaled to metres by medians."""
    depth = true.scale_of(depth) * depth
    arrays = (np.asarray(x, dtype=float) for x in (depth, intrinsics, cam_to_world))
    scaled, K, poses = map(torch.from_numpy, arrays)
    points = point_map(scaled, ray_map(K, poses, *scaled.shape[-2:])).numpy()
    return visibility_from_points(room, points, true.instance, poses.numpy())
