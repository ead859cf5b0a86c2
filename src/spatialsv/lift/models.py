"""Models that lift images: a teacher, or an MLLM with 3D heads, with one interface.

A model also says at which image shape and on which data it was trained, if its checkpoint records
that: in the manifest of its training, or in what `spatialsv export` copied from there.

Shapes: B scenes of a batch, N views, h w pixels of one image, H W pixels of the maps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from spatialsv.config import from_mapping
from spatialsv.geometry.cameras_from_rays import cameras_from_rays
from spatialsv.geometry.maps import GeometryPrediction, to_first_view
from spatialsv.geometry.rays import RayMap
from spatialsv.io.text import load_json, parse_json
from spatialsv.lift.views import View
from spatialsv.model.checkpoint import CheckpointRef, resolve_model
from spatialsv.model.finite import check_finite
from spatialsv.model.spatialsv import load_spatialsv
from spatialsv.progress import progress
from spatialsv.samples.batch import Batch
from spatialsv.samples.chat import Chat
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import Sample, SceneDataset
from spatialsv.scenes.scene import Cameras, Geometry, Scenes
from spatialsv.teachers.config import DA3, TeacherConfig
from spatialsv.teachers.load import load_third_party
from spatialsv.teachers.rooms import SHIPPED, SOURCE, RoomsTeacher, load_network
from spatialsv.teachers.teacher import Teacher

GIVE_TASKS = "Give a model of an arm with tasks, such as spatialsv."
TRAINED_ON_ROOMS = (
    "was trained on rendered rooms only; on real photos, treat its geometry as a demonstration, not"
    " as a measurement"
)
TEACHER_TRAINED_ON_ROOMS = (
    "was trained on labels of a teacher that saw rendered rooms only; on real photos, treat its"
    " geometry as a demonstration, not as a measurement"
)


@runtime_checkable
class GeometryModel(Protocol):
    """Predicts the geometry of an image set."""

    name: str
    shape: tuple[int, int] | None  # height and width in training; None: any, or unknown
    views: int | None  # in training, at most; None: any number, or unknown
    max_views: int | None
    one_shape: bool  # the views of a forward pass must have one shape
    notice: str | None  # a limitation, as a sentence that begins with the model's name

    def lift(self, views: Sequence[View]) -> Scenes:
        """Return one scene of relative unit, without images, in the first view's frame.

        Pixels that show nothing of their photo are not valid, and cameras do not depend on them.
        """
        ...


class ShippedTeacher:
    """The geometry teacher in this package; the shipped MLLM has no heads."""

    name = "the shipped teacher"
    one_shape = True
    notice: str | None = TRAINED_ON_ROOMS

    def __init__(self) -> None:
        self.teacher = RoomsTeacher(load_network())
        config = self.teacher.network.config
        self.shape: tuple[int, int] | None = (config.image_size, config.image_size)
        self.max_views: int | None = config.max_views
        # The embeddings of later views were not trained: windows of more views disagree.
        self.views: int | None = load_json(SHIPPED / "RECIPE.json")["config"]["rooms"]["views"]

    def lift(self, views: Sequence[View]) -> Scenes:
        """See `GeometryModel`."""
        images = np.stack([view.model_input for view in views])[None]
        inside = np.stack([view.mask(images.shape[2:4]) for view in views])[None]
        arrays = self.teacher.predict(images, inside) | {"features": None}
        return Scenes.from_arrays(
            arrays, ids=("",), unit="relative", source=SOURCE, revision="", licence="Apache-2.0"
        )


class ThirdPartyTeacher:
    """A teacher from outside this package, which takes any number of views of one shape."""

    shape: tuple[int, int] | None = None
    views: int | None = None
    max_views: int | None = None
    one_shape = True
    notice: str | None = None

    def __init__(self, teacher: Teacher, name: str) -> None:
        self.teacher, self.name = teacher, name

    def lift(self, views: Sequence[View]) -> Scenes:
        """See `GeometryModel`; cameras are those that the teacher predicts from all pixels."""
        images = np.stack([view.model_input for view in views])[None]
        labels = self.teacher.label(Scenes(ids=("",), image=images, source="photos"))
        inside = np.stack([view.mask(labels.shape[1:]) for view in views])[None]
        return labels.replace(valid=labels.valid & inside, features=None, scale=None)


class ModelWithHeads:
    """An MLLM with its 3D heads.

    Args:
        path: a train manifest, or a folder with mllm/ and heads/.
        batch_size: scenes in a forward pass of `lift_scenes`.
        family: the name of an adapter from outside this package, for `load_mllm`.

    Raises:
        ValueError: the model has no 3D heads.
    """

    views: int | None = None
    max_views: int | None = None
    one_shape = False

    def __init__(self, path: Path, batch_size: int = 8, family: str | None = None) -> None:
        self.name, self.batch_size = str(path), batch_size
        ref = resolve_model(path)
        if not ref.has_heads:  # before gigabytes are loaded
            raise ValueError(f"{path}: {_missing_heads(ref)}")
        self.model = load_spatialsv(ref.folder, family=family)
        if self.model.heads is None or not self.model.heads.config.tasks:
            raise ValueError(f"{path}: this model was trained without tasks. {GIVE_TASKS}")
        self.heads, self.family = self.model.heads, self.model.family
        self.tasks = self.heads.config.tasks
        self.size = self.heads.config.output_size  # height and width of the maps
        self.model.to("cuda" if torch.cuda.is_available() else "cpu")
        size = ref.about.get("images", {}).get("size")
        self.shape = None if size is None else (size[0], size[1])
        self.notice = training_notice(ref.about)

    def lift_scenes(self, scenes: Scenes) -> Iterator[tuple[slice, GeometryPrediction]]:
        """Yield the geometry of each batch, with its rows in `scenes`, which must have images."""
        data, collate = SceneDataset(scenes, [], self.family), Collate(processor=self.family)
        for start in progress(range(0, len(scenes), self.batch_size), "lift"):
            rows = slice(start, min(start + self.batch_size, len(scenes)))
            batch = collate([data.images_only(row) for row in range(rows.start, rows.stop)])
            yield rows, self._lift_batch(batch)

    @torch.no_grad()
    def _lift_batch(self, batch: Batch) -> GeometryPrediction:
        """Return the heads' geometry of one batch on the CPU, without computing logits.

        Raises:
            ValueError: hidden states or predictions that are not finite.
        """
        device = next(self.model.parameters()).device
        states = self.model.visual_states(batch.to(device), list(self.heads.config.taps or ()))
        prediction = self.heads(states)
        for name, values in vars(prediction).items():
            if values is not None:
                check_finite(values, self.heads, f"predictions of {name}")
        return prediction.to("cpu")

    def lift(self, views: Sequence[View]) -> Scenes:
        """See `GeometryModel`; one forward pass."""
        family, images = self.family, [view.model_input for view in views]
        if family.views_as == "video" and len({image.shape for image in images}) > 1:
            raise ValueError(
                f"{self.name} reads views as one video, so images must have one shape. Lift the"
                " images of each shape separately."
            )
        prepared = family.prepare(images, family.views_as)
        tokens = Chat(family).images_only(prepared)
        text = self.model.mllm.config.get_text_config()
        most = getattr(text, "max_position_embeddings", None)
        if most is not None and len(tokens) > most:
            raise ValueError(
                f"{len(images)} views are {len(tokens)} tokens, but {self.name} has {most}"
                " positions. Lift windows of fewer views (--window), or smaller ones"
                " (--input-pixels)."
            )
        sample = Sample(ids=("",), tokens=tokens, views=prepared, target=None)
        prediction = self._lift_batch(Collate(processor=family)([sample]))
        inside = torch.from_numpy(np.stack([view.mask(self.size) for view in views])[None])
        return as_scenes(prediction, ("",), source=f"lifted:{self.name}", inside=inside)


def _missing_heads(ref: CheckpointRef) -> str:
    """Return why the model has no 3D heads, and what to do."""
    if ref.manifest is not None:
        return f"this model was trained without 3D heads. {GIVE_TASKS}"
    if not ref.folder.is_dir():
        return (
            "no such folder. A hub id cannot be lifted with, as checkpoints of MLLMs have no 3D"
            " heads. Give the manifest of a training job, or a folder that `spatialsv export"
            " --keep-heads` wrote."
        )
    return (
        "found no 3D heads (heads/) in this folder. If it is an export, export it again with"
        f" --keep-heads. A base MLLM must be trained first. {GIVE_TASKS}"
    )


def load_model(
    path: Path | None, family: str | None = None, teacher: str = "rooms"
) -> GeometryModel:
    """Load a model with heads for depth and rays, or a teacher.

    Args:
        path: of the model; None: the teacher.
        family: of the model, for `load_mllm`.
        teacher: `rooms`, `da3`, or the settings of another one in JSON.

    Returns:
        The model.

    Raises:
        ValueError: The model lacks a head, or the teacher is unknown or not installed.
    """
    if path is None:
        return ShippedTeacher() if teacher == "rooms" else _load_teacher(teacher)
    if teacher != "rooms":
        raise ValueError("Give either --model or --teacher.")
    model = ModelWithHeads(path, family=family)
    if missing := [task for task in ("depth", "rays") if task not in model.tasks]:
        raise ValueError(
            f"{path}: the head for {missing[0]} is missing. Cameras and points require the heads"
            " for depth and rays."
        )
    return model


def _load_teacher(name: str) -> ThirdPartyTeacher:
    settings = DA3 if name == "da3" else None
    if settings is None and not name.startswith("{"):
        raise ValueError(
            f"--teacher: unknown teacher {name!r}. Known: rooms, da3, or settings in JSON, as an"
            " entry of `teachers` in workflow/config/default.yaml."
        )
    config = from_mapping(TeacherConfig, settings or parse_json(name, "--teacher"), "--teacher")
    missing = [path for path in (config.python, config.path) if path and not Path(path).exists()]
    if missing and name == "da3":
        raise ValueError(f"{missing[0]}: not found. Run `make da3` in the repository's folder.")
    return ThirdPartyTeacher(load_third_party(config, batch_size=1), config.hub)


def training_notice(about: Mapping[str, Any]) -> str | None:
    """Return a model's limitation, from the record of its training images and teachers."""
    if set(about.get("images", {}).get("sources", [])) == {"rooms"}:
        return TRAINED_ON_ROOMS
    if any(labels["teacher"] == SOURCE for labels in about.get("teachers", [])):
        return TEACHER_TRAINED_ON_ROOMS
    return None


