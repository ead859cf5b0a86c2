"""What lifts pictures: the shipped teacher, or an MLLM that kept its heads, under one interface.

A model also says at what shape it was trained and on what, as far as that is known: from the
manifest of its training, or from what `spatialsv export` put beside an exported one.

Shapes: N views, h w pixels of one picture, H W of the maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from spatialsv.lift.forward import Lifter, as_scenes, lift_batch
from spatialsv.model.checkpoint import resolve_model
from spatialsv.samples.chat import Chat
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import Sample
from spatialsv.scenes.scene import Scenes
from spatialsv.teachers.rooms import SOURCE, RoomsTeacher, load_network

Picture = UInt8[np.ndarray, "_ _ 3"]
ROOMS = (
    "was trained on rendered rooms only: on real photos take its geometry as a demonstration, not a"
    " measurement"
)
BY_ROOMS = (
    "learnt its geometry from a teacher that was trained on rendered rooms only: on real photos"
    " take it as a demonstration, not a measurement"
)


@runtime_checkable
class Model(Protocol):
    """What turns pictures of one place into geometry."""

    name: str
    shape: tuple[int, int] | None  # height, width at which it was trained; None: any, or unknown
    most_views: int | None
    notice: str | None  # what to mind, as the end of a sentence about the model

    def lift(self, images: Sequence[Picture]) -> Scenes:
        """One scene of relative unit, without images, in the first view's frame."""
        ...


class Shipped:
    """The teacher in this package: the shipped MLLM is bare of heads."""

    name, notice = "the shipped teacher", ROOMS

    def __init__(self) -> None:
        self.teacher = RoomsTeacher(load_network())
        config = self.teacher.network.config
        self.shape, self.most_views = (config.image_size, config.image_size), config.max_views

    def lift(self, images: Sequence[Picture]) -> Scenes:
        shown = Scenes(ids=("",), image=np.stack(images)[None], unit="relative")
        return replace(self.teacher.label(shown), features=None)


class Headed:
    """An MLLM with its 3D heads; one forward pass a place.

    Args:
        path: a train manifest, or a folder with mllm/ and heads/.
        family: the name of an adapter from outside, for `load_mllm`.

    Raises:
        ValueError: a model without heads, or without those for depth and rays.
    """

    most_views = None

    def __init__(self, path: Path, family: str | None = None) -> None:
        self.name = str(path)
        self.lifter = Lifter(path, family=family)
        if lacking := [task for task in ("depth", "rays") if task not in self.lifter.tasks]:
            raise ValueError(
                f"{path}: no head for {lacking[0]}, and cameras and points need both depth and rays"
            )
        told = resolve_model(path).about
        size = told.get("shown", {}).get("size")
        self.shape = None if size is None else tuple(size)
        self.notice = notice_of(told)

    def lift(self, images: Sequence[Picture]) -> Scenes:
        """As `Model` says.

        Raises:
            ValueError: more tokens than the LLM has positions for, or pictures of several shapes
                for a model to which they are shown as one video.
        """
        model, family = self.lifter.model, self.lifter.model.family
        if family.views_as == "video" and len({image.shape for image in images}) > 1:
            raise ValueError(
                f"{self.name} is shown views as one video, so pictures must be of one shape; lift"
                " those of each shape by themselves"
            )
        views = family.prepare(list(images), family.views_as)
        tokens = Chat(family).images_only(views)
        most = getattr(model.mllm.config.get_text_config(), "max_position_embeddings", None)
        if most is not None and len(tokens) > most:
            raise ValueError(
                f"{len(images)} views are {len(tokens)} tokens, and {self.name} has {most}"
                " positions: give fewer views, or smaller ones by shown_pixels"
            )
        sample = Sample(ids=("",), tokens=tokens, views=views, target=None)
        lifted = lift_batch(model, Collate(processor=family)([sample]))
        return as_scenes(lifted, ("",), source=f"lifted:{self.name}")


def load_model(path: Path | None, family: str | None = None) -> Model:
    """The model at `path`, see `Headed`; None: what ships."""
    return Shipped() if path is None else Headed(path, family)


def notice_of(told: Mapping[str, Any]) -> str | None:
    """What to mind of a model, from what it was shown, and who labelled that."""
    if set(told.get("shown", {}).get("sources", [])) == {"rooms"}:
        return ROOMS
    if any(labels["teacher"] == SOURCE for labels in told.get("teachers", [])):
        return BY_ROOMS
    return None
