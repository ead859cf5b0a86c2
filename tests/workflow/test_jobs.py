"""Lists of jobs from settings, without Snakemake."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest

from dag import GATHERED, STAGES, Dag, to_json
from settings import load_settings

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "scenes": {"splits": {"train": 8, "unlabelled": 2, "test": 2}, "shard_size": 2},
    "labels": {"teacher": "rooms", "splits": ["train"], "batch_size": 4},
    "pseudo": {"splits": ["unlabelled"]},
    "arms": {
        "text": {},
        "geometry": {"tasks": ["depth"]},
        "half": {"text_share": 0.5, "tasks": ["depth"], "pseudo": True},
        "gated": {"tasks": ["depth"], "labels_share": 0, "pseudo": True},
        "exact": {"tasks": ["depth"], "teacher": "exact"},
    },
    "measure": {
        "split": "test",
        "lift": ["geometry"],
        "probe": ["base"],
        "evaluate": ["base", "text", "random"],
    },
    "train": {"base": "rooms", "seeds": [0, 1], "steps": 3},
    "evaluate": {"benchmarks": {"cv_bench": {"data": "external/CV", "get": "hf", "frames": 4}}},
    "ablations": {"tables": {"a": {"arms": ["text", "exact"]}, "b": {"arms": ["exact", "text"]}}},
    "base": {"mllm": {"seed": 1}, "teacher": {"seed": 2}, "check_rooms": 3},
    "models": {},
    "teachers": {"da3": {"kind": "da3"}},
}
SETTINGS["scenes"] |= {"source": "rooms", "tasks": {"test": ["rotation"]}, "questions": 5}


def make(also: tuple[str, ...] = (), **sections) -> Dag:
    settings = deepcopy(SETTINGS)
    for name, section in sections.items():
        settings[name] |= section
    return Dag(settings, also)


def shards(folder: str, *numbers: int, split: str = "train") -> list[str]:
    return [f"data/{folder}/{split}/{number:04d}.json" for number in numbers]


def test_a_shard_is_a_job():
    assert make(scenes={"splits": {"train": 24_000}}).shards("train")[-1] == "11999"
    dag = make()
    assert dag.shards("train") == ["0000", "0001", "0002", "0003"]
    assert dag.scenes_of("test") == ["data/scenes/test/0000.json"]
    assert dag.labels_of("train") == shards("labels/rooms", 0, 1, 2, 3)
    assert dag.shards("validation") == []


def test_rooms_fill_their_shards_and_the_last_shard_of_records_may_be_short():
    odd = {"splits": {"train": 5}, "shard_size": 2}
    with pytest.raises(ValueError, match=r"scenes\.splits\.train: 5 is not a multiple of .* \(2\)"):
        make(scenes=odd)
    dag = make(scenes=odd | {"source": {"train": "mindcube"}, "read": {"files": {"train": "a"}}})
    assert len(dag.shards("train")) == 3
    assert dag.shard_section("train", "0002") == to_json(
        {"files": {"train": "a"}, "shard_size": 2, "stop": 5}
    )


def test_what_has_no_geometry_is_measured_against_labels():
    dag = make(scenes={"source": {"test": "photos"}})
    assert dag.substitute_labels("test") == dag.labels_of("test")
    assert dag.substitute_labels("train") == []
    assert dag.geometry_of("train", "test") == dag.scenes_of("train") + dag.labels_of("test")


def test_an_arm_reads_what_its_settings_say():
    dag = make()
    assert dag.arm_scenes("text") == shards("scenes", 0, 1, 2, 3)
    assert (dag.arm_labels("text"), dag.arm_pseudo("text")) == ([], [])
    assert dag.arm_labels("geometry") == shards("labels/rooms", 0, 1, 2, 3)
    assert dag.arm_labels("exact") == shards("labels/exact", 0, 1, 2, 3)
    assert dag.arm_labels("half") == shards("labels/rooms", 0, 1)
    assert dag.arm_pseudo("half") == shards("pseudo", 2, 3)
    assert dag.arm_scenes("half") == shards("scenes", 0, 1, 2, 3)
    assert dag.arm_labels("gated") == []
    assert make(arms={"related": {"relation": 0}}).arm_labels("related")
    assert dag.arm_pseudo("gated") == shards("pseudo", 0, split="unlabelled")


def test_a_measuring_job_waits_for_its_model():
    dag = make()
    trained = "data/train/rooms/text/1/manifest.json"
    assert (dag.model_path("text", "1"), dag.model_manifest("text", "1")) == (trained, [trained])
    assert dag.model_path("base", "0") == "src/spatialsv/weights/mllm"
    assert (dag.model_path("random", "0"), dag.model_manifest("random", "0")) == ("random", [])
    assert dag.baseline_scenes("random") == dag.scenes_of("train")
    assert dag.baseline_scenes("text") == dag.training_scenes("base") == []
    own = make(train={"base": "own"}, labels={"teacher": "own"})
    assert own.model_manifest("base", "0") == ["data/base/mllm/manifest.json"]
    assert own.teacher_manifest("own") == ["data/base/teacher/manifest.json"]
    assert own.teacher_path("own") == "data/base/teacher/checkpoint"
    assert dag.teacher_path("da3") == '{"kind":"da3"}'


def test_a_model_was_trained_on_the_scenes_of_the_arms_that_it_started_from():
    arms = {"before": {"tasks": ["rays"]}, "after": {"start": "before", "text_share": 0.25}}
    dag = make(arms=arms)
    assert dag.arm_scenes("after") == shards("scenes", 0)
    assert dag.training_scenes("after") == dag.arm_scenes("before") == shards("scenes", 0, 1, 2, 3)


def test_a_stage_lists_its_jobs():
    dag = make()
    assert dag.trained == ["text", "geometry"]
    assert dag.gathered("train") == [
        f"data/train/rooms/{arm}/{seed}/manifest.json"
        for arm in ("text", "geometry")
        for seed in (0, 1)
    ]
    evaluated = dag.gathered("evaluate")
    assert "data/evaluate/rooms/random/0/manifest.json" in evaluated
    assert "data/evaluate/rooms/random/1/manifest.json" not in evaluated
    assert "data/evaluate/rooms/text/1/cv_bench/manifest.json" in evaluated
    assert "data/evaluate/rooms/random/0/cv_bench/manifest.json" not in evaluated
    assert dag.gathered("labels") == [
        *shards("labels/rooms", 0, 1, 2, 3),
        *shards("labels/rooms", 0, split="test"),
    ]
    for stage in STAGES:
        own, *listed = dag.stage_manifests(stage)
        assert own == f"data/{stage}/manifest.json"
        assert listed == (dag.gathered(stage) if stage in GATHERED else [])


def test_the_ablations_are_gathered_where_run_yaml_says_so_and_spared_elsewhere():
    exact = [f"data/train/rooms/exact/{seed}/manifest.json" for seed in (0, 1)]
    assert make().spared("train") == exact
    dag = make(also=("ablations",))
    assert dag.spared("train") == [] and set(exact) < set(dag.gathered("train"))
    assert set(shards("labels/exact", 0, 1, 2, 3)) < set(dag.gathered("labels"))
    assert dag.table_manifests("lift") == [
        f"data/lift/rooms/exact/{seed}/manifest.json" for seed in (0, 1)
    ]
    assert "data/evaluate/rooms/base/0/manifest.json" in dag.table_manifests("evaluate")


def test_a_job_gets_its_own_settings_alone():
    dag = make()
    assert dag.section("labels") == '{"batch_size":4}'
    assert dag.arm_section("text") == '{"arms":{"text":{}},"steps":3}'
    assert dag.base_section("mllm") == '{"check_rooms":3,"mllm":{"seed":1}}'
    assert dag.benchmark_section("cv_bench") == '{"frames":4}'
    assert dag.shard_section("train", "0000") == '{"questions":5,"shard_size":2,"tasks":{}}'
    assert '"tasks":{"test":["rotation"]}' in dag.shard_section("test", "0000")


def test_unknown_names_are_errors():
    with pytest.raises(ValueError, match=r"also: unknown stage 'ablation'.*\[ablations\]"):
        make(also=("ablation",))
    with pytest.raises(ValueError, match=r"unknown arm 'spatial'\. Known arms: text, .*base"):
        make(measure={"lift": ["spatial"]})
    with pytest.raises(ValueError, match=r"unknown arm 'txt'"):
        make(ablations={"tables": {"a": {"arms": ["txt"]}}})


@pytest.mark.parametrize(
    "overlay", ["default", "smoke", "five_seeds", "evidence", "gpu", "paper", "easi_8"]
)
def test_every_overlay_has_jobs(overlay):
    dag = Dag(load_settings(ROOT, {"overlay": overlay}), ("ablations",))
    for stage in GATHERED:
        assert dag.gathered(stage) or (overlay in ("paper", "evidence") and stage == "pseudo")
