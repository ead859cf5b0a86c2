"""Scores of lists, by hand, and of the shipped weights, which must be what their recipe says."""

from __future__ import annotations

import json

import pytest

from spatialsv.base.check import check_mllm, check_teacher, score_listings
from spatialsv.model.mllm import load_mllm
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.teachers.rooms import SHIPPED, load_network


def test_perfect_lists_score_one() -> None:
    scores = score_listings(
        ["red chair, blue lamp", "nothing"], ["red chair, blue lamp", "nothing"]
    )
    assert scores.category_f1 == scores.name_f1 == scores.order == 1


def test_f1_counts_hits_misses_and_inventions_over_all_views() -> None:
    scores = score_listings(["red chair, red box", ""], ["red chair", "blue lamp"])
    assert scores.name_f1 == pytest.approx(2 * 1 / (2 + 2))
    assert score_listings(["blue chair"], ["red chair"]).category_f1 == 1


def test_order_counts_pairs_of_rightly_named_things() -> None:
    scores = score_listings(["a x, c x, b x"], ["a x, b x, c x"])
    assert scores.order == pytest.approx(2 / 3)


def test_shipped_weights_are_small_and_have_their_recipe() -> None:
    size = sum(file.stat().st_size for file in SHIPPED.parent.rglob("*.safetensors"))
    assert 0 < size <= 16 * 2**20
    for part in ("mllm", "teacher"):
        recipe = json.loads((SHIPPED.parent / part / "RECIPE.json").read_text())
        assert {"config", "seconds", "scores", "versions"} <= recipe.keys()


def test_the_shipped_base_names_and_places_as_its_recipe_says() -> None:
    model, processor = load_mllm(SHIPPED.parent / "mllm")
    scores = check_mllm(model, processor.tokenizer, processor.image_processor, RoomsConfig(), 24)
    recipe = json.loads((SHIPPED.parent / "mllm" / "RECIPE.json").read_text())["scores"]
    assert scores.category_f1 == pytest.approx(recipe["category_f1"], abs=0.06)
    assert scores.order == pytest.approx(recipe["order"], abs=0.05)
    assert scores.category_f1 > 0.8 and scores.order >= 0.85
    assert recipe["category_f1"] >= 0.8 and recipe["order"] >= 0.85  # on more rooms


def test_the_shipped_teacher_measures_depth() -> None:
    scores = check_teacher(load_network(SHIPPED.parent / "teacher"), RoomsConfig(), 24)
    recipe = json.loads((SHIPPED.parent / "teacher" / "RECIPE.json").read_text())
    assert scores["abs_rel"] < 1.3 * recipe["scores"]["abs_rel"] < 0.15
