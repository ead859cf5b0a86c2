"""A teacher by its name in the settings."""

from __future__ import annotations

from pathlib import Path

from spatialsv.teachers.exact import ExactTeacher
from spatialsv.teachers.rooms import RoomsTeacher
from spatialsv.teachers.teacher import Teacher


def load_teacher(name: str, batch_size: int) -> Teacher:
    """`exact`, `rooms` (the shipped network), or the network in the folder `name`.

    Raises:
        ValueError: there is none of this name, or its weights are missing.
    """
    if name == "exact":
        return ExactTeacher()
    if name == "rooms":
        return RoomsTeacher.load(batch_size=batch_size)
    if Path(name).is_dir():
        return RoomsTeacher.load(Path(name), batch_size)
    raise ValueError(f"teacher {name!r}: neither 'rooms' nor 'exact', nor a network's folder")
