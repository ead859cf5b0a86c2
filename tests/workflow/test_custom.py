"""The overlay `custom`: one's own MLLM, images and questions, by its marked lines alone."""

from __future__ import annotations

import json

import pytest
import yaml

from helpers.outside import save_picture, write_lines
from helpers.workflow_copy import Copy
from requirements import find_requirements
from settings import load_settings

pytestmark = pytest.mark.xdist_group("workflow")
OVERLAY = "workflow/config/custom.yaml"


@pytest.fixture
def mine(copy: Copy) -> Copy:
    """A copy with twelve questions to train on, four to test on, and a model's config.json."""
    external = copy.root / "external"
    for number in range(4):
        save_picture(external / f"mine/images/{number}.jpg", (48, 32), number)
    for name, count in (("train", 12), ("test", 4)):
        records = [
            {"image": f"{n % 4}.jpg", "question": "Which?", "options": ["x", "y"], "answer": "x"}
            for n in range(count)
        ]
        write_lines(external / f"mine/{name}.jsonl", records)
    model = external / "models/mine/config.json"
    model.parent.mkdir(parents=True)
    model.write_text(json.dumps({"text_config": {"num_hidden_layers": 28}}))
    copy.edit(OVERLAY, "train: 1000,", "train: 12,")
    copy.edit(OVERLAY, "test: 200}", "test: 4}")
    copy.edit(OVERLAY, "shard_size: 100", "shard_size: 8")
    return copy


def omit_empty_sections(copy: Copy) -> list[str]:
    overlay = yaml.safe_load((copy.root / OVERLAY).read_text())
    kept = {name: section for name, section in overlay.items() if section}
    (copy.root / OVERLAY).write_text(yaml.safe_dump(kept))
    return sorted(overlay.keys() - kept.keys())


def test_the_marked_lines_are_enough_and_empty_sections_may_be_omitted(mine):
    chosen = {"overlay": "custom"}
    settings = load_settings(mine.root, chosen)
    needs, errors = find_requirements(mine.root, settings, ["text", "spatialsv"])
    assert errors == [] and {name.partition(",")[0] for name in needs} == {"teacher da3"}
    assert {"lift", "analysis", "base", "teachers", "needs"} <= set(omit_empty_sections(mine))
    assert load_settings(mine.root, chosen) == settings

    dry = ("-n", "--quiet", "reason", "host", "--printshellcmds", "--config", "overlay=custom")
    found = mine.snakemake(*dry)
    assert found.returncode == 0, found.stdout
    lines = found.stdout.splitlines()
    shards = [line for line in lines if "spatialsv scenes --source questions" in line]
    assert len(shards) == 3 and sum("external/mine/test.jsonl" in line for line in shards) == 1
    bases = [line for line in lines if "spatialsv train" in line]
    assert bases and all("external/models/mine" in line for line in bases)


def test_the_questions_become_scenes(mine):
    chosen = ("--config", "overlay=custom", "labels={teacher: rooms}")
    found = mine.snakemake("data/scenes/train/0001.json", *chosen)
    assert found.returncode == 0, found.stdout
    manifest = json.loads((mine.root / "data/scenes/train/0001.json").read_text())
    assert manifest["counts"]["questions"] == manifest["counts"]["choice"] == 4


def test_fewer_records_than_the_split_are_an_error_before_anything_runs(mine):
    mine.edit(OVERLAY, "train: 12,", "train: 13,")
    write_lines(mine.root / "external/mine/test.jsonl", ["["])
    settings = load_settings(mine.root, {"overlay": "custom"})
    _, errors = find_requirements(mine.root, settings, ["text"])
    assert errors[0] == (
        "scenes.splits.train: 13, but external/mine/train.jsonl has 12 records. Correct the number."
    )
    assert errors[1].startswith("scenes.read.files.test: ") and "test.jsonl:" in errors[1]


def test_all_errors_of_the_settings_are_reported_at_once(mine):
    mine.edit(OVERLAY, "max_pixels: 90000", "max_pixel: 90000")
    mine.edit(OVERLAY, "source: questions", "source: question")
    mine.edit(OVERLAY, "batch_size: 2", "batch_size: two")
    found = mine.snakemake("-n", "--config", "overlay=custom")
    assert found.returncode == 1
    lines = [line for line in found.stdout.splitlines() if "custom.yaml:" in line]
    assert len(lines) == 3 and any("Did you mean 'max_pixels'?" in line for line in lines)
