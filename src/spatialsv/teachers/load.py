"""A teacher by its name in the settings."""

from __future__ import annotations

import json
from pathlib import Path

from spatialsv.config import from_mapping
from spatialsv.io.digests import digest_weights
from spatialsv.scenes.licence import check_licence
from spatialsv.teachers.config import EXTERNAL, TeacherConfig
from spatialsv.teachers.exact import ExactTeacher
from spatialsv.teachers.external import ExternalTeacher
from spatialsv.teachers.rooms import RoomsTeacher
from spatialsv.teachers.teacher import Teacher


def load_teacher(name: str, batch_size: int, commercial: bool = False) -> Teacher:
    """`exact`, `rooms` (the shipped network), or the network in the folder `name`.

    One from outside this package is a `TeacherConfig` in JSON.

    Args:
        batch_size: scenes of `rooms` and its kin, views of a monocular network.
        commercial: refuse a network or geometry whose licence is not known to allow commercial use.

    Raises:
        ValueError: there is none of this name, its weights are missing, or its licence is refused.
    """
    if name == "exact":
        return ExactTeacher(commercial)
    if name == "rooms":
        return RoomsTeacher.load(batch_size=batch_size)
    if name.startswith("{"):
        config = from_mapping(TeacherConfig, json.loads(name), "teacher")
        check_licence(config.terms, f"teacher {config.hub}", commercial)
        return load_third_party(config, batch_size)
    if Path(name).is_dir():
        return RoomsTeacher.load(Path(name), batch_size)
    raise ValueError(
        f"teacher {name!r}: neither 'rooms' nor 'exact', nor a network's folder, nor the settings"
        " of one from outside, in JSON"
    )


def load_third_party(config: TeacherConfig, batch_size: int) -> Teacher:
    """The teacher that `config` describes.

    Raises:
        ValueError: its weights are missing.
    """
    if config.kind in EXTERNAL:
        return ExternalTeacher(config)
    from spatialsv.teachers.depth_networks import DepthAnything, DepthPro
    from spatialsv.teachers.monocular import MonocularTeacher

    folder = Path(config.path)
    revision = digest_weights(folder)
    network = {"depth_anything": DepthAnything, "depth_pro": DepthPro}[config.kind](folder)
    return MonocularTeacher(network, batch_size, config.hub, revision, config.terms)
