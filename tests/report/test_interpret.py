"""Seeing beside answering: the record of replies whose cause is known, and what the page says."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from spatialsv.io.atomic import write_json
from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.report.interpret import build_interpretability, rest_of_scene, scene_properties
from spatialsv.report.interpret_page import (
    figures,
    flat_interpretability,
    interpretability_section,
    seen,
)
from spatialsv.report.interpret_tables import interpretability_tables
from spatialsv.report.jobs import Answer, read_jobs
from spatialsv.scenes.store import write_store
from spatialsv.stats.summary import QuestionScore

SCENES, EACH = 60, 8


def job(folder, stage, arm, seed, metrics, rows=()):
    place = folder / stage / "rooms" / arm / str(seed)
    place.mkdir(parents=True)
    write_json(place / "metrics.json", metrics)
    if rows:
        (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_manifest(place / "manifest.json", Manifest(stage=stage, payload={"metrics.json": "0"}))
    return place / "manifest.json"


def answers(chance, rng):
    """Each scene's questions, right by its chance."""
    found = {}
    for scene in range(SCENES):
        for number in range(EACH):
            told = QuestionScore(
                id=f"s{scene}-{number}",
                scene=f"s{scene}",
                task=("rotation", "around")[number % 2],
                kind="choice",
                spatial=number > 0,
                score=float(rng.uniform() < chance[scene]),
            )
            found[told.id] = Answer(told, "?", 4, "A", "A", "A")
    return found


@pytest.fixture
def build(tmp_path):
    """The record where lifted error follows difficulty, and the reply both or the first alone."""

    def built(own: float, arms=("text", "spatialsv"), seeds=1):
        rng = np.random.default_rng(3)
        hard = rng.normal(size=SCENES)
        error = 0.2 * np.exp(0.5 * hard + 0.3 * rng.normal(size=SCENES))
        quality = -(np.argsort(np.argsort(error)) / SCENES - 0.5)
        runs, paths = {}, {"evaluate": [], "lift": [], "probe": []}
        for number, arm in enumerate(arms):
            chance = 0.5 - 0.15 * hard + (own * quality if arm == "spatialsv" else 0)
            runs[arm] = [answers(np.clip(chance, 0, 1), rng) for _ in range(seeds)]
            for seed in range(seeds):
                paths["evaluate"].append(job(tmp_path, "evaluate", arm, seed, {}))
                metrics = {"rmse": 0.5 - 0.1 * number + 0.01 * seed}
                paths["probe"].append(job(tmp_path, "probe", arm, seed, metrics))
        rows = [{"scene": f"s{i}", "rmse": e} for i, e in enumerate(error.tolist())]
        for seed in range(seeds):
            metrics = {"rmse": float(error.mean())}
            paths["lift"].append(job(tmp_path, "lift", "spatialsv", seed, metrics, rows))
        jobs = {stage: read_jobs(found) for stage, found in paths.items()}
        record = build_interpretability(
            runs, jobs["evaluate"], jobs["lift"], jobs["probe"], [], resamples=200
        )
        rows = [{"arm": arm} for arm in arms]
        return {"interpretability": json.loads(json.dumps(record)), "rows": rows}

    return built


def test_difficulty_is_told_from_seeing(build):
    """Both models answer hard scenes worse: a raw trend, and none of the difference."""
    (part,) = build(own=0.0)["interpretability"]["bins"].values()
    raw, beyond = part["trends"]["raw"], part["trends"]["beyond"]
    assert raw["significant"] and raw["slope"] > 0.15
    assert not beyond["significant"] and beyond["low"] < 0 < beyond["high"]
    assert abs(part["trends"]["controlled"]["slope"]) < raw["slope"]
    assert part["other"] == "text" and raw["scenes"] == SCENES
    assert [b["scenes"] for b in part["bins"]] == [15] * 4
    edges = [b["error"] for b in part["bins"]]
    assert all(worse[0] >= better[1] for worse, better in pairwise(edges))


def test_what_seeing_brings_is_found_beyond_difficulty(build):
    results = build(own=0.6)
    (part,) = results["interpretability"]["bins"].values()
    assert part["trends"]["beyond"]["significant"] and part["trends"]["beyond"]["slope"] > 0.3
    assert part["trends"]["controlled"]["significant"]
    flat = flat_interpretability(results["interpretability"])
    assert flat["spatialsv"]["beyond"] == part["trends"]["beyond"]["slope"]


