"""Strict configs: types, nesting, and messages that say where."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from spatialsv.config import RENAMED, find_new_key, from_mapping, to_mapping


@dataclass(frozen=True, kw_only=True)
class Loss:
    weight: float = 1.0
    kind: Literal["l1", "l2"] = "l2"


@dataclass(frozen=True, kw_only=True)
class Stage:
    steps: int
    rate: float | None = None
    taps: tuple[int, int] = (1, 2)
    names: tuple[str, ...] = ()
    loss: Loss = field(default_factory=Loss)
    named: dict[str, Loss] = field(default_factory=dict)
    free: dict[str, Any] = field(default_factory=dict)
    on: bool = False
    last: Loss | None = field(default_factory=lambda: Loss(weight=3.0, kind="l1"))


def test_defaults_and_nesting():
    stage = from_mapping(Stage, {"steps": 3, "loss": {"weight": 2}, "taps": [4, 5]}, "s")
    assert stage == Stage(steps=3, loss=Loss(weight=2.0), taps=(4, 5))
    assert isinstance(stage.loss.weight, float)


def test_what_is_given_in_part_keeps_the_rest_of_its_default():
    assert from_mapping(Stage, {"steps": 3, "last": {"weight": 2}}, "s").last.kind == "l1"
    assert from_mapping(Stage, {"steps": 3, "last": None}, "s").last is None
    stage = Stage(steps=3, last=Loss(weight=5.0))
    again = from_mapping(Stage, {"last": {"kind": "l1"}}, "s", stage)
    assert again == Stage(steps=3, last=Loss(weight=5.0, kind="l1"))


def test_survives_json():
    stage = Stage(steps=3, rate=0.1, names=("a",), named={"x": Loss(kind="l1")}, free={"y": [1]})
    assert from_mapping(Stage, json.loads(json.dumps(to_mapping(stage))), "s") == stage


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ({"step": 3}, "s.step: unknown setting. Did you mean 'steps'"),
        ({"steps": 3, "zzz": 1}, "s.zzz: unknown setting. Known: steps, rate"),
        ({}, "s.steps: this setting has no default"),
        ({"steps": 3.5}, "s.steps: expected int, found 3.5"),
        ({"steps": True}, "s.steps: expected int, found True"),
        ({"steps": 3, "rate": "fast"}, "s.rate: expected float, found 'fast'"),
        ({"steps": 3, "taps": [1, 2, 3]}, "s.taps: expected 2 values"),
        ({"steps": 3, "names": "ab"}, "s.names: expected a list, found 'ab'"),
        ({"steps": 3, "names": ["a", 1]}, r"s.names\[1\]: expected str, found 1"),
        (
            {"steps": 3, "loss": {"kind": "l3"}},
            "s.loss.kind: expected one of 'l1', 'l2', found 'l3'",
        ),
        ({"steps": 3, "loss": {"wieght": 1}}, "s.loss.wieght: .*Did you mean 'weight'"),
        ({"steps": 3, "named": {"x": {"kind": 1}}}, "s.named.x.kind: expected one of"),
    ],
)
def test_faults_name_section_key_and_remedy(mapping, told):
    with pytest.raises(ValueError, match=told):
        from_mapping(Stage, mapping, "s")


def test_a_renamed_key_names_the_new_one(monkeypatch):
    monkeypatch.setitem(RENAMED, "s.velocity", "s.rate")
    monkeypatch.setitem(RENAMED, "s.named.*.force", "s.named.*.weight")
    with pytest.raises(ValueError, match=r"s\.velocity: this setting was renamed to 's\.rate'"):
        from_mapping(Stage, {"steps": 3, "velocity": 1}, "s")
    with pytest.raises(ValueError, match=r"renamed to 's\.named\.x\.weight'"):
        from_mapping(Stage, {"steps": 3, "named": {"x": {"force": 1}}}, "s")
    assert find_new_key("s.rate") is None


def test_none_only_where_allowed():
    assert from_mapping(Stage, {"steps": 3, "rate": None}, "s").rate is None
    with pytest.raises(ValueError, match=r"s\.steps"):
        from_mapping(Stage, {"steps": None}, "s")
