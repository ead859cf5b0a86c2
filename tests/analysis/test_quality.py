"""Geometry quality against accuracy: the tables of responses whose cause is known."""

import json
from itertools import pairwise

import numpy as np
import pytest

from helpers.finished_run import scored_response
from helpers.manifests import manifest_over
from spatialsv.analysis.jobs import read_jobs
from spatialsv.analysis.quality import mean_of_others, scene_properties
from spatialsv.analysis.stage import AnalysisConfig, quality_tables
from spatialsv.io.atomic import write_json
from spatialsv.io.manifest import Manifest
from spatialsv.report.figures import bin_figure, quality_figure
from spatialsv.report.findings import findings
from spatialsv.report.result_tables import quality_tables as tables_of_words
from spatialsv.scenes.store import write_store
from spatialsv.stats.summary import QuestionScore

SCENES, EACH = 60, 8


def job(folder, stage, arm, seed, metrics, rows=()):
    place = folder / stage / "rooms" / arm / str(seed)
    place.mkdir(parents=True)
    names = ["metrics.json", *(["rows.jsonl"] if rows else [])]
    write_json(place / "metrics.json", metrics)
    if rows:
        (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return manifest_over(place / "manifest.json", stage, names)


def responses(chance, rng):
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
            found[told.id] = scored_response(told, "?", 4, "A", "A", "A")
    return found


@pytest.fixture
def build(tmp_path):
    """Tables where depth error follows difficulty; `own` is the effect of quality on SpatialSV."""

    def built(own: float, arms=("text", "spatialsv"), seeds=1):
        rng = np.random.default_rng(3)
        hard = rng.normal(size=SCENES)
        error = 0.2 * np.exp(0.5 * hard + 0.3 * rng.normal(size=SCENES))
        quality = -(np.argsort(np.argsort(error)) / SCENES - 0.5)
        runs, paths = {}, {"evaluate": [], "lift": [], "probe": []}
        for number, arm in enumerate(arms):
            chance = 0.5 - 0.15 * hard + (own * quality if arm == "spatialsv" else 0)
            runs[arm] = [responses(np.clip(chance, 0, 1), rng) for _ in range(seeds)]
            for seed in range(seeds):
                paths["evaluate"].append(job(tmp_path, "evaluate", arm, seed, {}))
                metrics = {"rmse": 0.5 - 0.1 * number + 0.01 * seed}
                paths["probe"].append(job(tmp_path, "probe", arm, seed, metrics))
        rows = [{"scene": f"s{i}", "rmse": e} for i, e in enumerate(error.tolist())]
        for seed in range(seeds):
            metrics = {"rmse": float(error.mean())}
            paths["lift"].append(job(tmp_path, "lift", "spatialsv", seed, metrics, rows))
        jobs = {stage: read_jobs(found) for stage, found in paths.items()}
        return runs, quality_tables(
            *(runs, jobs["evaluate"], jobs["lift"], jobs["probe"]),
            *([], AnalysisConfig(resamples=200)),
        )

    return built


def trends_of(tables):
    return {row["trend"]: row for row in tables["trends"]}


def test_difficulty_is_separated_from_quality(build):
    """Both models answer hard scenes worse: a raw trend, and none of the difference."""
    _, tables = build(own=0.0)
    trends = trends_of(tables)
    raw, lead = trends["raw"], trends["lead"]
    assert raw["significant"] and raw["slope"] > 0.15
    assert not lead["significant"] and lead["low"] < 0 < lead["high"]
    assert abs(trends["controlled"]["slope"]) < raw["slope"]
    bins = tables["quality_bins"]
    assert bins[0]["reference"] == "text" and raw["scenes"] == SCENES
    assert [row["scenes"] for row in bins] == [15] * 4
    assert all(worse["error_low"] >= better["error_high"] for worse, better in pairwise(bins))


def test_the_effect_of_quality_is_found_beyond_difficulty(build):
    trends = trends_of(build(own=0.6)[1])
    assert trends["lead"]["significant"] and trends["lead"]["slope"] > 0.3
    assert trends["controlled"]["significant"]


def test_four_arms_have_a_correlation_of_their_means_and_fewer_none(build):
    runs, tables = build(own=0.3, arms=("base", "text", "distill", "spatialsv"), seeds=2)
    points = [row for row in tables["quality_by_job"] if row["stage"] == "probe"]
    arms = [row for row in tables["quality_by_arm"] if row["stage"] == "probe"]
    probe, lift = tables["quality_correlation"]
    assert len(points) == 8 and probe["arms"] == 4
    assert probe["least_p"] == pytest.approx(2 / 24)
    assert lift["rho"] is None and lift["arms"] == 1
    scores = [row["accuracy"] for row in points if row["arm"] == arms[0]["arm"]]
    assert arms[0]["accuracy"] == pytest.approx(np.mean(scores))
    assert arms[0]["low"] < arms[0]["accuracy"] < arms[0]["high"]
    words = " ".join(findings("quality", tables))
    assert "with 4 arms p cannot be below 0.083" in words
    assert "Lifted depth RMSE against accuracy: 1 arm; a correlation needs 4" in words
    figure = quality_figure("probe", tables, list(runs))
    assert len(figure.axes[0].containers) == 4


def test_disagreements_are_the_spatial_questions_that_one_arm_answers(build):
    _, tables = build(own=0.0)
    rows = tables["disagreements"]
    ids = [row["question"] for row in rows]
    counts = {arm: sum(row["correct_arm"] == arm for row in rows) for arm in ("spatialsv", "text")}
    assert {row["arm"] for row in rows} == {"spatialsv"} and all(counts.values())
    assert len(set(ids)) == len(ids) and not any(name.endswith("-0") for name in ids)
    assert f"{counts['spatialsv']} only SpatialSV" in findings("quality", tables)[-1]


def test_bins_are_drawn_and_trends_tabulated(build):
    runs, tables = build(own=0.6, arms=("base", "text", "distill", "spatialsv"))
    figure = bin_figure("spatialsv", tables["quality_bins"], list(runs))
    assert [len(c.lines[0].get_xdata()) for c in figure.axes[0].containers] == [4, 4]
    (table,) = tables_of_words(tables)
    assert len(table.rows) == 3 and table.rows[0][-1] == str(SCENES * (EACH - 1))


def test_without_a_reference_arm_difficulty_is_not_controlled(build):
    _, tables = build(own=0.0, arms=("spatialsv",))
    assert set(trends_of(tables)) == {"raw"} and tables["quality_bins"][0]["reference"] is None
    assert "Difficulty is not controlled" in " ".join(findings("quality", tables))
    assert tables["disagreements"] == []


def test_the_rest_of_a_scene_leaves_the_question_out():
    scores = np.array([1.0, 0.0, 0.0, 1.0])
    found = mean_of_others(scores, ["a", "a", "a", "b"])
    np.testing.assert_allclose(found, [0, 0.5, 0.5, 0.5])


def test_properties_are_read_where_there_is_geometry(tmp_path, tiny_scenes):
    bare = tiny_scenes.replace(
        **dict.fromkeys(("depth", "valid", "intrinsics", "cam_to_world", "instance"))
    )
    paths = []
    instance = np.zeros(tiny_scenes.depth.shape, np.int16)
    instance[:, :, 3:9, 3:9], instance[:, 1, 20:, 20:] = 2, 5
    for name, scenes in (("bare", bare), ("seen", tiny_scenes.replace(instance=instance))):
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
