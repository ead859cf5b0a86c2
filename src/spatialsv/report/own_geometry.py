"""What a model's lifted geometry answers by itself to the questions about rooms.

Each thing's box comes from the lifted points that its mask covers, in the room as the lifted
cameras have it; the questions' own rules then give the answer. Taken from the truth: which pixels
show which thing, where the first camera stands and which way is up, and one length a scene (the
ratio of medians of depth, as in the depth errors). All else is the model's. By the same way:
exact depth and cameras, which show what masks of this size and one-sided views allow; and of depth
and cameras one lifted, the other exact, or a guess that looks at nothing: the mean depth of the
other rooms.
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
from spatialsv.scenes.store import read_groups

SOURCES = {  # depth, and cameras
    "exact": "exact",
    "lifted_depth": "lifted depth, exact cameras",
    "mean_depth": "mean depth, exact cameras",
    "lifted": "lifted",
    "lifted_cameras": "mean depth, lifted cameras",
}
Said = dict[str, str | float | None]  # by source


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """A room, its pictures' geometry and masks (a stack of one), and what is asked of places."""

    room: Room
    scenes: Scenes
    questions: tuple[Question, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """A known room at the lifted size."""

    depth: Float[np.ndarray, "N H W"]
    valid: Bool[np.ndarray, "N H W"]
    intrinsics: Float[np.ndarray, "N 3 3"]
    instance: Int[np.ndarray, "N H W"]  # 0 where depth is unknown

    def scale_of(self, depth: Float[np.ndarray, "N H W"]) -> float:
        """What brings another's depth to this one's length: the ratio of medians."""
        return float(np.median(self.depth[self.valid]) / np.median(depth[self.valid]))


def known_rooms(manifests: Sequence[Manifest]) -> list[Known]:
    """The rooms of these scenes manifests; scenes from elsewhere are passed over.

    Raises:
        ValueError: a room that is not the one that was photographed.
    """
    found = []
    for manifest in manifests:
        if "rooms" not in manifest.config or "split" not in manifest.about:
            continue
        config = from_mapping(RoomsConfig, manifest.config["rooms"], str(manifest.path))
        asked: dict[str, list[Question]] = {}
        for question in read_questions(manifest.find(".questions.jsonl")):
            if question.task in SOLVERS:
                asked.setdefault(question.scene, []).append(question)
        for group in read_groups(manifest.find(".zarr"), ["instance"]):
            for one in group:
                room = make_room(room_seed(one.ids[0]), config)
                if not np.allclose(room.cam_to_world, one.cam_to_world[0]):
                    raise ValueError(
                        f"{manifest.path}: {room.id} is not the room that these settings make;"
                        " force the scenes stage"
                    )
                questions = tuple(asked.get(room.id, ()))
                found.append(Known(room=room, scenes=one, questions=questions))
    return found


def answers_of_geometry(known: Sequence[Known], lifted: Mapping[str, Scenes]) -> dict[str, Said]:
    """What each source says to each question whose room was lifted.

    Args:
        lifted: stacks of one by scene, in the first view's frame and a unit of their own; all of
            one size.
    """
    known = [one for one in known if one.room.id in lifted]
    if not known:
        return {}
    size = next(iter(lifted.values())).shape[1:]
    seen = [at_size(one.scenes, size) for one in known]
    total = sum(one.depth * one.valid for one in seen)
    count = sum(one.valid.astype(int) for one in seen)
    found: dict[str, Said] = {}
    for one, true in zip(known, seen, strict=True):
        others = count - true.valid
        mean = (total - true.depth * true.valid) / np.maximum(others, 1)
        guess = np.where(others > 0, mean, np.median(true.depth))
        own = lifted[one.room.id]
        K, poses = true.intrinsics, one.room.cam_to_world
        ideas = {
            "exact": survey_of(one.room, true, true.depth, K, poses),
            "lifted_depth": survey_of(one.room, true, own.depth[0], K, poses),
            "mean_depth": survey_of(one.room, true, guess, K, poses),
            "lifted": placed(one.room, true, own.depth[0], own),
            "lifted_cameras": placed(one.room, true, guess, own),
        }
        found |= {
            question.id: {name: solve(question, idea) for name, idea in ideas.items()}
            for question in one.questions
        }
    return found


def at_size(scenes: Scenes, size: tuple[int, int]) -> Seen:
    """A stack of one at the pixels that heads of this output size stand for."""
    arrays = [scenes.depth[0], scenes.valid[0], scenes.intrinsics[0], scenes.instance[0]]
    depth, valid, K, instance = map(torch.from_numpy, arrays)
    instance = resample(depth.double(), instance, K.double(), size)[1]
    small, valid, K_small = resample(depth.double(), valid, K.double(), size)
    small = torch.where(valid, small, 0)
    return Seen(
        depth=small.numpy(),
        valid=valid.numpy(),
        intrinsics=K_small.numpy(),
        instance=torch.where(valid, instance, 0).numpy(),
    )


def placed(
    room: Room, true: Seen, depth: Float[np.ndarray, "N H W"], cameras: Scenes
) -> Visibility:
    """`room` by this depth and the lifted cameras, set upon the true first camera.

    The cameras' lengths are brought to the truth's by the lifted depth, with which they came.
    """
    poses = cameras.cam_to_world[0].astype(float)
    poses[:, :3, 3] *= true.scale_of(cameras.depth[0])
    poses = room.cam_to_world[0] @ poses
    return survey_of(room, true, depth, cameras.intrinsics[0], poses)


def survey_of(
    room: Room,
    true: Seen,
    depth: Float[np.ndarray, "N H W"],
    intrinsics: Float[np.ndarray, "N 3 3"],
    cam_to_world: Float[np.ndarray, "N 4 4"],
) -> Visibility:
    """`room` by these cameras and this depth, brought to the truth's length by medians."""
    depth = true.scale_of(depth) * depth
    arrays = (np.asarray(x, dtype=float) for x in (depth, intrinsics, cam_to_world))
    depth, K, poses = map(torch.from_numpy, arrays)
    points = point_map(depth, ray_map(K, poses, *depth.shape[-2:])).numpy()
    return visibility_from_points(room, points, true.instance, poses.numpy())
