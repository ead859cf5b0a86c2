"""Rooms with sketched masks, and what is asked of them."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import pytest

from helpers.sketch import sketch
from spatialsv.rooms.layout import RoomsConfig, make_room
from spatialsv.rooms.questions import Candidate, ask
from spatialsv.rooms.questions.visible import Survey, survey
from spatialsv.rooms.room import Thing, room_seed


@pytest.fixture(scope="session")
def surveys() -> list[Survey]:
    """60 rooms, measured."""
    rooms = [make_room(seed, RoomsConfig()) for seed in range(60)]
    return [survey(room, sketch(room)) for room in rooms]


def ask_rooms(count: int) -> list[list[Candidate]]:
    """All candidates of the first `count` rooms."""
    rooms = [make_room(seed, RoomsConfig()) for seed in range(count)]
    return [ask(room, sketch(room)) for room in rooms]


@pytest.fixture(scope="session")
def asked() -> list[list[Candidate]]:
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
    def called(scene: str) -> dict[str, list[Thing]]:
        names: dict[str, list[Thing]] = defaultdict(list)
        for thing in make_room(room_seed(scene), RoomsConfig()).things:
            names[thing.category].append(thing)
            names[thing.name].append(thing)
        return names

    def find(scene: str, name: str) -> Thing:
        (thing,) = called(scene)[name]
        return thing

    return find
