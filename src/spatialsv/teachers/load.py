"""Load a teacher by its name in the settings."""

from __future__ import annotations

from pathlib import Path

from spatialsv.config import from_mapping
from spatialsv.io.digests import digest_weights
from spatialsv.io.text import parse_json
from spatialsv.scenes.licence import check_licence
from spatialsv.teachers.config import EXTERNAL, TeacherConfig
from spatialsv.teachers.exact import ExactTeacher
from spatialsv.teachers.external import ExternalTeacher
from spatialsv.teachers.rooms import RoomsTeacher
from spatialsv.teachers.teacher import Teacher


def load_teacher(name: str, batch_size: int, commercial: bool = False) -> Teacher:
    """Load a teacher.

    Args:
        name: `exact`, `rooms` (the shipped network), the directory of a network like it, or a
            `TeacherConfig` in JSON for a third-party network.
        batch_size: Scenes, or views of a monocular network, that are processed at a time.
        commercial: Refuse networks and geometry that are not known to allow commercial use.

    Returns:
        The teacher.

    Raises:
        ValueError: The name is unknown, weights are missing, or the licence is refused.
    """
    if name == "exact":
        return ExactTeacher(commercial)
    if name == "rooms":
        return RoomsTeacher.load(batch_size=batch_size)
    if name.startswith("{"):
        config = from_mapping(TeacherConfig, parse_json(name, "teacher"), "teacher")
        check_licence(config.terms, f"teacher {config.hub}", commercial)
        return load_third_party(config, batch_size)
    if Path(name).is_dir():
        return RoomsTeacher.load(Path(name), batch_size)
    raise ValueError(
        f"Unknown teacher {name!r}. Expected 'exact', 'rooms', the directory of a network, or the"
        " settings of a third-party teacher in JSON."
    )


def load_third_party(config: TeacherConfig, batch_size: int) -> Teacher:
    """Load the third-party teacher that `config` describes.

    Args:
        config: Its settings.
        batch_size: Views that a monocular network processes at a time.

    Returns:
        The teacher.

    Raises:
        ValueError: Its weights are missing.
    """
    if config.kind in EXTERNAL:
        return ExternalTeacher(config)
    from spatialsv.teachers.depth_networks import DepthAnything, DepthPro
    from spatialsv.teachers.monocular import MonocularTeacher

    folder = Path(config.path)
    revision = digest_weights(folder)
    network = DepthAnything(folder) if config.kind == "depth_anything" else DepthPro(folder)
    return MonocularTeacher(network, batch_size, config.hub, revision, config.terms)