def as_scenes(
    prediction: GeometryPrediction,
    ids: tuple[str, ...],
    source: str,
    inside: Bool[Tensor, "B N H W"] | None = None,
) -> Scenes:
    """Return predicted depth and the cameras read from the rays, in the first view's frame.

    A view whose rays fit no camera has NaN K and pose. If that is the first view, poses stay in the
    rays' frame, which the heads learn to be the first view's.

    Args:
        prediction: with depth and rays.
        ids: of the scenes.
        source: of the scenes.
        inside: pixels that count, for depth and cameras; all by default.

    Returns:
        The scenes.

    Raises:
        ValueError: depth or rays are missing.
    """
    depth, confidence = prediction.depth, prediction.depth_confidence
    origins, directions = prediction.ray_origins, prediction.ray_directions
    if depth is None or confidence is None or origins is None or directions is None:
        raise ValueError("Cameras and points require the heads for depth and rays.")
    weights = prediction.ray_confidence
    if inside is not None:
        weights = inside.float() if weights is None else weights * inside
    cameras = cameras_from_rays(RayMap(origins, directions), weights)
    poses = cameras.cam_to_world
    has_frame = poses[:, :1].isfinite().all(dim=(-2, -1), keepdim=True)
    maps = depth.numpy().astype(np.float32)
    valid = np.isfinite(maps) & (maps > 0)
    return Scenes(
        ids=ids,
        geometry=Geometry(
            cameras=Cameras(
                intrinsics=cameras.intrinsics.numpy(),
                cam_to_world=to_first_view(poses).where(has_frame, poses).numpy(),
            ),
            depth=maps,
            valid=valid if inside is None else valid & inside.numpy(),
            confidence=confidence.numpy().astype(np.float32),
        ),
        unit="relative",
        source=source,
    )