def test_four_arms_have_a_correlation_of_their_means_and_fewer_none(build):
    record = build(own=0.3, arms=("base", "text", "distill", "spatialsv"), seeds=2)
    probe, lift = (record["interpretability"][stage] for stage in ("probe", "lift"))
    assert len(probe["points"]) == 8 and probe["correlation"]["n"] == 4
    assert probe["correlation"]["least_p"] == pytest.approx(2 / 24)
    assert lift["correlation"] is None and len(lift["arms"]) == 1
    first = probe["arms"][0]
    scores = [p["accuracy"] for p in probe["points"] if p["arm"] == first["arm"]]
    assert first["accuracy"] == pytest.approx(np.mean(scores))
    assert first["low"] < first["accuracy"] < first["high"]
    told = " ".join(seen(record))
    assert "4 arms cannot show less than p = 0.083" in told
    assert "Lifted depth RMSE against accuracy: 1 arm, too few for a correlation" in told


def test_disagreements_are_the_spatial_questions_that_one_got_right(build):
    results = build(own=0.0)
    (found,) = results["interpretability"]["disagreements"]
    both = found["only_first"] + found["only_second"]
    assert found["first"] == "spatialsv" and found["only_first"] and found["only_second"]
    assert len(set(both)) == len(both) and not any(name.endswith("-0") for name in both)
    assert f"{len(found['only_first'])} spatial questions SpatialSV alone" in seen(results)[-1]


def test_the_section_draws_and_tells(build):
    results = build(own=0.6, arms=("base", "text", "distill", "spatialsv"))
    drawn = figures(results)
    assert set(drawn) == {"probe_accuracy", "bins_spatialsv"}
    assert drawn["probe_accuracy"].count("<circle") == 4
    assert drawn["bins_spatialsv"].count("<circle") == 8
    html = interpretability_section(results)
    assert 'id="seeing"' in html and "nan" not in html
    (table,) = interpretability_tables(results)
    assert len(table.rows) == 3 and table.rows[0][-1] == str(SCENES * (EACH - 1))


def test_without_another_model_difficulty_is_not_controlled(build):
    results = build(own=0.0, arms=("spatialsv",))
    (part,) = results["interpretability"]["bins"].values()
    assert part["trends"]["controlled"] is part["trends"]["beyond"] is part["other"] is None
    assert "difficulty is not controlled" in " ".join(seen(results))
    assert results["interpretability"]["disagreements"] == []


def test_nothing_seen_is_nothing_told():
    record = build_interpretability({}, [], [], [], [])
    results = {"interpretability": record, "rows": []}
    assert interpretability_section(results) == "" and flat_interpretability(record) == {}


def test_the_rest_of_a_scene_leaves_the_question_out():
    scores = np.array([1.0, 0.0, 0.0, 1.0])
    found = rest_of_scene(scores, ["a", "a", "a", "b"])
    np.testing.assert_allclose(found, [0, 0.5, 0.5, 0.5])


def test_properties_are_read_where_there_is_geometry(tmp_path, tiny_scenes):
    bare = replace(
        tiny_scenes, **dict.fromkeys(("depth", "valid", "intrinsics", "cam_to_world", "instance"))
    )
    paths = []
    instance = np.zeros(tiny_scenes.depth.shape, np.int16)
    instance[:, :, 3:9, 3:9], instance[:, 1, 20:, 20:] = 2, 5
    for name, scenes in (("bare", bare), ("seen", replace(tiny_scenes, instance=instance))):
        digest = write_store(tmp_path / f"{name}.zarr", scenes)
        manifest = Manifest(
            stage="scenes", payload={f"{name}.zarr": digest}, path=tmp_path / f"{name}.json"
        )
        paths.append(manifest)
    assert scene_properties(paths[:1]) == {}
    found = scene_properties(paths)
    assert set(found) == set(tiny_scenes.ids)
    depth = tiny_scenes.depth[0][tiny_scenes.valid[0]].mean()
    assert found[tiny_scenes.ids[0]] == pytest.approx((depth, 2))
