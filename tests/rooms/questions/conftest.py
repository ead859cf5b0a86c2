"""Rooms with sketched masks, and what is asked of them."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import pytest

from helpers.rooms import sketch
from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.questions import Candidate, generate_questions
from spatialsv.rooms.questions.visibility import Visibility, measure_visibility
from spatialsv.rooms.room import RoomObject, room_seed


@pytest.fixture(scope="session")
def surveys() -> list[Visibility]:
    """60 rooms, measured."""
    rooms = [make_room(seed, RoomsConfig()) for seed in range(60)]
    return [measure_visibility(room, sketch(room)) for room in rooms]


def ask_rooms(count: int) -> list[list[Candidate]]:
    """All candidates of the first `count` rooms."""
    rooms = [make_room(seed, RoomsConfig()) for seed in range(count)]
    return [generate_questions(room, sketch(room)) for room in rooms]


@pytest.fixture(scope="session")
def chosen_per_task() -> list[list[Candidate]]:
    """Enough rooms to check answers."""
    return ask_rooms(60)


@pytest.fixture(scope="session")
def many() -> list[list[Candidate]]:
    """Enough rooms to check balance."""
    return ask_rooms(640)


@pytest.fixture(scope="session")
def by_name():
    """(scene id, name in a question) -> the thing it means."""

    @cache
    def called(scene: str) -> dict[str, list[RoomObject]]:
        names: dict[str, list[RoomObject]] = defaultdict(list)
        for item in make_room(room_seed(scene), RoomsConfig()).objects:
            names[item.category].append(item)
            names[item.name].append(item)
        return names

    def find(scene: str, name: str) -> RoomObject:
        (item,) = called(scene)[name]
        return item

    return find
